//! `ws.send`: a message, padded or cut into fragments as asked.

use super::request::unfilled;
use crate::catalog::Step;
use crate::catalog::step::{Message, Send};
use crate::expression::Expression;
use crate::failure::Failure;
use crate::limits::EVIDENCE_EXCERPT_BYTES;
use crate::probe::Outgoing;
use crate::scenario::execution::{Branch, Done, Execution};
use crate::scenario::forbidden;
use crate::transcript::{Observation, Sent};
use serde_json::Value;
use tokio::time::Instant;

/// Bytes that the member `"pad":""` and its comma add to a JSON object.
const PAD_MEMBER_BYTES: usize = 9;

/// The content of a message, before it is cut.
enum Content {
    Json(Value),
    Text(String),
    Binary(Vec<u8>),
}

impl Execution {
    pub(super) async fn send(&self, step: &Step, send: &Send, branch: &Branch) -> Done {
        let deadline = branch.deadline_in(step.within);
        let mut sent = Sent {
            on: send.on.clone(),
            text: String::new(),
            json: None,
            bytes: 0,
            fragments: send.fragments.max(1),
            flushed_ms: 0.0,
        };
        let flushed = self.send_message(send, branch, deadline, &mut sent).await;
        let failure = match flushed {
            Ok(at) => {
                sent.flushed_ms = self.run().offset_ms(at);
                None
            }
            Err(failure) => Some(failure),
        };
        let socket = self.sockets.find(&send.on, &branch.layer.crowd).ok();
        let credential = socket.and_then(|socket| socket.story().credential.clone());
        Done {
            credential,
            ..Done::new(Observation::Sent(sent), failure)
        }
    }

    async fn send_message(
        &self,
        send: &Send,
        branch: &Branch,
        deadline: Instant,
        sent: &mut Sent,
    ) -> Result<Instant, Failure> {
        let socket = self.sockets.find(&send.on, &branch.layer.crowd)?;
        let outgoing = match self.content(send, branch, deadline).await? {
            Content::Binary(bytes) => {
                sent.bytes = bytes.len() as u64;
                Outgoing::Binary(bytes)
            }
            Content::Text(text) => self.outgoing(padded(text, send.pad_to), sent),
            Content::Json(json) => self.outgoing(padded_json(json, send.pad_to), sent),
        };
        socket.send(outgoing, deadline).await
    }

    async fn content(&self, send: &Send, branch: &Branch, deadline: Instant) -> Result<Content, Failure> {
        let rules = &self.runner.catalog.target.forbidden;
        let redactor = &self.run().redactor;
        let holes: Vec<&Expression> = match &send.message {
            Message::Json(json) => json.holes(),
            Message::Text(text) => text.holes().collect(),
            Message::Binary(bytes) => return Ok(Content::Binary(bytes.clone())),
        };
        let locals = self.locals(&holes, branch, deadline).await?;
        let locals = locals.as_refs();
        match &send.message {
            Message::Json(json) => {
                let value = self
                    .bindings
                    .fill_json(&branch.layer, json, &locals)
                    .map_err(|error| unfilled(&error))?;
                forbidden::json(rules, &value, redactor)?;
                Ok(Content::Json(value))
            }
            Message::Text(text) => {
                let text = self
                    .bindings
                    .fill(&branch.layer, text, &locals)
                    .map_err(|error| unfilled(&error))?;
                forbidden::text(rules, &text, redactor)?;
                Ok(Content::Text(text))
            }
            Message::Binary(bytes) => Ok(Content::Binary(bytes.clone())),
        }
    }

    /// Records the text and cuts it.
    fn outgoing(&self, text: String, sent: &mut Sent) -> Outgoing {
        let redactor = &self.run().redactor;
        sent.bytes = text.len() as u64;
        sent.text = redactor.excerpt(&text, EVIDENCE_EXCERPT_BYTES);
        sent.json = serde_json::from_str(&text).ok();
        if let Some(json) = &mut sent.json {
            redactor.json(json);
        }
        if sent.fragments <= 1 {
            return Outgoing::Text(text);
        }
        Outgoing::Fragments(cut_into(&text, sent.fragments as usize))
    }
}

/// `text` with spaces up to `bytes`.
fn padded(mut text: String, bytes: Option<usize>) -> String {
    let missing = bytes.unwrap_or(0).saturating_sub(text.len());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// JSON padded to `bytes` by a member `pad`; what is no object, or leaves no room for the member, is padded with spaces.
fn padded_json(mut json: Value, bytes: Option<usize>) -> String {
    let missing = bytes.unwrap_or(0).saturating_sub(json.to_string().len());
    if let (Value::Object(members), true) = (&mut json, missing >= PAD_MEMBER_BYTES) {
        // An empty object needs no comma.
        let overhead = PAD_MEMBER_BYTES - usize::from(members.is_empty());
        members.insert("pad".to_owned(), Value::from("x".repeat(missing - overhead)));
    }
    padded(json.to_string(), bytes)
}

/// `text` in `parts` pieces of nearly the same size, cut between characters.
fn cut_into(text: &str, parts: usize) -> Vec<String> {
    let mut pieces = Vec::with_capacity(parts);
    let mut start = 0;
    for part in 1..=parts {
        let near = text.len() * part / parts;
        let end = (near..=text.len())
            .find(|&end| text.is_char_boundary(end))
            .unwrap_or(text.len())
            .max(start);
        pieces.push(text[start..end].to_owned());
        start = end;
    }
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn padding_hits_the_size_exactly() {
        for size in 20..60 {
            let text = padded_json(json!({ "type": "ping" }), Some(size));
            assert_eq!(text.len(), size);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["type"], "ping");
        }
        assert_eq!(padded_json(json!({}), Some(12)).len(), 12);
        assert_eq!(padded_json(json!([]), Some(8)), "[]      ");
        assert_eq!(padded("abc".to_owned(), Some(2)), "abc");
    }

    #[test]
    fn fragments_join_to_the_whole() {
        let pieces = cut_into("aéé€b", 3);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces.concat(), "aéé€b");
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
    }
}
