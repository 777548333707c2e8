//! The secrets that a load has read: their files, to be looked at while the daemon runs, and a digest by which the next load
//! is compared with this one. Nothing of them is shown.

use crate::secret::Secret;
use aws_lc_rs::digest::{Context as Digest, SHA256, digest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What was read.
#[derive(Default)]
pub struct Seen {
    files: BTreeSet<PathBuf>,
    sums: Vec<[u8; 32]>,
}

impl Seen {
    /// A secret, from a file or not.
    pub fn take(&mut self, file: Option<&Path>, secret: &Secret) {
        self.files.extend(file.map(Path::to_owned));
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, secret.expose().as_bytes()).as_ref());
        self.sums.push(sum);
    }

    /// Where secrets came from.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.iter().cloned().collect()
    }

    /// What all modules stand on, as one digest.
    pub fn ground(&self, mut files: Digest) -> String {
        for sum in &self.sums {
            files.update(sum);
        }
        hexadecimal(files.finish().as_ref())
    }
}

/// Digest of a text, hexadecimal.
pub fn sha256(text: &str) -> String {
    hexadecimal(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
