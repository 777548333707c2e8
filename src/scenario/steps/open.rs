//! `ws.open`: the opening handshake, what it means for the credential shown, and `settle`, which looks for a refusal after
//! the 101. Must not: read frames of a session that is kept.

use super::http::unsent;
use super::request::{ShownToken, cookies, ours, unfilled};
use super::session::Collected;
use crate::catalog::step::Open;
use crate::catalog::{Auth, AutoAnswer, SocketEndpoint, Step, TokenKind};
use crate::expression::{Expression, Template};
use crate::failure::{Failure, Kind, UpgradeOutcome};
use crate::limits::CLOSE_WITHIN;
use crate::probe::{Rule, SeenFrame, Session, Shown, UpgradeRequest};
use crate::scenario::bindings::fill_json;
use crate::scenario::execution::{Branch, Done, Execution};
use crate::scenario::forbidden;
use crate::scenario::sockets::{Link, Socket, Story};
use crate::scenario::traffic::Planned;
use crate::secret::Secret;
use crate::transcript::{HttpExchange, Observation, UpgradeExchange};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is right for the credential that a handshake shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    /// To be let in.
    Entry,
    /// To be refused, in the way that the endpoint's `refused` describes.
    Refusal,
}

impl Execution {
    pub(super) async fn open(&self, step: &Step, open: &Open, branch: &Branch) -> Done {
        let deadline = branch.deadline_in(step.within);
        let Some(endpoint) = self.runner.catalog.target.sockets.get(&open.endpoint) else {
            let failure = ours(format!("socket `{}` is not configured", open.endpoint));
            return unsent(Observation::Upgrade(unasked(open)), failure, &open.auth);
        };
        let (request, shown) = match self.handshake(open, endpoint, branch, deadline).await {
            Ok(ready) => ready,
            Err(failure) => return unsent(Observation::Upgrade(unasked(open)), failure, &open.auth),
        };
        let (mut exchange, link) = if open.raw {
            let (exchange, session) = self.client.upgrade_raw(request).await;
            (
                exchange,
                session.map(|session| Link::Raw(tokio::sync::Mutex::new(session))),
            )
        } else {
            let (exchange, session) = self.client.upgrade(request).await;
            (
                exchange,
                session.map(|session| Link::Own(self.with_answers(session, endpoint))),
            )
        };
        let credential = shown.as_ref().map(|shown| shown.credential.clone());
        let (link, refused) = match link {
            Ok(link) => (Some(link), None),
            Err(failure) => (None, Some(failure)),
        };
        let mut failure = self.judge_answer(&mut exchange.http, refused);
        if let Some(link) = link {
            let socket = Socket::new(link, Story::new(exchange.clone(), credential.clone()));
            match open.settle {
                Some(settle) => exchange = self.settle(&socket, settle, branch).await,
                None => self.sockets.put(&open.on, &branch.layer.crowd, socket),
            }
        }
        let refused = self.weigh(&mut exchange, open, endpoint, right(open, endpoint));
        if refused
            && failure
                .as_ref()
                .is_some_and(|failure| failure.kind == Kind::WsUpgradeRefused)
        {
            failure = None;
        }
        self.settle_accounts(&exchange, endpoint, shown.as_ref(), refused).await;
        Done {
            credential,
            ..Done::new(Observation::Upgrade(exchange), failure)
        }
    }

