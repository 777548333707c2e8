//! Tokens of the auth service: issuing and verifying HS256 with a secret made at start (contract §6).
//! It owns claims and signatures; who may have a token, and which were revoked, belongs to `auth`.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::faults::{Fault, Faults};

/// Issuer of every token on the healthy side.
const ISSUER: &str = "netra-auth-service";
/// Issuer under `token-wrong-issuer`.
const OTHER_ISSUER: &str = "netra-auth-service-legacy";
/// Audience of user tokens.
const AUDIENCE: &str = "netra-platform";

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Opens the API and the socket.
    Access,
    /// Buys one new pair of tokens.
    Refresh,
}

/// The claims of contract §6.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// Seconds since 1970 at which it was issued.
    pub iat: u64,
    /// Seconds since 1970 after which it is refused.
    pub exp: u64,
    /// Access or refresh.
    pub token_type: TokenKind,
    /// The same as `token_type`, under its older name.
    #[serde(rename = "type")]
    pub kind: TokenKind,
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// Id of this very token.
    pub jti: String,
    /// Environment it belongs to.
    pub env: String,
    /// Service that issued it.
    pub svc_id: String,
    /// The user's e-mail address.
    pub email: String,
    /// Always empty in staging.
    pub permissions: Vec<String>,
}

/// Which side verifies a token; faults may loosen one side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The auth service itself.
    Auth,
    /// The backend's HTTP API.
    Http,
    /// The WebSocket gateway.
    Socket,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no token of ours: unreadable, wrong signature, wrong algorithm, wrong issuer or audience.
    Invalid,
    /// Its time is over.
    Expired,
    /// It is a refresh token where an access token is needed, or the reverse.
    WrongKind,
}

/// What a verification checks; on the healthy side everything.
#[derive(Clone, Copy, Debug)]
struct Rules {
    signature: Signature,
    expiry: Expiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    Checked,
    CheckedUnlessAlgNone,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    Checked,
    Ignored,
}

impl Rules {
    fn of(side: Side, faults: &Faults) -> Self {
        let tampered = faults.on(Fault::AcceptsTampered)
            || side == Side::Http && faults.on(Fault::HttpAcceptsTampered)
            || side == Side::Socket && faults.on(Fault::WsAcceptsTampered);
        let signature = match (tampered, faults.on(Fault::AlgNone)) {
            (true, _) => Signature::Ignored,
            (false, true) => Signature::CheckedUnlessAlgNone,
            (false, false) => Signature::Checked,
        };
        let expiry = if side != Side::Auth && faults.on(Fault::ExpiredAccepted) {
            Expiry::Ignored
        } else {
            Expiry::Checked
        };
        Self { signature, expiry }
    }
}

/// What to put into a new token.
pub struct Subject<'a> {
    /// The user's id.
    pub sub: &'a str,
    /// The user's e-mail address.
    pub email: &'a str,
    /// Access or refresh.
    pub kind: TokenKind,
    /// Lifetime in seconds.
    pub lifetime_s: u64,
    /// Token id to carry on, or a new one.
    pub jti: Option<String>,
}

/// Issues and verifies tokens with one secret that lives as long as the rehearsal.
pub struct Mint {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Mint {
    /// A mint with a new random secret.
    pub fn new() -> Self {
        let secret: [u8; 32] = rand::random();
        Self {
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
        }
    }

    /// A signed token for `subject`, with its claims. Errors only if the crypto provider fails.
    pub fn issue(
        &self,
        subject: &Subject<'_>,
        faults: &Faults,
    ) -> Result<(String, Claims), jsonwebtoken::errors::Error> {
        let iat = unix_seconds();
        let issuer = match faults.on(Fault::TokenWrongIssuer) {
            true => OTHER_ISSUER,
            false => ISSUER,
        };
        let claims = Claims {
            sub: subject.sub.to_owned(),
            iat,
            exp: iat + subject.lifetime_s,
            token_type: subject.kind,
            kind: subject.kind,
            iss: issuer.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: subject.jti.clone().unwrap_or_else(super::new_uuid),
            env: "staging".to_owned(),
            svc_id: "netra_auth_service_staging".to_owned(),
            email: subject.email.to_owned(),
            permissions: Vec::new(),
        };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &self.encoding)?;
        Ok((token, claims))
    }

