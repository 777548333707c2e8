//! Tokens for reading the log: from the metadata server (workload identity), or for a service account's signed word
//! (RFC 7523: a JWT exchanged for an access token). Kept until shortly before they end.

use super::{LogError, answer};
use crate::clock;
use crate::limits::LOG_TOKEN_SPARE;
use crate::probe::jwt::MintKey;
use crate::secret::{Redactor, Secret};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// What we ask to be allowed.
const SCOPE: &str = "https://www.googleapis.com/auth/logging.read";
/// Where the metadata server keeps the token of the workload's own account.
const METADATA_PATH: &str = "computeMetadata/v1/instance/service-accounts/default/token";
/// RFC 7523 section 2.1.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Life of the signed word; Google allows an hour.
const ASSERTION_LIFE_S: i64 = 300;
/// Life of a token whose answer does not say it.
const TOKEN_LIFE: Duration = Duration::from_secs(300);

/// How we may read the log.
#[derive(Clone, Debug)]
pub enum Access {
    /// As the workload that we run as; the base of the metadata server, `http://metadata.google.internal/`.
    Metadata(Url),
    /// As a service account.
    Account {
        /// `client_email` of its key file.
        email: String,
        /// `private_key` of its key file, PEM.
        key: Secret,
        /// `token_uri` of its key file.
        token_url: Url,
    },
}

/// Gets tokens and keeps the last one.
pub(super) struct Tokens {
    access: Access,
    key: Option<Arc<MintKey>>,
    kept: Mutex<Option<(Secret, Instant)>>,
}

impl Tokens {
    pub(super) fn new(access: Access) -> Result<Self, LogError> {
        let key = match &access {
            Access::Metadata(_) => None,
            Access::Account { key, .. } => {
                let key = MintKey::rs256(key).map_err(|error| LogError::Key(error.to_string()))?;
                Some(Arc::new(key))
            }
        };
        Ok(Self {
            access,
            key,
            kept: Mutex::default(),
        })
    }

    /// The kept token, or a new one.
    pub(super) async fn get(&self, client: &reqwest::Client) -> Result<Secret, LogError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, _)) = kept.filter(|(_, until)| Instant::now() < *until) {
            return Ok(token);
        }
        let asked = Instant::now();
        let (who, request) = self.request(client)?;
        let said = answer(who, request, &Redactor::new([])).await;
        // What a token server says in an error may repeat what it was sent.
        let said = said.map_err(|error| match error {
            LogError::Refused { who, status, .. } => LogError::Refused {
                who,
                status,
                says: "no token".to_owned(),
            },
            other => other,
        })?;
        let token = said.get("access_token").and_then(Value::as_str);
        let token = Secret::new(
            token
                .filter(|token| !token.is_empty())
                .ok_or(LogError::Unreadable(who))?,
        );
        let life = said.get("expires_in").and_then(Value::as_u64);
        let life = life.map_or(TOKEN_LIFE, Duration::from_secs);
        let until = asked + life.saturating_sub(LOG_TOKEN_SPARE);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), until));
        Ok(token)
    }

    /// The kept token is no good.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn request(&self, client: &reqwest::Client) -> Result<(&'static str, reqwest::RequestBuilder), LogError> {
        match (&self.access, &self.key) {
            (Access::Account { email, token_url, .. }, Some(key)) => {
                let now = clock::now().timestamp();
                let mut claims = Map::new();
                for (name, text) in [("iss", email.as_str()), ("scope", SCOPE), ("aud", token_url.as_str())] {
                    claims.insert(name.to_owned(), Value::from(text));
                }
                claims.insert("iat".to_owned(), Value::from(now));
                claims.insert("exp".to_owned(), Value::from(now + ASSERTION_LIFE_S));
                let word = key.mint(&claims, None);
                let word = word.map_err(|error| LogError::Key(error.to_string()))?;
                let form = [("grant_type", GRANT), ("assertion", word.expose())];
                Ok(("the token server", client.post(token_url.clone()).form(&form)))
            }
            (Access::Metadata(base), _) => {
                let url = base.join(METADATA_PATH);
                let url = url.map_err(|_| LogError::Unreachable("the metadata server"))?;
                let request = client.get(url).header("Metadata-Flavor", "Google");
                Ok(("the metadata server", request))
            }
            (Access::Account { .. }, None) => Err(LogError::Key("it has no key".to_owned())),
        }
    }
}
