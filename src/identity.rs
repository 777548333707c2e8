//! Tokens that say who our own workload is: from the metadata server (workload identity), or for a service account's signed
//! word (RFC 7523: a JWT exchanged for an access token). Fetched when first asked for, kept, and fetched again before they
//! end. Owns: every such token. Must not: decide who is shown one, or say more in an error than who did not give one.

use crate::catalog::Access;
use crate::clock;
use crate::limits::{IDENTITY_ANSWER_BYTES_MAX, IDENTITY_FAILURE_KEPT, IDENTITY_SPARE, IDENTITY_WITHIN};
use crate::probe::jwt::{self, MintKey};
use crate::secret::Secret;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// What a service account asks to be allowed: the metadata server's account has what it was given.
const SCOPE: &str = "https://www.googleapis.com/auth/logging.read";
/// Where the metadata server keeps what is about the workload's own account.
const ACCOUNT_PATH: &str = "computeMetadata/v1/instance/service-accounts/default/";
/// RFC 7523 section 2.1.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Life of the signed word; Google allows an hour.
const ASSERTION_LIFE_S: i64 = 300;
/// Life of a token whose answer does not say it.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// Why there is no token. Nothing that a server said is repeated: it may be what it was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No answer in time, or none at all.
    #[error("{0} cannot be reached")]
    Unreachable(&'static str),
    /// It says no.
    #[error("{who} answers {status}: no token")]
    Refused {
        /// Who.
        who: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// The answer has another shape, is too large, or holds a token that has ended.
    #[error("the answer of {0} cannot be read")]
    Unreadable(&'static str),
    /// The service account's key cannot sign.
    #[error("the service account cannot be used: {0}")]
    Key(String),
}

/// Gets tokens of one kind and keeps the last one.
pub struct Tokens {
    access: Access,
    key: Option<MintKey>,
    client: reqwest::Client,
    /// Whoever holds it asks; the others wait for the result.
    kept: Mutex<Kept>,
}

/// What was got last.
#[derive(Default)]
struct Kept {
    token: Option<Token>,
    failed: Option<(Instant, IdentityError)>,
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

impl Tokens {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// When the service account's key is no RSA key, or no client can be made.
    pub fn new(access: Access) -> Result<Self, IdentityError> {
        crate::crypto::init_crypto();
        let unusable = |error: jwt::JwtError| IdentityError::Key(error.to_string());
        let key = match &access {
            Access::Metadata(_) | Access::Identity { .. } => None,
            Access::Account { key, .. } => Some(MintKey::rs256(key).map_err(unusable)?),
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(IDENTITY_WITHIN)
            .build()
            .map_err(|_| IdentityError::Unreachable(who(&access)))?;
        Ok(Self {
            access,
            key,
            client,
            kept: Mutex::default(),
        })
    }

    /// The kept token, or a new one: a tenth of its life, a minute at most, before it ends. While no new one can be had the
    /// old one is good to its end. A failure answers for others that ask soon after.
    ///
    /// # Errors
    /// When there is none.
    pub async fn get(&self) -> Result<Secret, IdentityError> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        let fresh = kept.token.as_ref().filter(|token| now < token.renew_at);
        if let Some(token) = fresh {
            return Ok(token.secret.clone());
        }
        let recent = kept
            .failed
            .as_ref()
            .filter(|(at, _)| at.elapsed() < IDENTITY_FAILURE_KEPT);
        let fetched = match recent {
            Some((_, error)) => Err(error.clone()),
            None => self.fetch().await.inspect_err(|error| {
                tracing::warn!(%error, "identity.no_token");
                kept.failed = Some((Instant::now(), error.clone()));
            }),
        };
        match fetched {
            Ok(token) => {
                kept.failed = None;
                Ok(kept.token.insert(token).secret.clone())
            }
            Err(error) => {
                let usable = kept.token.as_ref().filter(|token| Instant::now() < token.ends_at);
                usable.map(|token| token.secret.clone()).ok_or(error)
            }
        }
    }

    /// `token` is no good, whatever its life: the next one who asks gets another.
    pub async fn forget(&self, token: &Secret) {
        let mut kept = self.kept.lock().await;
        if kept
            .token
            .as_ref()
            .is_some_and(|known| known.secret.expose() == token.expose())
        {
            kept.token = None;
        }
    }

    async fn fetch(&self) -> Result<Token, IdentityError> {
        let (who, asked) = (who(&self.access), Instant::now());
        let said = answer(who, self.request()?).await?;
        let (secret, life) = match &self.access {
            Access::Identity { .. } => identity_token(&said),
            Access::Metadata(_) | Access::Account { .. } => access_token(&said),
        }
        .ok_or(IdentityError::Unreadable(who))?;
        Ok(Token {
            secret,
            renew_at: asked + life.saturating_sub(IDENTITY_SPARE.min(life / 10)),
            ends_at: asked + life,
        })
    }

    fn request(&self) -> Result<reqwest::RequestBuilder, IdentityError> {
        let metadata = |base: &Url, path: &str| {
            let url = base.join(ACCOUNT_PATH).and_then(|url| url.join(path));
            let url = url.map_err(|_| IdentityError::Unreachable(who(&self.access)))?;
            Ok(self.client.get(url).header("Metadata-Flavor", "Google"))
        };
        match (&self.access, &self.key) {
            (Access::Metadata(base), _) => metadata(base, "token"),
            (
                Access::Identity {
                    metadata: base,
                    audience,
                },
                _,
            ) => Ok(metadata(base, "identity")?.query(&[("audience", audience.as_str()), ("format", "full")])),
            (Access::Account { email, token_url, .. }, Some(key)) => {
                let now = clock::now().timestamp();
                let mut claims = Map::new();
                for (name, text) in [("iss", email.as_str()), ("scope", SCOPE), ("aud", token_url.as_str())] {
                    claims.insert(name.to_owned(), Value::from(text));
                }
                claims.insert("iat".to_owned(), Value::from(now));
                claims.insert("exp".to_owned(), Value::from(now + ASSERTION_LIFE_S));
                let word = key.mint(&claims, None);
                let word = word.map_err(|error| IdentityError::Key(error.to_string()))?;
                let form = [("grant_type", GRANT), ("assertion", word.expose())];
                Ok(self.client.post(token_url.clone()).form(&form))
            }
            (Access::Account { .. }, None) => Err(IdentityError::Key("it has no key".to_owned())),
        }
    }
}

/// Who is asked.
fn who(access: &Access) -> &'static str {
    match access {
        Access::Metadata(_) | Access::Identity { .. } => "the metadata server",
        Access::Account { .. } => "the token server",
    }
}

/// Sends a request and reads its answer, bounded.
async fn answer(who: &'static str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, IdentityError> {
    let unreachable = |_| IdentityError::Unreachable(who);
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let status = status.as_u16();
        return Err(IdentityError::Refused { who, status });
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&piece);
        if body.len() > IDENTITY_ANSWER_BYTES_MAX {
            return Err(IdentityError::Unreadable(who));
        }
    }
    Ok(body)
}

/// An access token and what is left of its life (RFC 6749 section 5.1).
fn access_token(said: &[u8]) -> Option<(Secret, Duration)> {
    let said: Value = serde_json::from_slice(said).ok()?;
    let token = said.get("access_token")?.as_str().filter(|token| is_token(token))?;
    let life = said.get("expires_in").and_then(Value::as_u64);
    Some((Secret::new(token), life.map_or(TOKEN_LIFE, Duration::from_secs)))
}

/// An identity token and what is left of its life: the metadata server gives the same one again for most of an hour.
fn identity_token(said: &[u8]) -> Option<(Secret, Duration)> {
    let token = std::str::from_utf8(said).ok()?.trim();
    let token = Secret::new(Some(token).filter(|token| is_token(token))?);
    let ends = jwt::claims(&token).ok()?.get("exp")?.as_f64()?;
    let left = Duration::try_from_secs_f64(ends - clock::unix_seconds(clock::now())).ok()?;
    (left > Duration::ZERO).then_some((token, left))
}

/// Whether a header may hold it (RFC 6750 section 2.1).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
