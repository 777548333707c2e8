//! Everything that touches the network on behalf of a scenario: HTTP with the time of each phase, WebSocket sessions, event
//! streams, tokens. Probes return transcript types and [`Failure`](crate::failure::Failure)s.
//!
//! A [`Wire`] is built once per configuration; a [`Client`] from it once per scenario run. Nothing in here sees a metric, a
//! verdict or a schedule, logs, or knows the system under watch. Everything that enters a transcript has passed the run's
//! [`Redactor`](crate::secret::Redactor); every wait has a deadline and every buffer a limit of
//! [`limits`](crate::limits).

mod address;
mod body;
mod classify;
mod client;
mod dial;
mod events;
mod exchange;
mod handshake;
mod http;
mod prepare;
mod reach;
mod redirect;
mod request;
mod resolve;
mod settings;
mod timing;
mod tls;
mod upgrade;
mod websocket;
mod wire;

pub mod jwt;
pub mod sse;

pub use self::http::Unredacted;
pub use address::{AddressPolicy, Network};
pub use client::{Client, Presented, RunStart, Trace};
pub use events::{EventRule, SseUntil};
pub use request::{ConnectionUse, Cookies, HttpRequest, HttpVersion, Redirects, RequestBody, Shown, UpgradeRequest};
pub use settings::{Proxy, Resolver, Roots, WireError, WireSettings};
pub use websocket::{Counts, Opcode, Outgoing, RawSession, Rule, SeenFrame, Session};
pub use wire::Wire;
