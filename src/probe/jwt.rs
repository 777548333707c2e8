//! JSON Web Tokens without and with a key: claims for the record, negative tokens made from a real one, minting for targets
//! that allow it. Must not: verify; a probe never trusts a token, it shows one.

use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

/// Why a token could not be read, changed or minted. No message holds any part of a token or key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url with JSON objects in the first two.
    #[error("the token is no JWT: {0}")]
    NotAToken(&'static str),
    /// The key does not fit the algorithm.
    #[error("the key is not usable for {algorithm}: {hint}")]
    Key {
        /// `HS256`, `RS256` or `ES256`.
        algorithm: &'static str,
        /// What to give instead.
        hint: &'static str,
    },
    /// Signing failed.
    #[error("the token could not be signed with {0}")]
    Signing(&'static str),
}

/// The claims of a token, without verification.
///
/// # Errors
/// [`JwtError::NotAToken`].
pub fn claims(token: &Secret) -> Result<Map<String, Value>, JwtError> {
    let parts = parts(token.expose())?;
    decode_object(parts.1, "its claims are no JSON object")
}

/// The header of a token.
///
/// # Errors
/// [`JwtError::NotAToken`].
pub fn header(token: &Secret) -> Result<Map<String, Value>, JwtError> {
    let parts = parts(token.expose())?;
    decode_object(parts.0, "its header is no JSON object")
}

/// The claims that may be shown: without `sub` (recorded apart), and without e-mail addresses wherever they are.
pub fn public_claims(claims: &Map<String, Value>) -> Map<String, Value> {
    let shown = claims
        .iter()
        .filter(|(name, _)| name.as_str() != "sub" && !name.to_ascii_lowercase().contains("email"));
    shown
        .filter(|(_, value)| !holds_email(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn holds_email(value: &Value) -> bool {
    match value {
        Value::String(text) => text.split_whitespace().any(|word| {
            word.split_once('@')
                .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
        }),
        Value::Array(items) => items.iter().any(holds_email),
        Value::Object(members) => members.values().any(holds_email),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether the token's own `exp` (seconds since 1970, fractions allowed) has passed at `now`. A token without one never
/// expires (RFC 7519 section 4.1.4).
///
/// # Errors
/// [`JwtError::NotAToken`].
pub fn expired(token: &Secret, now: DateTime<Utc>) -> Result<bool, JwtError> {
    let claims = claims(token)?;
    Ok(claims
        .get("exp")
        .and_then(Value::as_f64)
        .is_some_and(|exp| crate::clock::unix_seconds(now) >= exp))
}

/// The same token with another signature: one bit of it is flipped. The bit lies in the first character, whose six bits are
/// all part of the decoded bytes, so that no decoder takes it for the original.
///
/// # Errors
/// [`JwtError::NotAToken`], also for a token without signature.
pub fn tampered(token: &Secret) -> Result<Secret, JwtError> {
    let (header, payload, signature) = parts(token.expose())?;
    let mut bytes = decode(signature, "its signature is no base64url")?;
    let first = bytes
        .first_mut()
        .ok_or(JwtError::NotAToken("it has no signature to tamper with"))?;
    *first ^= 0x80;
    Ok(Secret::new(format!(
        "{header}.{payload}.{}",
        URL_SAFE_NO_PAD.encode(bytes)
    )))
}

/// The same claims under `"alg":"none"` and without signature (RFC 7519 section 6).
///
/// # Errors
/// [`JwtError::NotAToken`].
pub fn alg_none(token: &Secret) -> Result<Secret, JwtError> {
    let (header, payload, _) = parts(token.expose())?;
    let mut header = decode_object(header, "its header is no JSON object")?;
    header.insert("alg".to_owned(), Value::from("none"));
    Ok(Secret::new(format!(
        "{}.{payload}.",
        URL_SAFE_NO_PAD.encode(Value::Object(header).to_string())
    )))
}

/// An item for `Sec-WebSocket-Protocol` that carries `token`: `prefix` and the whole token in base64url without padding.
pub fn subprotocol_item(prefix: &str, token: &Secret) -> Secret {
    Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(token.expose())))
}

/// A key to mint tokens with.
pub struct MintKey {
    key: EncodingKey,
    algorithm: Algorithm,
    name: &'static str,
}

impl MintKey {
    /// A shared secret.
    ///
    /// # Errors
    /// [`JwtError::Key`] for an empty one.
    pub fn hs256(secret: &Secret) -> Result<Self, JwtError> {
        if secret.expose().is_empty() {
            return Err(JwtError::Key {
                algorithm: "HS256",
                hint: "the secret is empty",
            });
        }
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        Ok(Self {
            key,
            algorithm: Algorithm::HS256,
            name: "HS256",
        })
    }

    /// An RSA private key of at least 2048 bits, PEM.
    ///
    /// # Errors
    /// [`JwtError::Key`].
    pub fn rs256(pem: &Secret) -> Result<Self, JwtError> {
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes());
        let hint = "give an RSA private key in PEM of at least 2048 bits";
        let key = key.map_err(|_| JwtError::Key {
            algorithm: "RS256",
            hint,
        })?;
        Ok(Self {
            key,
            algorithm: Algorithm::RS256,
            name: "RS256",
        })
    }

    /// A P-256 private key, PEM in PKCS#8.
    ///
    /// # Errors
    /// [`JwtError::Key`].
    pub fn es256(pem: &Secret) -> Result<Self, JwtError> {
        let key = EncodingKey::from_ec_pem(pem.expose().as_bytes());
        let hint = "give a P-256 key in PKCS#8: `openssl pkcs8 -topk8 -nocrypt -in key.pem`";
        let key = key.map_err(|_| JwtError::Key {
            algorithm: "ES256",
            hint,
        })?;
        Ok(Self {
            key,
            algorithm: Algorithm::ES256,
            name: "ES256",
        })
    }

    /// Signs `claims` as they are; `kid` goes into the header if given.
    ///
    /// # Errors
    /// [`JwtError::Signing`].
    pub fn mint(&self, claims: &Map<String, Value>, kid: Option<&str>) -> Result<Secret, JwtError> {
        crate::crypto::init_crypto();
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.key)
            .map(Secret::new)
            .map_err(|_| JwtError::Signing(self.name))
    }
}

impl std::fmt::Debug for MintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MintKey({})", self.name)
    }
}

fn parts(token: &str) -> Result<(&str, &str, &str), JwtError> {
    match token.split('.').collect::<Vec<_>>().as_slice() {
        [header, payload, signature] => Ok((header, payload, signature)),
        _ => Err(JwtError::NotAToken("it does not have three parts")),
    }
}

fn decode(part: &str, why: &'static str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| JwtError::NotAToken(why))
}

fn decode_object(part: &str, why: &'static str) -> Result<Map<String, Value>, JwtError> {
    serde_json::from_slice(&decode(part, why)?).map_err(|_| JwtError::NotAToken(why))
}
