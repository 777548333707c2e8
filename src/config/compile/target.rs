//! The target and the latency targets.

use super::Context;
use super::forbidden::forbidden;
use super::logs::logs;
use super::scalar::{Scale, duration, duration_or, identifier, identifier_key, is_loopback_host, number, url};
use super::wire::{dialled, wire};
use crate::catalog::{AutoAnswer, Fingerprint, LatencyTarget, RateLimit, SocketEndpoint, Target};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw;
use crate::config::words::suggest;
use crate::expression::{ConfiguredFunction, FunctionError, Functions, check_functions};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const WINDOW: Duration = Duration::from_secs(15 * 60);
const SAMPLES: u32 = 20;

/// Whether every base and socket is on this machine, so that made-up users and secrets in the file do no harm.
pub fn is_loopback(target: &raw::Target) -> bool {
    let sockets = target.sockets.iter().map(|(_, socket)| &socket.url);
    let mut urls = target.bases.iter().map(|(_, url)| url).chain(sockets).peekable();
    urls.peek().is_some() && urls.all(|text| Url::parse(text).is_ok_and(|url| is_loopback_host(url.host())))
}

/// The variable `target` with its facts.
pub fn root(context: &Context) -> Root {
    Root::fields(context.main.target.facts.iter().map(|(name, _)| name))
}

/// Says so when a base is not configured.
pub fn known_base(context: &Context, base: &str, at: At) {
    let bases = &context.main.target.bases;
    if bases.get(base).is_none() {
        let known: Vec<&str> = bases.iter().map(|(name, _)| name).collect();
        at.wrong(format!("the base `{base}` is not configured"), suggest(base, known));
    }
}

/// The path of each socket's URL, as far as it has one.
pub fn socket_paths(target: &raw::Target) -> BTreeMap<String, String> {
    let sockets = target.sockets.iter();
    sockets
        .map(|(name, socket)| {
            let path = Url::parse(&socket.url).map_or_else(|_| "/".to_owned(), |url| url.path().to_owned());
            (name.to_owned(), path)
        })
        .collect()
}

/// The target.
pub fn target<'load>(context: &Context<'load>, at: At<'load>) -> Target {
    let shape = &context.main.target;
    let answer = Lexicon::new(Rc::clone(&context.functions)).with("answer", Root::Context);
    let mut bases = BTreeMap::new();
    for (name, text) in shape.bases.iter() {
        let at = at.key("bases").key(name);
        identifier_key(name, "base", at);
        bases.insert(name.to_owned(), dialled(context, url(text, &["http", "https"], at), at));
    }
    if bases.is_empty() {
        at.key("bases")
            .wrong("the target has no base URL", "write `bases: { api: \"https://…\" }`");
    }
    let sockets = sockets(context, at.key("sockets"));
    for (name, _) in shape.facts.iter() {
        identifier_key(name, "fact", at.key("facts").key(name));
    }
    let origins = bases
        .values()
        .chain(sockets.values().map(|socket| &socket.url))
        .cloned()
        .collect();
    let controls = shape.controls.iter().enumerate();
    let fingerprints = shape.fingerprints.iter().enumerate();
    Target {
        name: shape.name.clone(),
        environment: shape.environment.clone(),
        bases,
        sockets,
        facts: shape
            .facts
            .iter()
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect(),
        wire: wire(context, origins, at.key("http")),
        limits: rate_limits(context, at.key("limits")),
        forbidden: forbidden(shape),
        controls: controls
            .map(|(place, text)| url(text, &["http", "https"], at.key("controls").item(place)))
            .collect(),
        fingerprints: fingerprints
            .map(|(place, print)| {
                let at = at.key("fingerprints").item(place);
                identifier(&print.layer, "layer", at.key("layer"));
                Fingerprint {
                    layer: print.layer.clone(),
                    when: answer.expression_or_placeholder(&print.when, at.key("when")),
                }
            })
            .collect(),
        functions: Arc::clone(&context.configured),
        throttled: answer.optional(shape.throttled.as_ref(), at.key("throttled")),
        instance_age: answer.optional(shape.instance_age.as_ref(), at.key("instance_age")),
        logs: shape.logs.as_ref().map(|shape| logs(context, shape, at.key("logs"))),
    }
}

