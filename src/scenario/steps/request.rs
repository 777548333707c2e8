//! Building requests: templates, the secrets they may read, what is forbidden, and the limits on traffic.
//! Must not: send.

use crate::catalog::step::{self, HttpBody};
use crate::catalog::{Auth, TokenKind};
use crate::expression::Expression;
use crate::failure::{Blame, Failure, Kind};
use crate::probe::{ConnectionUse, Cookies, HttpRequest, HttpVersion, Redirects, RequestBody};
use crate::scenario::execution::{Branch, Execution};
use crate::scenario::traffic::{Planned, Room};
use crate::scenario::{forbidden, traffic};
use crate::secret::Secret;
use crate::transcript::HttpExchange;
use serde_json::Value;
use tokio::time::Instant;

/// Variables of one request that may hold secrets. They live as long as the request is being built.
pub(super) struct Locals(Vec<(String, Value)>);

impl Locals {
    /// As the bindings take them.
    pub(super) fn as_refs(&self) -> Vec<(&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }
}

/// A token that a step shows.
pub(super) struct ShownToken {
    /// Full name of the credential.
    pub(super) credential: String,
    /// The token.
    pub(super) token: Secret,
    /// Which one it is.
    pub(super) kind: TokenKind,
}

/// A request ready to be sent, and the token it shows.
pub(super) struct Ready {
    pub(super) request: HttpRequest,
    pub(super) shown: Option<ShownToken>,
}

impl Execution {
    /// The variables that `holes` need beside the bindings: secrets (`secret.NAME`, `NAME.user.FIELD`, `NAME.token`,
    /// `NAME.refresh_token`), and the facts of credentials whose token has not been looked at yet.
    ///
    /// # Errors
    /// As [`Execution::token`].
    pub(super) async fn locals(
        &self,
        holes: &[&Expression],
        branch: &Branch,
        deadline: Instant,
    ) -> Result<Locals, Failure> {
        let mut locals: Vec<(String, Value)> = Vec::new();
        for path in holes.iter().flat_map(|hole| hole.reads()) {
            if path.root == "secret" {
                locals.push(("secret".to_owned(), self.purse.exposed_secrets()));
                continue;
            }
            let name = self.purse.full_name(&branch.layer, &path.root);
            let Some(facts) = self.purse.facts_view(&name) else {
                continue;
            };
            if locals.iter().all(|(known, _)| *known != path.root) {
                locals.push((path.root.clone(), facts));
            }
            let found = locals.iter_mut().find(|(known, _)| *known == path.root);
            if let Some((_, view)) = found {
                self.add_secrets(view, &name, path.fields.first().map(String::as_str), deadline)
                    .await?;
            }
        }
        Ok(Locals(locals))
    }

    /// Adds what `field` of a credential is to its view.
    async fn add_secrets(
        &self,
        view: &mut Value,
        name: &str,
        field: Option<&str>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let redactor = &self.run().redactor;
        match field {
            Some("user") => {
                let fields = self.user_fields(name).unwrap_or_default();
                fields
                    .values()
                    .filter_map(Value::as_str)
                    .for_each(|text| redactor.learn(&Secret::new(text)));
                view["user"] = Value::Object(fields);
            }
            Some("token" | "refresh_token") => {
                let tokens = self.tokens(name, deadline).await?;
                view["token"] = Value::from(tokens.access.expose());
                view["refresh_token"] = tokens.refresh.map_or(Value::Null, |token| Value::from(token.expose()));
            }
            _ if self.purse.knows(name) => {}
            _ => {
                self.tokens(name, deadline).await?;
                let facts = self.purse.facts_view(name).unwrap_or_default();
                for part in ["sub", "claims"] {
                    view[part] = facts[part].clone();
                }
            }
        }
        Ok(())
    }

    /// The token that `auth` shows, if it shows one of a credential.
    ///
    /// # Errors
    /// As [`Execution::token`].
    pub(super) async fn shown(
        &self,
        auth: &Auth,
        branch: &Branch,
        deadline: Instant,
    ) -> Result<Option<ShownToken>, Failure> {
        let (Auth::Header { credential, token } | Auth::Subprotocol { credential, token }) = auth else {
            return Ok(None);
        };
        let credential = self.purse.full_name(&branch.layer, credential);
        let secret = self.token(&credential, token, deadline).await?;
        // Logging in may have told us more about the credentials.
        self.purse.show(&self.bindings, &branch.layer);
        Ok(Some(ShownToken {
            credential,
            token: secret,
            kind: token.clone(),
        }))
    }

