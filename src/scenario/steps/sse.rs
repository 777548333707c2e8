//! `sse`: an event stream.

use super::http::{planned, unsent};
use super::request::Ready;
use crate::catalog::Step;
use crate::catalog::step::{Silence, Sse};
use crate::failure::Kind;
use crate::probe::{EventRule, SseUntil};
use crate::scenario::execution::{Branch, Done, Execution};
use crate::transcript::{Observation, SseEvent, SseRead};
use std::sync::Arc;

impl Execution {
    pub(super) async fn sse(&self, step: &Step, sse: &Sse, branch: &Branch) -> Done {
        let deadline = branch.deadline_in(step.within);
        let Ready { request, shown } = match self.ready(&sse.request, branch, deadline).await {
            Ok(ready) => ready,
            Err(failure) => return unsent(Observation::Sse(unread(sse)), failure, &sse.request.auth),
        };
        let matches = sse.until.clone().map(|until| -> EventRule {
            let (bindings, layer) = (Arc::clone(&self.bindings), Arc::clone(&branch.layer));
            Arc::new(move |event: &SseEvent| {
                let event = serde_json::to_value(event).unwrap_or_default();
                bindings.holds(&layer, &until, &[("event", &event)])
            })
        });
        let (mut read, failure) = self
            .client
            .sse(
                request,
                SseUntil {
                    matches,
                    ..SseUntil::default()
                },
            )
            .await;
        let failure = self.judge_answer(&mut read.http, failure);
        let silent_is_fine = sse.silence == Silence::Ends;
        let failure = failure.filter(|failure| !(silent_is_fine && failure.kind == Kind::SseSilent));
        Done {
            credential: shown.map(|shown| shown.credential),
            ..Done::new(Observation::Sse(read), failure)
        }
    }
}

/// The stream of a request that was never sent.
fn unread(sse: &Sse) -> SseRead {
    SseRead {
        http: planned(&sse.request),
        events: Vec::new(),
        first_event_ms: None,
        longest_gap_ms: None,
        comments: 0,
        ended: false,
    }
}
