//! Secrets that cannot print themselves, and the redactor that keeps them out of everything we store or show.
//! Owns: the only calls of `expose_secret` in the crate. Must not: log, store, or know where secrets come from.

mod forms;
mod names;
mod redactor;
mod sanitise;

pub use redactor::{REDACTED, Redactor};
pub use sanitise::{cut, sanitise_line, sanitise_text};

use secrecy::{ExposeSecret, SecretString};

/// A secret text: token, password, key, header value. It has no `Display` and no `Serialize`; `Debug` shows nothing of it;
/// its memory is wiped when dropped.
///
/// ```compile_fail
/// println!("{}", stagewatch::secret::Secret::new("cannot be displayed"));
/// ```
/// ```compile_fail
/// serde_json::to_string(&stagewatch::secret::Secret::new("cannot be serialised"));
/// ```
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text over. Configuration refuses secrets shorter than 4 bytes; shorter ones cannot be redacted.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself, for the one who sends or signs with it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(REDACTED)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