    /// Verifies `token` as `side` does: algorithm, signature, exp, iss, aud and kind (contract §6).
    pub fn verify(&self, token: &str, kind: TokenKind, seen: (Side, &Faults)) -> Result<Claims, TokenFault> {
        let rules = Rules::of(seen.0, seen.1);
        let claims = match self.signed_claims(token) {
            Ok(claims) => claims,
            Err(fault) => unsigned_claims(token, rules.signature).ok_or(fault)?,
        };
        let issued_here = [ISSUER, OTHER_ISSUER].contains(&claims.iss.as_str());
        if !issued_here || claims.aud != AUDIENCE || claims.sub.is_empty() || claims.jti.is_empty() {
            return Err(TokenFault::Invalid);
        }
        if rules.expiry == Expiry::Checked && claims.exp <= unix_seconds() {
            return Err(TokenFault::Expired);
        }
        if claims.token_type != kind || claims.kind != kind {
            return Err(TokenFault::WrongKind);
        }
        Ok(claims)
    }

    /// Claims of a token whose signature is ours; expiry is judged by the caller.
    fn signed_claims(&self, token: &str) -> Result<Claims, TokenFault> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims = HashSet::from(["exp".to_owned(), "sub".to_owned(), "iss".to_owned()]);
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map(|data| data.claims)
            .map_err(|_| TokenFault::Invalid)
    }
}

/// Claims of a token whose signature does not hold, where a fault lets it pass.
fn unsigned_claims(token: &str, signature: Signature) -> Option<Claims> {
    if signature == Signature::Checked {
        return None;
    }
    let mut parts = token.split('.');
    let (header, payload) = (parts.next()?, parts.next()?);
    if signature == Signature::CheckedUnlessAlgNone && !says_alg_none(header) {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn says_alg_none(header: &str) -> bool {
    let decoded = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    serde_json::from_slice::<serde_json::Value>(&decoded)
        .ok()
        .and_then(|header| Some(header.get("alg")?.as_str()?.eq_ignore_ascii_case("none")))
        .unwrap_or(false)
}

fn unix_seconds() -> u64 {
    super::timing::now_unix() as u64
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::super::faults::choose;
    use super::*;

    fn subject(lifetime_s: u64) -> Subject<'static> {
        Subject {
            sub: "u1",
            email: "u1@rehearsal.invalid",
            kind: TokenKind::Access,
            lifetime_s,
            jti: None,
        }
    }

    fn tamper(token: &str) -> String {
        let flipped = if token.ends_with('A') { 'B' } else { 'A' };
        // The last character of an HS256 signature holds four significant bits; the one before holds six.
        let at = token.len() - 2;
        let old = token.as_bytes()[at] as char;
        let new = if old == flipped { 'C' } else { flipped };
        format!("{}{}{}", &token[..at], new, &token[at + 1..])
    }

    #[test]
    fn a_tampered_token_passes_only_under_its_faults() {
        crate::crypto::init_crypto();
        let (mint, faults) = (Mint::new(), Faults::new());
        let (token, _) = mint.issue(&subject(60), &faults).unwrap();
        let bad = tamper(&token);
        let verify = |side| mint.verify(&bad, TokenKind::Access, (side, &faults)).is_ok();
        assert!(mint.verify(&token, TokenKind::Access, (Side::Http, &faults)).is_ok());
        assert!(!verify(Side::Http) && !verify(Side::Socket));
        faults.set(choose("ws-accepts-tampered").unwrap(), true);
        assert!(!verify(Side::Http) && verify(Side::Socket));
        faults.set(choose("auth-accepts-tampered").unwrap(), true);
        assert!(verify(Side::Http) && verify(Side::Auth));
    }

    #[test]
    fn expiry_and_kind_are_checked() {
        crate::crypto::init_crypto();
        let (mint, faults) = (Mint::new(), Faults::new());
        let (token, _) = mint.issue(&subject(0), &faults).unwrap();
        let verify = |kind| mint.verify(&token, kind, (Side::Http, &faults)).err();
        assert_eq!(verify(TokenKind::Access), Some(TokenFault::Expired));
        let (fresh, _) = mint.issue(&subject(60), &faults).unwrap();
        let wrong = mint.verify(&fresh, TokenKind::Refresh, (Side::Auth, &faults)).err();
        assert_eq!(wrong, Some(TokenFault::WrongKind));
    }
}