    /// Builds the request of `http` and waits for room in the limits.
    ///
    /// # Errors
    /// Why it may not or cannot be sent.
    pub(super) async fn ready(&self, http: &step::Http, branch: &Branch, deadline: Instant) -> Result<Ready, Failure> {
        let shown = self.shown(&http.auth, branch, deadline).await?;
        let mut holes: Vec<&Expression> = http.path.holes().collect();
        holes.extend(http.headers.iter().flat_map(|(_, value)| value.holes()));
        match &http.body {
            HttpBody::None => {}
            HttpBody::Json(json) => holes.extend(json.holes()),
            HttpBody::Text { text, .. } => holes.extend(text.holes()),
        }
        if let Auth::Raw(value) = &http.auth {
            holes.extend(value.holes());
        }
        let locals = self.locals(&holes, branch, deadline).await?;
        let locals = locals.as_refs();
        let fill = |template| {
            self.bindings
                .fill(&branch.layer, template, &locals)
                .map_err(|error| unfilled(&error))
        };
        let path = fill(&http.path)?;
        let mut headers = Vec::new();
        for (name, value) in &http.headers {
            headers.push((name.clone(), fill(value)?));
        }
        if let Auth::Raw(value) = &http.auth {
            let value = fill(value)?;
            self.learn_authorization(&value);
            headers.push(("authorization".to_owned(), value));
        }
        let body = match &http.body {
            HttpBody::None => RequestBody::None,
            HttpBody::Json(json) => {
                let filled = self.bindings.fill_json(&branch.layer, json, &locals);
                RequestBody::Json(filled.map_err(|error| unfilled(&error))?)
            }
            HttpBody::Text { text, content_type } => {
                headers.push(("content-type".to_owned(), content_type.clone()));
                RequestBody::Text(fill(text)?)
            }
        };
        self.allowed(&http.method, &path, &headers, &body)?;
        let planned = Planned {
            kind: "http",
            method: &http.method,
            base: &http.base,
            path: &path,
        };
        self.admit(&planned, deadline).await?;
        let method = http
            .method
            .parse()
            .map_err(|_| ours(format!("`{}` is no method", http.method)))?;
        let mut request = HttpRequest::new(method, self.url(&http.base, &path)?);
        request.headers = headers;
        request.body = body;
        request.authorization = shown.as_ref().map(|shown| shown.token.clone());
        policies(&mut request, http);
        request.within = deadline.saturating_duration_since(Instant::now());
        Ok(Ready { request, shown })
    }

    /// Hides a written `Authorization` and the credential in it; a short one (`Bearer null`) is a word like any other.
    pub(super) fn learn_authorization(&self, value: &str) {
        const CREDENTIAL_BYTES_MIN: usize = 12;
        let redactor = &self.run().redactor;
        redactor.learn(&Secret::new(value));
        let credential = value.split_once(' ').map_or(value, |(_, credential)| credential.trim());
        if credential.len() >= CREDENTIAL_BYTES_MIN {
            redactor.learn(&Secret::new(credential));
        }
    }

    fn allowed(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &RequestBody,
    ) -> Result<(), Failure> {
        let rules = &self.runner.catalog.target.forbidden;
        let redactor = &self.run().redactor;
        forbidden::path(rules, method, path)?;
        headers
            .iter()
            .try_for_each(|(name, _)| forbidden::header(rules, name))?;
        match body {
            RequestBody::Json(value) => forbidden::json(rules, value, redactor),
            RequestBody::Text(text) => forbidden::text(rules, text, redactor),
            RequestBody::None | RequestBody::Bytes(_) => Ok(()),
        }
    }

