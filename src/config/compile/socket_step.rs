//! Steps on WebSockets: which handle they use, and whether it is open by then.

use super::auth::{Transports, auth};
use super::request_step::silence;
use super::scalar::{Scale, duration, identifier, number};
use super::step::{Handle, Steps};
use crate::catalog::step::{Action, Cookies, Hold, Message, OnSocket, Open, Receive, Send};
use crate::config::error::At;
use crate::config::lexicon::Root;
use crate::config::raw::{self, TextOr};
use crate::config::words::{one_of, suggest};
use crate::limits::{CLOSE_REASON_BYTES_MAX, CONNECT_WITHIN, STEP_WITHIN, WS_MESSAGE_BYTES_MAX};
use base64::Engine;
use std::time::Duration;

/// The handle of a step that names none.
const MAIN: &str = "main";
/// Frames that one message may be cut into.
const FRAGMENTS_MAX: u32 = 1_000;

impl<'load> Steps<'load, '_> {
    /// The action of a step on a socket, if it is one.
    pub(super) fn socket_action(&mut self, shape: &'load raw::Step, at: At<'load>) -> Option<(Action, Duration)> {
        match shape {
            raw::Step { open: Some(open), .. } => Some(self.open(open, at)),
            raw::Step { send: Some(send), .. } => {
                Some((Action::Send(self.send(send, at)), self.within(send.within.as_ref(), at)))
            }
            raw::Step {
                receive: Some(receive), ..
            } => Some(self.receive(receive, at)),
            raw::Step { ping: Some(ping), .. } => {
                let on = self.session(ping.on.as_ref(), at);
                Some((Action::Ping(OnSocket { on }), self.within(ping.within.as_ref(), at)))
            }
            raw::Step { hold: Some(hold), .. } => {
                let (reading, on) = match hold {
                    TextOr::Text(word) => (reading(word, at), None),
                    TextOr::Detailed(detailed) => (detailed.reading, detailed.on.as_ref()),
                };
                let on = self.session(on, at);
                Some((Action::HoldReading { on, hold: reading }, STEP_WITHIN))
            }
            raw::Step { close: Some(close), .. } => Some(self.close(close, at)),
            raw::Step { abort: Some(abort), .. } => Some((self.abort(abort, at), STEP_WITHIN)),
            raw::Step { offer: Some(offer), .. } => {
                let on = self.session(offer.on.as_ref(), at);
                let hold = duration(self.context, &offer.hold, Scale::Scaled, at.key("hold"));
                Some((Action::Offer { on, hold }, hold + STEP_WITHIN))
            }
            raw::Step {
                borrow: Some(borrow), ..
            } => Some(self.borrow(borrow, at)),
            _ => None,
        }
    }

    fn open(&mut self, shape: &'load raw::Open, at: At<'load>) -> (Action, Duration) {
        let sockets = &self.context.main.target.sockets;
        let configured = sockets.get(&shape.socket);
        if configured.is_none() {
            let known: Vec<&str> = sockets.iter().map(|(name, _)| name).collect();
            at.key("socket").wrong(
                format!("the socket `{}` is not configured", shape.socket),
                suggest(&shape.socket, known),
            );
        }
        let holes = self.holes();
        let auth = auth(
            &self.auth_scope(),
            (shape.auth.as_ref(), Transports::HeaderAndSubprotocol),
            &holes,
            at.key("auth"),
        );
        if matches!(auth, crate::catalog::Auth::Subprotocol { .. })
            && configured.is_some_and(|socket| socket.token_subprotocols.is_empty())
        {
            at.key("auth").wrong(
                format!(
                    "the socket `{}` does not say how a token goes into a subprotocol",
                    shape.socket
                ),
                "add `token_subprotocols` to it, or write `auth: header`",
            );
        }
        let on = shape.on.clone().unwrap_or_else(|| MAIN.to_owned());
        identifier(&on, "handle", at.key("on"));
        let settle = shape
            .settle
            .as_ref()
            .map(|text| duration(self.context, text, Scale::Real, at.key("settle")));
        match settle {
            // A settled socket is closed again.
            Some(_) => {
                self.handles.remove(&on);
            }
            None => {
                let kind = if shape.raw { Handle::Raw } else { Handle::Session };
                self.handles.insert(on.clone(), kind);
            }
        }
        let open = Open {
            endpoint: shape.socket.clone(),
            path: shape
                .path
                .as_ref()
                .map(|path| self.path(&holes, "GET", path, at.key("path"))),
            on,
            auth,
            subprotocols: shape.subprotocols.clone(),
            headers: self.headers(&holes, &shape.headers, at.key("headers")),
            cookies: shape.cookies.unwrap_or(Cookies::Drop),
            settle,
            raw: shape.raw,
        };
        let within = match (&shape.within, settle) {
            (None, Some(settle)) => settle + STEP_WITHIN,
            (given, _) => self.within(given.as_ref(), at),
        };
        if settle.is_some_and(|settle| settle >= within) {
            at.key("within").wrong(
                "the step ends before it has settled",
                "write a `within` longer than `settle`",
            );
        }
        (Action::Open(Box::new(open)), within)
    }

    fn send(&mut self, shape: &'load raw::Send, at: At<'load>) -> Send {
        let on = self.any_socket(shape.on.as_ref(), at);
        let holes = self.holes();
        let message = match (&shape.json, &shape.text, &shape.binary) {
            (Some(json), None, None) => Message::Json(self.json(&holes, json, at.key("json"))),
            (None, Some(text), None) => Message::Text(self.body_text(&holes, text, at.key("text"))),
            (None, None, Some(bytes)) => Message::Binary(binary(bytes, at.key("binary"))),
            _ => {
                at.wrong("a message has exactly one content", "write one of: json, text, binary");
                Message::Binary(Vec::new())
            }
        };
        let fragments = number(
            shape.fragments.unwrap_or(1),
            "fragments",
            (1, FRAGMENTS_MAX),
            at.key("fragments"),
        );
        Send {
            on,
            message,
            // Larger ones than we accept ourselves are sent to see them refused.
            pad_to: shape
                .pad_to
                .map(|bytes| number(bytes, "pad_to", (1, 16 * WS_MESSAGE_BYTES_MAX), at.key("pad_to"))),
            fragments,
        }
    }

    fn receive(&mut self, shape: &'load raw::Receive, at: At<'load>) -> (Action, Duration) {
        let frames = self.lexicon.clone().with("frame", Root::Context);
        let receive = Receive {
            on: self.any_socket(shape.on.as_ref(), at),
            until: frames.optional(shape.until.as_ref(), at.key("until")),
            silence: silence(shape.silence, shape.until.is_some(), at.key("silence")),
        };
        (Action::Receive(receive), self.within(shape.within.as_ref(), at))
    }

    fn close(&mut self, shape: &'load raw::Close, at: At<'load>) -> (Action, Duration) {
        let on = self.any_socket(shape.on.as_ref(), at);
        let code = shape.code.unwrap_or(1000);
        // RFC 6455 section 7.4: 1004 to 1006 and 1015 never go over the wire.
        let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        if !sendable {
            at.key("code").wrong(
                format!("the close code {code} cannot be sent"),
                "write 1000 to 1003, 1007 to 1014 or 3000 to 4999",
            );
        }
        if shape.reason.len() > CLOSE_REASON_BYTES_MAX {
            at.key("reason").wrong(
                "the reason is too long",
                format!("write at most {CLOSE_REASON_BYTES_MAX} bytes"),
            );
        }
        let reason = shape.reason.clone();
        (
            Action::Close { on, code, reason },
            self.within(shape.within.as_ref(), at),
        )
    }

    fn abort(&mut self, shape: &'load raw::Abort, at: At<'load>) -> Action {
        let on = self.any_socket(shape.on.as_ref(), at);
        if self.handles.get(&on) == Some(&Handle::Session) {
            at.wrong(
                format!("`ws.abort` needs a socket that we dial ourselves, and `{on}` is none"),
                "write `raw: true` into the `ws.open` of this handle",
            );
        }
        Action::Abort {
            on,
            half_frame: shape.half_frame,
        }
    }

    fn borrow(&mut self, shape: &'load raw::Borrow, at: At<'load>) -> (Action, Duration) {
        let on = shape.on.clone().unwrap_or_else(|| MAIN.to_owned());
        identifier(&on, "handle", at.key("on"));
        self.handles.insert(on.clone(), Handle::Session);
        let resident = if shape.resident.contains('/') {
            shape.resident.clone()
        } else {
            format!("{}/{}", self.module, shape.resident)
        };
        let at_resident = at.key("resident");
        let names = &self.context.names;
        match names.scenarios.get(&resident) {
            Some(found) if found.is_resident && (found.offers.contains(&on) || shape.on.is_none()) => {}
            Some(found) if found.is_resident => {
                let offered: Vec<&str> = found.offers.iter().map(String::as_str).collect();
                at.key("on")
                    .wrong(format!("`{resident}` offers no socket `{on}`"), one_of(offered));
            }
            Some(_) => at_resident.wrong(
                format!("`{resident}` is not resident"),
                "give it `schedule: resident` and a `ws.offer`, or borrow from one that has them",
            ),
            None if !names.complete => {}
            None => {
                let known = names.scenarios.iter().filter(|(_, one)| one.is_resident);
                let known: Vec<&str> = known.map(|(id, _)| id.as_str()).collect();
                at_resident.wrong(format!("there is no scenario `{resident}`"), suggest(&resident, known));
            }
        }
        let within = match &shape.within {
            Some(_) => self.within(shape.within.as_ref(), at),
            None => CONNECT_WITHIN,
        };
        (Action::Borrow { resident, on }, within)
    }

    /// A handle that a `ws.open` or `ws.borrow` before has made.
    fn any_socket(&self, on: Option<&String>, at: At) -> String {
        let name = on.map_or(MAIN, String::as_str);
        if !self.handles.contains_key(name) {
            let known: Vec<&str> = self.handles.keys().map(String::as_str).collect();
            let help = if known.is_empty() {
                "open it before, with `ws.open` (one with `settle` is closed again)".to_owned()
            } else {
                suggest(name, known)
            };
            at.key("on")
                .wrong(format!("no step before opens the socket `{name}`"), help);
        }
        name.to_owned()
    }

    /// As [`Self::any_socket`], for what only a session can do.
    fn session(&self, on: Option<&String>, at: At) -> String {
        let name = self.any_socket(on, at);
        if self.handles.get(&name) == Some(&Handle::Raw) {
            at.key("on").wrong(
                format!("`{name}` was opened with `raw: true`, which cannot do this"),
                "open it without `raw: true`",
            );
        }
        name
    }
}

fn binary(text: &str, at: At) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_else(|_| {
            at.wrong("the bytes are not base64", "write them in base64 with padding");
            Vec::new()
        })
}

fn reading(word: &str, at: At) -> Hold {
    match word {
        "stop" => Hold::Stop,
        "resume" => Hold::Resume,
        _ => {
            at.wrong(
                format!("`{word}` is nothing to do with reading"),
                "write stop or resume",
            );
            Hold::Resume
        }
    }
}
