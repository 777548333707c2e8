//! Which scenarios watch a socket, and which explain what its watches saw. Pure, over the catalog.

use super::step::{Action, Auth, Open, Step, TokenKind};
use super::{Catalog, Scenario, Schedule};
use crate::closed_set;
use std::sync::Arc;

closed_set! {
    /// The credential of a watched upgrade. Negative tokens feed no watch.
    pub enum Credential {
        /// No token.
        Nobody => "none",
        /// A real token.
        Valid => "valid",
    }
}

/// The watch of a socket and credential: the first enabled scenario that feeds the watch and whose upgrade shows that
/// credential there.
pub fn watch<'a>(catalog: &'a Catalog, socket: &str, credential: Credential) -> Option<&'a Arc<Scenario>> {
    catalog
        .scenarios()
        .filter(|scenario| scenario.enabled && scenario.feeds_watch)
        .find(|scenario| opens(&scenario.steps).any(|open| open.endpoint == socket && shown(open) == Some(credential)))
}

/// Every watch: socket, credential, scenario.
pub fn watches(catalog: &Catalog) -> impl Iterator<Item = (&str, Credential, &Arc<Scenario>)> {
    catalog.target.sockets.keys().flat_map(move |socket| {
        Credential::ALL
            .iter()
            .filter_map(move |credential| Some((socket.as_str(), *credential, watch(catalog, socket, *credential)?)))
    })
}

/// The enabled scenarios that run when an upgrade of `socket` was answered wrongly.
pub fn siblings<'a>(catalog: &'a Catalog, socket: &'a str) -> impl Iterator<Item = &'a Arc<Scenario>> {
    catalog.scenarios().filter(move |scenario| {
        scenario.enabled && matches!(&scenario.schedule, Schedule::OnConfirm { socket: own } if own == socket)
    })
}

/// The credential that an upgrade at the endpoint's own path shows; none for the deliberately bad ones.
fn shown(open: &Open) -> Option<Credential> {
    if open.path.is_some() {
        return None;
    }
    match &open.auth {
        Auth::None => Some(Credential::Nobody),
        Auth::Header {
            token: TokenKind::Valid,
            ..
        }
        | Auth::Subprotocol {
            token: TokenKind::Valid,
            ..
        } => Some(Credential::Valid),
        Auth::Header { .. } | Auth::Subprotocol { .. } | Auth::Raw(_) => None,
    }
}

/// Every upgrade of these steps, inner ones included, in order.
fn opens(steps: &[Step]) -> Box<dyn Iterator<Item = &Open> + '_> {
    Box::new(steps.iter().flat_map(|step| match &step.action {
        Action::Open(open) => Box::new(std::iter::once(open.as_ref())) as Box<dyn Iterator<Item = &Open>>,
        Action::Repeat { steps, .. } | Action::Times { steps, .. } | Action::Group(steps) => opens(steps),
        Action::Parallel(branches) => Box::new(branches.iter().flat_map(|branch| opens(branch))),
        _ => Box::new(std::iter::empty()),
    }))
}