    /// Builds the handshake and waits for room in the limits.
    async fn handshake(
        &self,
        open: &Open,
        endpoint: &SocketEndpoint,
        branch: &Branch,
        deadline: Instant,
    ) -> Result<(UpgradeRequest, Option<ShownToken>), Failure> {
        let shown = self.shown(&open.auth, branch, deadline).await?;
        let mut holes: Vec<&Expression> = open.path.iter().flat_map(Template::holes).collect();
        holes.extend(open.headers.iter().flat_map(|(_, value)| value.holes()));
        if let Auth::Raw(value) = &open.auth {
            holes.extend(value.holes());
        }
        let locals = self.locals(&holes, branch, deadline).await?;
        let locals = locals.as_refs();
        let fill = |template| {
            self.bindings
                .fill(&branch.layer, template, &locals)
                .map_err(|error| unfilled(&error))
        };
        let mut url = endpoint.url.clone();
        if let Some(path) = &open.path {
            let path = fill(path)?;
            let (path, query) = path
                .split_once('?')
                .map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
            url.set_path(path);
            url.set_query(query);
        }
        let mut request = UpgradeRequest::new(open.endpoint.clone(), url.as_str());
        request.subprotocols = open
            .subprotocols
            .clone()
            .unwrap_or_else(|| endpoint.subprotocols.clone());
        request.token = token_name(&open.auth).to_owned();
        request.cookies = cookies(open.cookies);
        for (name, value) in &open.headers {
            forbidden::header(&self.runner.catalog.target.forbidden, name)?;
            request.headers.push((name.clone(), fill(value)?));
        }
        match (&open.auth, &shown) {
            (Auth::Raw(value), _) => {
                let value = fill(value)?;
                self.learn_authorization(&value);
                request.headers.push(("authorization".to_owned(), value));
            }
            (Auth::Subprotocol { .. }, Some(shown)) => self.offer_token(&mut request, open, endpoint, &shown.token)?,
            (_, Some(shown)) => request.shown = Shown::Header(shown.token.clone()),
            (_, None) => {}
        }
        forbidden::path(
            &self.runner.catalog.target.forbidden,
            "GET",
            &url[url::Position::BeforePath..],
        )?;
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        let planned = Planned {
            kind: "upgrade",
            method: "GET",
            base: &open.endpoint,
            path: &path,
        };
        self.admit(&planned, deadline).await?;
        request.within = deadline.saturating_duration_since(Instant::now());
        Ok((request, shown))
    }

    /// Offers the endpoint's subprotocols for a token: the items without holes as they are, the one with the token as a secret.
    fn offer_token(
        &self,
        request: &mut UpgradeRequest,
        open: &Open,
        endpoint: &SocketEndpoint,
        token: &Secret,
    ) -> Result<(), Failure> {
        let mut scope = self.runner.target_scope.child();
        scope.set("token", &Value::from(token.expose()));
        scope.set("token_base64url", &Value::from(URL_SAFE_NO_PAD.encode(token.expose())));
        request.subprotocols = open.subprotocols.clone().unwrap_or_default();
        for item in &endpoint.token_subprotocols {
            let filled = item
                .fill_text(&scope)
                .map_err(|error| ours(format!("token_subprotocols: {error}")))?;
            if item.holes().next().is_some() {
                request.shown = Shown::Subprotocol(Secret::new(filled));
            } else if !request.subprotocols.contains(&filled) {
                request.subprotocols.push(filled);
            }
        }
        match request.shown {
            Shown::Subprotocol(_) => Ok(()),
            _ => Err(ours(format!(
                "socket `{}` has no token_subprotocols with a token",
                open.endpoint
            ))),
        }
    }

    /// Lets the session give the endpoint's automatic answers.
    fn with_answers(&self, session: Session, endpoint: &SocketEndpoint) -> Session {
        if endpoint.answers.is_empty() {
            return session;
        }
        let answers: Vec<AutoAnswer> = endpoint.answers.clone();
        let runner = Arc::clone(&self.runner);
        let rule: Rule = Arc::new(move |seen: &SeenFrame| {
            let frame =
                json!({ "opcode": seen.opcode().as_str(), "text": seen.expose_text(), "json": seen.expose_json() });
            let mut scope = runner.target_scope.child();
            scope.set("frame", &frame);
            let answer = answers
                .iter()
                .find(|answer| answer.when.holds(&scope).unwrap_or(false))?;
            fill_json(&answer.json, &scope).ok().map(|json| json.to_string())
        });
        session.answer(rule);
        session
    }

    /// Reads until the peer closes or the time is over, and closes: the handshake with what came after it.
    async fn settle(&self, socket: &Arc<Socket>, settle: Duration, branch: &Branch) -> UpgradeExchange {
        let mut collected = Collected::default();
        let until = branch.deadline_in(settle);
        // How the session ends is what settling looks for, not a failure.
        let _ = self.collect(socket, &mut collected, until, |_, _| false).await;
        let mut exchange = socket.story().opened.clone();
        exchange.close = collected.close;
        exchange.frames = collected.frames;
        if exchange.close.is_none() {
            socket.close(1000, "", CLOSE_WITHIN).await;
        }
        exchange
    }

