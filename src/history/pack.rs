//! Texts on their way to the disk and back: compressed, with a checksum, so that a bit that flips on the disk is noticed
//! instead of judged. Checksums of plain columns are made here too.

use crate::limits::HISTORY_TEXT_BYTES_MAX;
use flate2::read::ZlibDecoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::cell::RefCell;
use std::io::Read as _;

/// Bytes of the checksum in front of a packed text.
const SUM_BYTES: usize = 4;

/// Least room that the compressor is given at a time, in bytes.
const ROOM_BYTES: usize = 4096;

thread_local! {
    /// The compressor of this thread: its tables are large, and making them anew costs more than most texts.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), true));
}

/// The text, compressed (zlib, RFC 1950) behind the CRC-32 of the compressed bytes.
pub(super) fn pack(text: &str) -> Vec<u8> {
    let mut packed = vec![0; SUM_BYTES];
    COMPRESSOR.with_borrow_mut(|compressor| compress(compressor, text.as_bytes(), &mut packed));
    let sum = sum_of(&packed[SUM_BYTES..]);
    packed[..SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
    packed
}

/// Appends the compressed `bytes` to `packed`.
fn compress(compressor: &mut Compress, bytes: &[u8], packed: &mut Vec<u8>) {
    compressor.reset();
    loop {
        packed.reserve(ROOM_BYTES);
        let taken = usize::try_from(compressor.total_in()).unwrap_or(bytes.len());
        let left = bytes.get(taken..).unwrap_or_default();
        match compressor.compress_vec(left, packed, FlushCompress::Finish) {
            Ok(Status::Ok | Status::BufError) => {}
            // Deflating into memory knows no error but a misuse, which the sum would not hide: the text does not come back.
            Ok(Status::StreamEnd) | Err(_) => return,
        }
    }
}

/// The text of a packed one; none when it is damaged, or larger than anything we store.
pub(super) fn unpack(packed: &[u8]) -> Option<String> {
    let (sum, compressed) = packed.split_first_chunk::<SUM_BYTES>()?;
    if u32::from_le_bytes(*sum) != sum_of(compressed) {
        return None;
    }
    let mut text = String::new();
    let most = u64::try_from(HISTORY_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bounded = ZlibDecoder::new(compressed).take(most);
    bounded.read_to_string(&mut text).ok()?;
    Some(text)
}

fn sum_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The checksum of a row's plain columns, in their order.
#[derive(Default)]
pub(super) struct RowSum(Crc);

impl RowSum {
    /// Takes a text; one that is not there counts as such.
    pub(super) fn text(mut self, text: Option<&str>) -> Self {
        self.0.update(text.unwrap_or("\u{0}").as_bytes());
        // Texts do not run into each other.
        self.0.update(&[0xff]);
        self
    }

    /// Takes a number, bit by bit.
    pub(super) fn number(mut self, number: f64) -> Self {
        self.0.update(&number.to_bits().to_le_bytes());
        self
    }

    /// What is stored.
    pub(super) fn end(&self) -> i64 {
        i64::from(self.0.sum())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_are_smaller() {
        let text = r#"{"status":500,"layer":"app"}"#.repeat(500);
        let packed = pack(&text);
        assert!(packed.len() * 20 < text.len(), "{} of {}", packed.len(), text.len());
        assert_eq!(unpack(&packed).unwrap(), text);
        assert_eq!(unpack(&pack("")).unwrap(), "");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let packed = pack("what was seen");
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unpack(&damaged), None, "bit {bit}");
        }
        assert_eq!(unpack(&[]), None);
    }

    #[test]
    fn columns_do_not_run_into_each_other() {
        let sum = |left: Option<&str>, right: Option<&str>| RowSum::default().text(left).text(right).end();
        assert_ne!(sum(Some("ab"), Some("c")), sum(Some("a"), Some("bc")));
        assert_ne!(sum(Some(""), Some("a")), sum(None, Some("a")));
        assert_ne!(RowSum::default().number(1.0).end(), RowSum::default().number(2.0).end());
    }
}