    /// Waits for room in every limit that `planned` falls under, for at most half of the time until `deadline`: the target
    /// must not be blamed for what our own limits took.
    ///
    /// # Errors
    /// `budget_exhausted`.
    pub(in crate::scenario) async fn admit(&self, planned: &Planned<'_>, deadline: Instant) -> Result<(), Failure> {
        let begun = Instant::now();
        let patience = begun + deadline.saturating_duration_since(begun) / 2;
        let room = if self.scenario.may_use_reserve() {
            Room::Whole
        } else {
            Room::Usual
        };
        let traffic = &self.runner.traffic;
        let admitted = traffic
            .admit(planned, &self.runner.target_scope, (room, patience))
            .await;
        self.record.note_wait(begun.elapsed());
        admitted
    }

    /// The URL of `path` under a named base. The path is kept as written.
    ///
    /// # Errors
    /// `step_invalid` for a base that is not configured.
    pub(in crate::scenario) fn url(&self, base: &str, path: &str) -> Result<String, Failure> {
        let url = self.runner.catalog.target.bases.get(base);
        let url = url.ok_or_else(|| ours(format!("base `{base}` is not configured")))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(format!("{}{slash}{path}", url.as_str().trim_end_matches('/')))
    }

    /// Says who answered, and whether the answer means that we send too much; its failure then is our budget.
    pub(in crate::scenario) fn judge_answer(
        &self,
        exchange: &mut HttpExchange,
        failure: Option<Failure>,
    ) -> Option<Failure> {
        let Some(status) = exchange.status else { return failure };
        self.record.note_answer();
        let target = &self.runner.catalog.target;
        if target.fingerprints.is_empty() && target.throttled.is_none() && target.instance_age.is_none() {
            return failure;
        }
        let answer = serde_json::to_value(&*exchange).unwrap_or_default();
        let mut scope = self.runner.target_scope.child();
        scope.set("answer", &answer);
        let holds = |when: &Expression| when.holds(&scope).unwrap_or(false);
        if !target.fingerprints.is_empty() {
            let print = target.fingerprints.iter().find(|print| holds(&print.when));
            exchange.layer = print.map_or("unknown", |print| print.layer.as_str()).to_owned();
        }
        let now = crate::clock::unix_seconds(crate::clock::now());
        let age = target
            .instance_age
            .as_ref()
            .and_then(|age| age.evaluate(&scope).ok()?.as_f64());
        if let Some(age) = age {
            self.runner.instances.answered(now - exchange.total_ms / 1e3, age);
        }
        if !target.throttled.as_ref().is_some_and(holds) {
            return failure;
        }
        let pause = self.runner.traffic.throttled(traffic::retry_after(&answer, now));
        let detail = format!(
            "the target answered HTTP {status}: backing off for {} s",
            pause.as_secs()
        );
        Some(Failure::new(Kind::BudgetExhausted, detail).with_status(status))
    }
}

fn policies(request: &mut HttpRequest, http: &step::Http) {
    request.connection = match http.connection {
        step::ConnectionPolicy::Fresh => ConnectionUse::Fresh,
        step::ConnectionPolicy::Pooled => ConnectionUse::Pooled,
    };
    request.version = match http.version {
        step::HttpVersion::Any => HttpVersion::Any,
        step::HttpVersion::Http1 => HttpVersion::Http1,
        step::HttpVersion::Http2 => HttpVersion::Http2,
    };
    request.cookies = cookies(http.cookies);
    request.redirects = match http.redirects {
        step::Redirects::Record => Redirects::Record,
        step::Redirects::FollowSameOrigin => Redirects::FollowSameOrigin,
    };
    request.raw_path = http.raw_path;
    request.body_max = http.body_max;
    request.incremental = http.incremental;
    request.each_address = http.each_address;
}

/// A template that has no value: something earlier in the run did not give what it needs.
pub(super) fn unfilled(error: &crate::expression::EvaluationError) -> Failure {
    Failure::new(Kind::StepInvalid, format!("cannot be sent: {error}"))
}

/// A mistake of our own.
pub(super) fn ours(detail: String) -> Failure {
    Failure::new(Kind::StepInvalid, detail).blamed_on(Blame::Monitor)
}

/// Cookies as the probe says it.
pub(super) fn cookies(cookies: step::Cookies) -> Cookies {
    match cookies {
        step::Cookies::Drop => Cookies::Drop,
        step::Cookies::Keep => Cookies::Keep,
    }
}