fn sockets<'load>(context: &Context<'load>, at: At<'load>) -> BTreeMap<String, SocketEndpoint> {
    let mut sockets = BTreeMap::new();
    let lexicon = || Lexicon::new(Rc::clone(&context.functions));
    let open = lexicon().with("open", Root::Context);
    let frame = lexicon().with("frame", Root::Context);
    let token = lexicon()
        .with("token", Root::Context)
        .with("token_base64url", Root::Context);
    for (name, shape) in context.main.target.sockets.iter() {
        let at = at.key(name);
        identifier_key(name, "socket", at);
        let tokens = shape.token_subprotocols.iter().enumerate();
        let answers = shape.answers.iter().enumerate();
        let endpoint = SocketEndpoint {
            url: dialled(context, url(&shape.url, &["ws", "wss"], at.key("url")), at.key("url")),
            subprotocols: shape.subprotocols.clone(),
            token_subprotocols: tokens
                .map(|(place, text)| token.template_or_placeholder(text, at.key("token_subprotocols").item(place)))
                .collect(),
            answers: answers
                .map(|(place, answer)| {
                    let at = at.key("answers").item(place);
                    AutoAnswer {
                        when: frame.expression_or_placeholder(&answer.when, at.key("when")),
                        json: frame.json(&answer.json, at.key("json")),
                    }
                })
                .collect(),
            refused: open.optional(shape.refused.as_ref(), at.key("refused")),
            error_frame: open.optional(shape.error_frame.as_ref(), at.key("error_frame")),
            user_limit: open.optional(shape.user_limit.as_ref(), at.key("user_limit")),
        };
        sockets.insert(name.to_owned(), endpoint);
    }
    sockets
}

fn rate_limits<'load>(context: &Context<'load>, at: At<'load>) -> Vec<RateLimit> {
    let request =
        Lexicon::new(Rc::clone(&context.functions)).with("request", Root::fields(["method", "base", "path", "kind"]));
    let limits = context.main.target.limits.iter().enumerate();
    limits
        .map(|(place, limit)| {
            let at = at.item(place);
            identifier(&limit.name, "limit", at.key("name"));
            if limit.reserve >= limit.max {
                at.key("reserve").wrong(
                    format!(
                        "{} of {} requests are kept for bursts, which leaves none",
                        limit.reserve, limit.max
                    ),
                    "write less than `max`",
                );
            }
            RateLimit {
                name: limit.name.clone(),
                counts: request.expression_or_placeholder(&limit.counts, at.key("counts")),
                max: number(limit.max, "the limit", (1, 10_000_000), at.key("max")),
                per: duration(context, &limit.per, Scale::Scaled, at.key("per")),
                reserve: limit.reserve,
            }
        })
        .collect()
}

/// The configured functions: none may be part of the language already, or call itself.
pub fn functions(main: &raw::MainFile, names: &Rc<BTreeSet<String>>, at: At) -> Functions {
    let facts = Root::fields(main.target.facts.iter().map(|(name, _)| name));
    let mut functions = Functions::new();
    for (name, shape) in main.target.functions.iter() {
        let at = at.key(name);
        identifier_key(name, "function", at);
        identifier(&shape.of, "parameter", at.key("of"));
        let lexicon = Lexicon::new(Rc::clone(names)).with("target", facts.clone());
        let is = lexicon
            .with(&shape.of, Root::Context)
            .expression_or_placeholder(&shape.is, at.key("is"));
        let of = shape.of.clone();
        functions.insert(name.to_owned(), ConfiguredFunction { of, is });
    }
    for mistake in check_functions(&functions) {
        match mistake {
            FunctionError::Taken { name } => at.key(&name).name().wrong(
                format!("the function `{name}` is already part of the language"),
                "give it another name",
            ),
            FunctionError::Cycle { name, path } => at.key(&name).name().wrong(
                format!("the function `{name}` calls itself: {}", path.join(" → ")),
                "write it without the circle",
            ),
            // Said with its place by the lexicon.
            FunctionError::Unknown { .. } | FunctionError::Reads { .. } => {}
        }
    }
    functions
}

/// The promises about latency.
pub fn latency_targets(context: &Context, at: At) -> BTreeMap<String, LatencyTarget> {
    let mut targets = BTreeMap::new();
    for (name, shape) in context.main.latency_targets.iter() {
        let at = at.key(name);
        identifier_key(name, "latency target", at);
        let target = LatencyTarget {
            title: shape.title.clone(),
            seconds: number(
                shape.seconds,
                "the bound in seconds",
                (0.001, 3600.0),
                at.key("seconds"),
            ),
            samples_min: number(
                shape.samples.unwrap_or(SAMPLES),
                "the number of samples",
                (1, 100_000),
                at.key("samples"),
            ),
            window: duration_or(context, shape.window.as_ref(), Scale::Scaled, WINDOW, at.key("window")),
        };
        targets.insert(name.to_owned(), target);
    }
    targets
}
