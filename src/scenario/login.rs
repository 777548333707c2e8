//! Getting tokens for the credentials of a run: login, renewal, minting, and the negative tokens made from real ones.
//! Must not: keep a token anywhere but in its slot.

use super::bindings::Locals;
use super::credentials::{Slot, SlotState, TokenClock, Tokens, UserCredential};
use super::execution::Execution;
use super::forbidden;
use super::traffic::Planned;
use crate::catalog::{CredentialSource, Login, Mint, TokenKind, TokenRequest};
use crate::clock;
use crate::failure::{Blame, Failure, Kind};
use crate::limits::{AGED_MARGIN, LOGIN_WITHIN};
use crate::probe::jwt::{self, JwtError, MintKey};
use crate::probe::{Cookies, HttpRequest, RequestBody, Unredacted};
use crate::secret::Secret;
use crate::transcript::{Entry, HttpExchange, Observation};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Where a credential's tokens come from.
enum Source<'a> {
    User(Arc<UserCredential>),
    Mint(&'a Mint, Arc<Slot>),
}

impl Source<'_> {
    fn slot(&self) -> &Slot {
        match self {
            Self::User(user) => &user.slot,
            Self::Mint(_, slot) => slot,
        }
    }
}

impl Execution {
    /// The token of credential `name` (full) that a step asks for.
    ///
    /// # Errors
    /// `login_refused` or what kept the login from an answer; `credential_missing` when there is no aged token yet;
    /// `step_invalid` for a token that is no JWT where one is needed.
    pub(super) async fn token(&self, name: &str, kind: &TokenKind, deadline: Instant) -> Result<Secret, Failure> {
        match kind {
            TokenKind::Valid => Ok(self.tokens(name, deadline).await?.access),
            TokenKind::Tampered => {
                let token = self.tokens(name, deadline).await?.access;
                self.made(jwt::tampered(&token))
            }
            TokenKind::AlgNone => {
                let token = self.tokens(name, deadline).await?.access;
                self.made(jwt::alg_none(&token))
            }
            TokenKind::Aged => self.aged(name),
            TokenKind::Captured(capture) => {
                let missing = || Failure::new(Kind::StepInvalid, format!("nothing was captured as `{capture}`"));
                self.purse.secret(capture).ok_or_else(missing)
            }
        }
    }

    fn made(&self, token: Result<Secret, JwtError>) -> Result<Secret, Failure> {
        let token = token.map_err(|error| Failure::new(Kind::StepInvalid, error.to_string()))?;
        self.run().redactor.learn(&token);
        Ok(token)
    }

    fn aged(&self, name: &str) -> Result<Secret, Failure> {
        let source = self.source(name)?;
        let token = match &source {
            Source::User(user) => user.slot.aged(self.token_clock()),
            Source::Mint(mint, _) => {
                let ago = mint.lifetime + AGED_MARGIN;
                Some(self.mint(mint, clock::unix_seconds(clock::now()) - ago.as_secs_f64())?)
            }
        };
        let token = token.ok_or_else(|| {
            Failure::new(
                Kind::CredentialMissing,
                format!("credential `{name}` has no token yet whose life is over"),
            )
        })?;
        self.run().redactor.learn(&token);
        Ok(token)
    }

