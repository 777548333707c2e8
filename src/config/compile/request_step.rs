//! HTTP requests and event streams, and what every step that sends something needs: paths, headers, bodies.

use super::auth::{Transports, auth, user_fields};
use super::scalar::number;
use super::step::Steps;
use super::target::known_base;
use super::wire::header;
use crate::catalog::JsonTemplate;
use crate::catalog::step::{Action, ConnectionPolicy, Cookies, Http, HttpBody, HttpVersion, Redirects, Silence, Sse};
use crate::config::error::At;
use crate::config::lexicon::{Lexicon, Root};
use crate::config::raw;
use crate::expression::Template;
use crate::limits::BODY_BYTES_MAX;
use std::time::Duration;

impl<'load> Steps<'load, '_> {
    pub(super) fn http_step(&mut self, shape: &'load raw::Request, at: At<'load>) -> (Action, Duration) {
        for (key, given) in [("until", shape.until.is_some()), ("silence", shape.silence.is_some())] {
            if given {
                at.key(key).wrong(
                    format!("`{key}` belongs to `sse`"),
                    "write `sse:` instead of `http:`, or leave it out",
                );
            }
        }
        let within = self.within(shape.within.as_ref(), at);
        (Action::Http(Box::new(self.request(shape, at))), within)
    }

    pub(super) fn sse_step(&mut self, shape: &'load raw::Request, at: At<'load>) -> (Action, Duration) {
        let events = self.lexicon.clone().with("event", Root::Context);
        let sse = Sse {
            request: self.request(shape, at),
            until: events.optional(shape.until.as_ref(), at.key("until")),
            silence: silence(shape.silence, shape.until.is_some(), at.key("silence")),
        };
        (Action::Sse(Box::new(sse)), self.within(shape.within.as_ref(), at))
    }

    fn request(&mut self, shape: &'load raw::Request, at: At<'load>) -> Http {
        known_base(self.context, &shape.base, at.key("base"));
        let holes = self.holes();
        let method = shape.method.unwrap_or(raw::HttpMethod::Get).as_str();
        let path = self.path(&holes, method, &shape.path, at.key("path"));
        let body = self.body(&holes, shape, at);
        Http {
            method: method.to_owned(),
            base: shape.base.clone(),
            path,
            headers: self.headers(&holes, &shape.headers, at.key("headers")),
            auth: auth(
                &self.auth_scope(),
                (shape.auth.as_ref(), Transports::Header),
                &holes,
                at.key("auth"),
            ),
            body,
            connection: shape.connection.unwrap_or(ConnectionPolicy::Fresh),
            version: shape.version.unwrap_or(HttpVersion::Any),
            cookies: shape.cookies.unwrap_or(Cookies::Drop),
            redirects: shape.redirects.unwrap_or(Redirects::Record),
            raw_path: shape.raw_path,
            incremental: shape.incremental,
            each_address: shape.each_address,
            body_max: number(
                shape.body_max.unwrap_or(BODY_BYTES_MAX),
                "body_max",
                (0, BODY_BYTES_MAX),
                at.key("body_max"),
            ),
        }
    }

    /// A path, refused if what is written out of it is never to be requested.
    pub(super) fn path(&self, holes: &Lexicon, method: &str, text: &'load str, at: At<'load>) -> Template {
        let template = self.template(holes, text, at);
        if !text.starts_with('/') && !text.starts_with("${") {
            at.wrong(format!("the path `{text}` does not begin with /"), "write /…");
        }
        // Up to the first hole nothing can change any more.
        let written = text.split("${").next().unwrap_or(text);
        if let Some(rule) = self.forbidden.path(method, written) {
            at.wrong(
                format!("`{method} {text}` is never to be requested (`{rule}`)"),
                "choose another path, or take the rule off `target.forbidden.paths`",
            );
        }
        template
    }

    fn body(&self, holes: &Lexicon, shape: &'load raw::Request, at: At<'load>) -> HttpBody {
        match (&shape.json, &shape.text) {
            (None, None) => HttpBody::None,
            (Some(json), None) => {
                if shape.content_type.is_some() {
                    at.key("content_type")
                        .wrong("`content_type` belongs to `text`", "leave it out; JSON has its own");
                }
                HttpBody::Json(self.json(holes, json, at.key("json")))
            }
            (None, Some(text)) => HttpBody::Text {
                text: self.body_text(holes, text, at.key("text")),
                content_type: shape.content_type.clone().unwrap_or_else(|| "text/plain".to_owned()),
            },
            (Some(_), Some(_)) => {
                at.key("text")
                    .wrong("the request has two bodies", "write `json` or `text`, one of them");
                HttpBody::None
            }
        }
    }

    /// A text body or message, refused if it holds a forbidden word.
    pub(super) fn body_text(&self, holes: &Lexicon, text: &'load str, at: At<'load>) -> Template {
        self.forbidden_words(text, at);
        self.template(holes, text, at)
    }

    /// A JSON body or message, refused if a string of it holds a forbidden word.
    pub(super) fn json(&self, holes: &Lexicon, json: &'load serde_json::Value, at: At<'load>) -> JsonTemplate {
        self.forbidden_strings(json, at);
        let compiled = holes.json(json, at);
        user_fields(self.context, self.credentials, &compiled.holes(), at);
        compiled
    }

    pub(super) fn headers(
        &self,
        holes: &Lexicon,
        shapes: &'load raw::Named<String>,
        at: At<'load>,
    ) -> Vec<(String, Template)> {
        let shapes = shapes.iter();
        shapes
            .map(|(name, value)| {
                let at = at.key(name);
                header(&self.forbidden, name, value, at);
                (name.to_owned(), self.template(holes, value, at))
            })
            .collect()
    }

    fn template(&self, holes: &Lexicon, text: &'load str, at: At<'load>) -> Template {
        let template = holes.template_or_placeholder(text, at);
        user_fields(
            self.context,
            self.credentials,
            &template.holes().collect::<Vec<_>>(),
            at,
        );
        template
    }

    fn forbidden_strings(&self, json: &serde_json::Value, at: At) {
        match json {
            serde_json::Value::String(text) => self.forbidden_words(text, at),
            serde_json::Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(place, item)| self.forbidden_strings(item, at.item(place))),
            serde_json::Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| self.forbidden_strings(value, at.key(name))),
            _ => {}
        }
    }

    fn forbidden_words(&self, text: &str, at: At) {
        // What stands in a hole is code, not text; what it gives is looked at when it is sent.
        let written: String = without_holes(text);
        if let Some(word) = self.forbidden.body(&written) {
            at.wrong(
                format!("the text holds the forbidden word `{word}`"),
                "say it in other words, or take the word off `target.forbidden.body_words`",
            );
        }
    }
}

fn without_holes(text: &str) -> String {
    let mut pieces = text.split("${");
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |written, piece| {
        written + " " + piece.split_once('}').map_or("", |(_, after)| after)
    })
}

/// What silence means: without a message to wait for it is the normal end.
pub fn silence(given: Option<Silence>, has_until: bool, at: At) -> Silence {
    if !has_until && given == Some(Silence::Fails) {
        at.wrong(
            "without `until` there is no silence to fail on",
            "add `until: …`, or leave `silence` out",
        );
    }
    given.unwrap_or(if has_until { Silence::Fails } else { Silence::Ends })
}