    /// Whether the exchange is the endpoint's right refusal; corrects the outcome of handshakes that should be refused.
    fn weigh(&self, exchange: &mut UpgradeExchange, open: &Open, endpoint: &SocketEndpoint, right: Right) -> bool {
        let refused = endpoint
            .refused
            .as_ref()
            .is_some_and(|refused| self.says(refused, exchange));
        match right {
            Right::Refusal if refused => exchange.outcome = UpgradeOutcome::Ok,
            // A bad credential that was let in is no right answer, whatever the handshake looks like.
            Right::Refusal if exchange.accepted => exchange.outcome = UpgradeOutcome::HttpOther,
            Right::Refusal | Right::Entry => {}
        }
        refused && (right == Right::Refusal || open.settle.is_some())
    }

    /// Whether an expression over `open` holds.
    pub(super) fn says(&self, that: &Expression, open: &UpgradeExchange) -> bool {
        let view = serde_json::to_value(open).unwrap_or_default();
        let mut scope = self.runner.target_scope.child();
        scope.set("open", &view);
        that.holds(&scope).unwrap_or(false)
    }

    /// Counts the handshake of a user, lets a user rest whose limit is reached, and drops a token that was refused.
    async fn settle_accounts(
        &self,
        exchange: &UpgradeExchange,
        endpoint: &SocketEndpoint,
        shown: Option<&ShownToken>,
        refused: bool,
    ) {
        let Some(shown) = shown else { return };
        if exchange.accepted && !refused {
            self.purse.lease.count_handshake(&shown.credential);
        }
        if matches!(exchange.http.status, Some(401 | 403)) && matches!(shown.kind, TokenKind::Valid) {
            self.distrust(&shown.credential, &shown.token).await;
        }
        self.rest_if_limited(exchange, endpoint, &shown.credential);
    }

    /// Lets the user behind `credential` rest if the exchange says that the user's own limit is reached.
    pub(super) fn rest_if_limited(&self, exchange: &UpgradeExchange, endpoint: &SocketEndpoint, credential: &str) {
        let limited = endpoint
            .user_limit
            .as_ref()
            .is_some_and(|limit| self.says(limit, exchange));
        if let (true, Some(place)) = (limited, self.purse.lease.user(credential)) {
            self.runner.leases.rest(place);
        }
    }
}

fn right(open: &Open, endpoint: &SocketEndpoint) -> Right {
    let bad = match &open.auth {
        Auth::None | Auth::Raw(_) => true,
        Auth::Header { token, .. } | Auth::Subprotocol { token, .. } => {
            matches!(token, TokenKind::Tampered | TokenKind::AlgNone | TokenKind::Aged)
        }
    };
    // An endpoint that describes no refusal is open to everybody.
    if bad && endpoint.refused.is_some() {
        Right::Refusal
    } else {
        Right::Entry
    }
}

fn token_name(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Raw(_) => "given",
        Auth::Header { token, .. } | Auth::Subprotocol { token, .. } => match token {
            TokenKind::Valid => "valid",
            TokenKind::Tampered => "tampered",
            TokenKind::AlgNone => "alg_none",
            TokenKind::Aged => "aged",
            TokenKind::Captured(_) => "given",
        },
    }
}

/// The handshake that was never sent.
fn unasked(open: &Open) -> UpgradeExchange {
    let transport = match &open.auth {
        Auth::None => "none",
        Auth::Header { .. } | Auth::Raw(_) => "header",
        Auth::Subprotocol { .. } => "subprotocol",
    };
    UpgradeExchange {
        endpoint: open.endpoint.clone(),
        token: token_name(&open.auth).to_owned(),
        transport: transport.to_owned(),
        http: HttpExchange {
            method: "GET".to_owned(),
            ..HttpExchange::default()
        },
        accepted: false,
        outcome: UpgradeOutcome::BadHandshake,
        subprotocol: String::new(),
        frames: Vec::new(),
        close: None,
    }
}