    fn source(&self, name: &str) -> Result<Source<'_>, Failure> {
        let missing = || {
            Failure::new(
                Kind::CredentialMissing,
                format!("credential `{name}` is not configured"),
            )
        };
        if let Some(place) = self.purse.lease.user(name) {
            let user = self.runner.credentials.user(place).cloned();
            return user.map(Source::User).ok_or_else(missing);
        }
        let base = name.split('[').next().unwrap_or(name);
        let used = self
            .scenario
            .credentials
            .iter()
            .find(|used| used.name == base)
            .ok_or_else(missing)?;
        let slot = self
            .runner
            .credentials
            .minted(&used.source)
            .cloned()
            .ok_or_else(missing)?;
        match self.runner.catalog.credentials.get(&used.source) {
            Some(CredentialSource::Mint(mint)) => Ok(Source::Mint(mint, slot)),
            _ => Err(missing()),
        }
    }

    /// The user's fields, for templates of a login written as a step.
    pub(super) fn user_fields(&self, name: &str) -> Option<Map<String, Value>> {
        let place = self.purse.lease.user(name)?;
        self.runner.credentials.user(place).map(|user| exposed(user))
    }

    /// Current tokens of credential `name` (full): those at hand, renewed or fetched when it is time. Runs that need the same
    /// user at the same time wait for one login.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub(super) async fn tokens(&self, name: &str, deadline: Instant) -> Result<Tokens, Failure> {
        let source = self.source(name)?;
        let slot = source.slot();
        let Ok(mut state) = timeout_at(deadline, slot.state.lock()).await else {
            let detail = format!("another run is still logging in for credential `{name}`");
            return Err(Failure::new(Kind::HeaderTimeout, detail));
        };
        let renew_at = match &source {
            Source::User(user) => user.login.renew_at,
            Source::Mint(..) => 0.5,
        };
        let clock = self.token_clock();
        let fresh = state
            .current
            .as_ref()
            .filter(|tokens| !tokens.older_than(renew_at, clock))
            .cloned();
        let tokens = match fresh {
            Some(tokens) => tokens,
            None => self.renew(name, &source, &mut state, deadline).await?,
        };
        drop(state);
        let redactor = &self.run().redactor;
        tokens.both().for_each(|token| redactor.learn(token));
        self.purse.learn(name, redactor, &tokens.access);
        Ok(tokens)
    }

    async fn renew(
        &self,
        name: &str,
        source: &Source<'_>,
        state: &mut SlotState,
        deadline: Instant,
    ) -> Result<Tokens, Failure> {
        if let Some(failure) = state.recent_failure() {
            return Err(failure);
        }
        let deadline = deadline.min(Instant::now() + LOGIN_WITHIN);
        let got = match source {
            Source::Mint(mint, _) => self.mint(mint, clock::unix_seconds(clock::now())).map(|access| {
                let claims = jwt::claims(&access).unwrap_or_default();
                Tokens::new(access, None, &Value::Object(claims), clock::unix_seconds(clock::now()))
            }),
            Source::User(user) => self.log_in(name, user, state, deadline).await,
        };
        match got {
            Ok(tokens) => {
                source.slot().replace(state, tokens.clone(), self.token_clock());
                Ok(tokens)
            }
            // A token that still lives serves, whatever became of its renewal; other checks watch the login.
            Err(failure) => match state
                .current
                .clone()
                .filter(|tokens| !tokens.older_than(1.0, self.token_clock()))
            {
                Some(tokens) if failure.blame != Blame::Monitor => Ok(tokens),
                _ => {
                    state.fail(&failure);
                    Err(failure)
                }
            },
        }
    }

    /// Renews with the refresh token if there is one, else (or when that is refused) logs in.
    async fn log_in(
        &self,
        name: &str,
        user: &UserCredential,
        state: &SlotState,
        deadline: Instant,
    ) -> Result<Tokens, Failure> {
        let login: &Login = &user.login;
        for token in state.current.iter().flat_map(Tokens::both) {
            self.run().redactor.learn(token);
        }
        let refresh_token = state.current.as_ref().and_then(|tokens| tokens.refresh.as_ref());
        if let (Some(request), Some(token)) = (&login.refresh, refresh_token) {
            let token = Value::from(token.expose());
            let renewed = self
                .ask_tokens(("refresh", name), request, &[("refresh_token", &token)], deadline)
                .await;
            match renewed {
                Err(failure) if failure.kind == Kind::LoginRefused => {}
                done => return done,
            }
        }
        for field in user.fields.values() {
            self.run().redactor.learn(field);
        }
        let fields = Value::Object(exposed(user));
        self.ask_tokens(("login", name), &login.login, &[("user", &fields)], deadline)
            .await
    }

    /// Sends a token request. The exchange becomes an entry of its own, `login:NAME` or `refresh:NAME`: it is our traffic and
    /// may be why a run broke off.
    async fn ask_tokens(
        &self,
        (what, name): (&str, &str),
        request: &TokenRequest,
        locals: Locals<'_>,
        deadline: Instant,
    ) -> Result<Tokens, Failure> {
        let begun = Instant::now();
        let http = self.token_request(request, locals, deadline).await?;
        let (mut exchange, failure, answer) = self.client.http_with_secrets(http).await;
        let failure = self.judge_answer(&mut exchange, failure);
        let got = match (failure, answer) {
            (None, Some(answer)) => self.read_tokens(what, request, &exchange, &answer),
            (Some(failure), _) => Err(Failure {
                detail: format!("{what}: {}", failure.detail),
                ..failure
            }),
            (None, None) => Err(Failure::new(Kind::LoginRefused, format!("the {what} gave no answer"))),
        };
        self.client.redact_again(&mut exchange);
        let entry = Entry {
            id: format!("{what}:{name}"),
            place: Vec::new(),
            offset_ms: self.run().offset_ms(begun),
            duration_ms: begun.elapsed().as_secs_f64() * 1e3,
            credential: Some(name.to_owned()),
            seen: Observation::Http(exchange),
            failure: got.as_ref().err().cloned(),
        };
        self.record.keep(entry)?;
        got
    }

    async fn token_request(
        &self,
        request: &TokenRequest,
        locals: Locals<'_>,
        deadline: Instant,
    ) -> Result<HttpRequest, Failure> {
        let invalid = |detail: String| Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor);
        let scope = &self.runner.target_scope;
        let mut scope = scope.child();
        locals.iter().for_each(|(name, value)| scope.set(name, value));
        let body = super::bindings::fill_json(&request.json, &scope)
            .map_err(|error| invalid(format!("login request: {error}")))?;
        drop(scope);
        forbidden::path(&self.runner.catalog.target.forbidden, &request.method, &request.path)?;
        let planned = Planned {
            kind: "http",
            method: &request.method,
            base: &request.base,
            path: &request.path,
        };
        self.admit(&planned, deadline).await?;
        let method = request
            .method
            .parse()
            .map_err(|_| invalid(format!("`{}` is no method", request.method)))?;
        let mut http = HttpRequest::new(method, self.url(&request.base, &request.path)?);
        http.body = RequestBody::Json(body);
        http.cookies = Cookies::Drop;
        http.within = deadline.saturating_duration_since(Instant::now());
        Ok(http)
    }

    fn read_tokens(
        &self,
        what: &str,
        request: &TokenRequest,
        exchange: &HttpExchange,
        answer: &Unredacted,
    ) -> Result<Tokens, Failure> {
        let view = raw_answer(exchange, answer);
        let mut scope = self.runner.target_scope.child();
        scope.set("answer", &view);
        let text = |value: Result<Value, _>| match value {
            Ok(Value::String(text)) if !text.is_empty() => Some(Secret::new(text)),
            _ => None,
        };
        let status = exchange.status.unwrap_or_default();
        let refused = || {
            let detail = format!("the {what} was answered with HTTP {status} and no access token");
            Failure::new(Kind::LoginRefused, detail).with_status(status)
        };
        let access = text(request.access_token.evaluate(&scope)).ok_or_else(refused)?;
        let refresh = request
            .refresh_token
            .as_ref()
            .and_then(|token| text(token.evaluate(&scope)));
        let redactor = &self.run().redactor;
        redactor.learn(&access);
        refresh.iter().for_each(|token| redactor.learn(token));
        let claims = Value::Object(jwt::claims(&access).unwrap_or_default());
        Ok(Tokens::new(access, refresh, &claims, clock::unix_seconds(clock::now())))
    }

    fn mint(&self, mint: &Mint, iat: f64) -> Result<Secret, Failure> {
        let invalid = |detail: String| Failure::new(Kind::CredentialMissing, detail);
        let key = match mint.algorithm {
            jsonwebtoken::Algorithm::HS256 => MintKey::hs256(&mint.key),
            jsonwebtoken::Algorithm::RS256 => MintKey::rs256(&mint.key),
            _ => MintKey::es256(&mint.key),
        };
        let key = key.map_err(|error| invalid(error.to_string()))?;
        let scope = self.runner.target_scope.child();
        let claims =
            super::bindings::fill_json(&mint.claims, &scope).map_err(|error| invalid(format!("claims: {error}")))?;
        let Value::Object(mut claims) = claims else {
            return Err(invalid("claims are no object".to_owned()));
        };
        // NumericDate may have a fraction, but not everybody reads one.
        let iat = iat.floor();
        claims.insert("iat".to_owned(), whole(iat));
        claims.insert("nbf".to_owned(), whole(iat));
        claims.insert("exp".to_owned(), whole(iat + mint.lifetime.as_secs_f64().ceil()));
        claims.insert(
            "jti".to_owned(),
            Value::from(format!("{:032x}", rand::random::<u128>())),
        );
        key.mint(&claims, mint.key_id.as_deref())
            .map_err(|error| invalid(error.to_string()))
    }

    fn token_clock(&self) -> TokenClock {
        TokenClock {
            now_unix: clock::unix_seconds(clock::now()),
            time_scale: self.runner.catalog.time_scale,
        }
    }

    /// The target refused a token that should hold: whoever needs it next logs in anew.
    pub(super) async fn distrust(&self, name: &str, token: &Secret) {
        if let Ok(source) = self.source(name) {
            source.slot().distrust(token).await;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
fn whole(seconds: f64) -> Value {
    Value::from(seconds as i64)
}

fn exposed(user: &UserCredential) -> Map<String, Value> {
    user.fields
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.expose())))
        .collect()
}

/// An answer as expressions read it, before redaction.
pub(super) fn raw_answer(exchange: &HttpExchange, answer: &Unredacted) -> Value {
    let mut headers = Map::new();
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = match headers.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.into_owned(),
        };
        headers.insert(name.to_string(), Value::from(joined));
    }
    json!({ "status": exchange.status, "headers": headers, "json": answer.json, "body": { "text": answer.text } })
}
