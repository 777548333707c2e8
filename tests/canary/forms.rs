//! The forms in which a secret can leak, and the search for them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// A leak: which form, and what stands around it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The form of the secret that was found.
    pub form: String,
    /// The bytes around it, as text.
    pub around: String,
}

/// Every form: as it is, base64 in four alphabets, percent-encoded in two ways, hexadecimal, escaped for JSON and for HTML.
pub fn of(secret: &str) -> Vec<String> {
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = |byte: u8| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let json = serde_json::to_string(secret).unwrap();
    let mut forms = vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        secret.bytes().map(percent).collect(),
        hexadecimal,
        json.trim_matches('"').to_owned(),
        secret.replace('&', "&amp;"),
    ];
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// Every place where a form of one of the secrets stands.
pub fn search(bytes: &[u8], secrets: &[&str]) -> Vec<Found> {
    let mut found = Vec::new();
    for form in secrets.iter().flat_map(|secret| of(secret)) {
        if let Some(at) = bytes.windows(form.len()).position(|window| window == form.as_bytes()) {
            let around = &bytes[at.saturating_sub(120)..(at + form.len() + 60).min(bytes.len())];
            found.push(Found {
                form,
                around: String::from_utf8_lossy(around).into_owned(),
            });
        }
    }
    found
}
