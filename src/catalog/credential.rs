//! Where credentials come from, compiled: pools of users that log in, and tokens minted from a configured key.

use super::target::JsonTemplate;
use crate::expression::Expression;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where credentials come from.
#[derive(Debug)]
pub enum CredentialSource {
    /// Users that log in.
    Pool(Pool),
    /// Tokens minted from a configured key.
    Mint(Mint),
}

/// A pool of users.
#[derive(Debug)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// The users. None when the pool is optional and its secrets are not there: its scenarios are then refused
    /// with `credential_missing`.
    pub users: Vec<User>,
    /// How they log in.
    pub login: Arc<Login>,
    /// Most successful handshakes of one user in a window, kept across restarts.
    pub handshakes: Option<HandshakeBudget>,
    /// How long a user rests after the target said that the user's own limit is reached.
    pub rest: Duration,
}

/// A budget of handshakes.
#[derive(Clone, Debug)]
pub struct HandshakeBudget {
    /// At most this many …
    pub max: u32,
    /// … in any window of this length.
    pub per: Duration,
}

/// A user of a pool.
#[derive(Debug)]
pub struct User {
    /// The values that login templates read as `user.NAME`; all are treated as secrets in evidence.
    pub fields: BTreeMap<String, Secret>,
}

/// How a user logs in and renews.
#[derive(Debug)]
pub struct Login {
    /// The login request.
    pub login: TokenRequest,
    /// The renewal, if there is one; templates read `refresh_token`.
    pub refresh: Option<TokenRequest>,
    /// Renew when this share of the token's life (`exp - iat`) is over.
    pub renew_at: f64,
}

/// A request that answers with tokens.
#[derive(Debug)]
pub struct TokenRequest {
    /// Method.
    pub method: String,
    /// Named base.
    pub base: String,
    /// Path.
    pub path: String,
    /// JSON body; templates read `user` and `refresh_token`.
    pub json: JsonTemplate,
    /// Over the answer (`answer.status`, `answer.json`): the access token.
    pub access_token: Expression,
    /// Over the answer: the refresh token.
    pub refresh_token: Option<Expression>,
}

/// Tokens minted from a configured key, for targets that allow it.
#[derive(Debug)]
pub struct Mint {
    /// `HS256`, `RS256` or `ES256`.
    pub algorithm: jsonwebtoken::Algorithm,
    /// HMAC secret, or PEM of the private key.
    pub key: Secret,
    /// `kid` header.
    pub key_id: Option<String>,
    /// Claims; `iat`, `nbf`, `exp` and `jti` are added.
    pub claims: JsonTemplate,
    /// Life of a token.
    pub lifetime: Duration,
}
