//! The shape of credentials: pools, minted tokens, logins, and where secrets come from.

use super::{HttpMethod, Lasting, Named};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A source of credentials: either a pool of users or a minting key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Users that log in.
    pub pool: Option<Pool>,
    /// Tokens minted from a key, for targets that allow it.
    pub mint: Option<Mint>,
}

/// A pool of users.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Users: the fields that login templates read as `user.NAME`, all secret.
    #[serde(default)]
    pub users: Vec<Named<SecretSource>>,
    /// Numbered users that share their secrets.
    pub users_from: Option<UsersFrom>,
    /// Name under `logins`.
    pub login: String,
    /// Most successful handshakes of one user in a window.
    pub handshakes: Option<Handshakes>,
    /// How long a user rests after the target said that the user's own limit is reached; 30m when left out.
    pub rest: Option<Lasting>,
    /// Whether missing secrets are no mistake; scenarios using the pool are then `unknown(credential_missing)`.
    #[serde(default)]
    pub optional: bool,
}

/// Numbered users.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersFrom {
    /// How many.
    pub count: u32,
    /// Their fields; `${index}` counts from 1. Secrets stand here only for a target on loopback.
    pub fields: Named<String>,
    /// Fields that all of them share and that are secret.
    #[serde(default)]
    pub secrets: Named<SecretSource>,
}

/// A budget of handshakes for each user.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handshakes {
    /// At most this many in any window.
    pub max: u32,
    /// Length of the window.
    pub per: Lasting,
}

/// Tokens minted from a configured key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mint {
    /// `HS256`, `RS256` or `ES256`.
    pub algorithm: MintAlgorithm,
    /// HMAC secret, or PEM (PKCS#8) of the private key.
    pub key: SecretSource,
    /// `kid` header.
    pub key_id: Option<String>,
    /// Claims; `iat`, `nbf`, `exp` and `jti` are added.
    pub claims: Value,
    /// Life of a token.
    pub lifetime: Lasting,
}

/// An algorithm for minting.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum MintAlgorithm {
    /// HMAC with SHA-256.
    HS256,
    /// RSA with SHA-256.
    RS256,
    /// ECDSA P-256 with SHA-256.
    ES256,
}

/// Where a secret comes from: exactly one of the keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// Environment variable.
    pub env: Option<String>,
    /// File, relative to the main file; not readable by others.
    pub file: Option<String>,
    /// systemd credential (`LoadCredential=`).
    pub credential: Option<String>,
    /// The value itself, only for a target on loopback.
    pub value: Option<String>,
    /// A token of the account that the daemon runs as, fetched from the metadata server and again before it ends. Only where a
    /// token is shown: `target.http.proxy_authorization`, and `bearer` of an Alertmanager.
    pub identity: Option<WorkloadIdentity>,
}

/// A token of the account that the daemon runs as (workload identity on Google Cloud).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// Whom an identity token is for: the client id of the identity-aware proxy, or the URL of the service. An access token
    /// when left out.
    pub audience: Option<String>,
    /// Base URL of the metadata server; `http://metadata.google.internal/` when left out.
    pub metadata: Option<String>,
}

/// How a user logs in and renews.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The login request; templates read `user`.
    pub login: TokenRequest,
    /// The renewal; templates read `user` and `refresh_token`.
    pub refresh: Option<TokenRequest>,
    /// Renew when this share of the token's life is over; 0.6 when left out.
    pub renew_at: Option<f64>,
}

/// A request that answers with tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Method; POST when left out.
    pub method: Option<HttpMethod>,
    /// Named base.
    pub base: String,
    /// Path.
    pub path: String,
    /// JSON body with templates.
    #[serde(default)]
    pub json: Value,
    /// CEL over `answer`: the access token.
    pub access_token: String,
    /// CEL over `answer`: the refresh token.
    pub refresh_token: Option<String>,
}
