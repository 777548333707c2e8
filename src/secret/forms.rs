//! The forms in which a secret may come back to us: as it is, base64 (also inside a longer text), URL-encoded, hexadecimal,
//! JSON-escaped, and the parts of a JWT. Must not: keep anything.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, PAD};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Shortest form that is looked for; shorter ones would hide ordinary text.
pub(super) const FORM_BYTES_MIN: usize = 4;
/// Shortest base64 form of an embedded secret: its ends are trimmed, so it says less about its origin.
const EMBEDDED_BYTES_MIN: usize = 8;

/// What percent-encoders leave as it is beside letters and digits: RFC 3986's unreserved set, HTML forms, and JavaScript's
/// encodeURIComponent.
const PERCENT_KEEPS: [&[u8]; 3] = [b"-._~", b"*-._", b"-_.!~*'()"];

/// Every form of `secret` worth looking for, without duplicates.
pub(super) fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    if secret.len() < FORM_BYTES_MIN {
        return all;
    }
    add_encodings(secret, &mut all);
    let parts: Vec<&str> = secret.split('.').collect();
    if parts.len() == 3 && secret.starts_with("eyJ") {
        all.extend(
            parts
                .iter()
                .filter(|part| part.len() >= EMBEDDED_BYTES_MIN)
                .map(|part| part.as_bytes().to_vec()),
        );
    }
    all.retain(|form| form.len() >= FORM_BYTES_MIN);
    all
}

fn add_encodings(secret: &str, all: &mut BTreeSet<Vec<u8>>) {
    all.insert(secret.as_bytes().to_vec());
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        all.insert(GeneralPurpose::new(alphabet, PAD).encode(secret).into_bytes());
        all.insert(GeneralPurpose::new(alphabet, NO_PAD).encode(secret).into_bytes());
        all.extend((0..3).filter_map(|shift| embedded(secret, shift, &GeneralPurpose::new(alphabet, NO_PAD))));
    }
    let (mut lower, mut upper) = (String::new(), String::new());
    for byte in secret.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(lower, "{byte:02x}");
        let _ = write!(upper, "{byte:02X}");
    }
    all.insert(lower.into_bytes());
    all.insert(upper.into_bytes());
    for kept in PERCENT_KEEPS {
        let encoded = percent(secret, kept);
        all.insert(lower_escapes(&encoded).into_bytes());
        all.insert(encoded.replace("%20", "+").into_bytes());
        all.insert(encoded.into_bytes());
    }
    if let Ok(json) = serde_json::to_string(secret) {
        let inner = json[1..json.len() - 1].to_owned();
        all.insert(inner.replace('/', "\\/").into_bytes());
        all.insert(inner.into_bytes());
    }
}

/// The base64 characters that depend on the secret alone when it starts `shift` bytes after a multiple of three.
fn embedded(secret: &str, shift: usize, engine: &GeneralPurpose) -> Option<Vec<u8>> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = engine.encode(&bytes);
    let first = [0, 2, 3][shift];
    let last = bytes.len() * 8 / 6;
    let trimmed = encoded.get(first..last)?;
    (trimmed.len() >= EMBEDDED_BYTES_MIN).then(|| trimmed.as_bytes().to_vec())
}

/// Percent-encoding of everything but letters, digits and `kept`.
fn percent(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Lower-case hexadecimal digits in percent escapes, which some servers write.
fn lower_escapes(encoded: &str) -> String {
    let mut lower = String::with_capacity(encoded.len());
    let mut in_escape = 0_u8;
    for c in encoded.chars() {
        in_escape = if c == '%' { 3 } else { in_escape };
        lower.push(if in_escape > 0 { c.to_ascii_lowercase() } else { c });
        in_escape = in_escape.saturating_sub(1);
    }
    lower
}
