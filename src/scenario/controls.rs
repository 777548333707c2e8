//! Unrelated addresses that tell a broken network of ours from a broken target (design.md, invariant 2).
//! Owns: reaching them, and what that says about blame. Must not: know a scenario.

use crate::failure::{Blame, Class, Failure, Kind};
use crate::limits::{CONTROL_KEPT, CONTROL_WITHIN};
use futures_util::future::join_all;
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use url::Url;

/// The configured controls and the last look at them.
pub(super) struct Controls {
    addresses: Vec<(String, u16)>,
    last: tokio::sync::Mutex<()>,
    /// When it began, and what it found.
    seen: Mutex<Option<(Instant, Reachable)>>,
}

/// How many controls answered a TCP connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reachable {
    reached: usize,
    of: usize,
}

impl Controls {
    pub(super) fn new(urls: &[Url]) -> Self {
        let address = |url: &Url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?));
        Self {
            addresses: urls.iter().filter_map(address).collect(),
            last: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Whether there are any.
    pub(super) fn are_configured(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Share of the controls that the last look reached; none without controls or before the first look.
    pub(super) fn ratio(&self) -> Option<f64> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.map(|(_, reachable)| reachable.ratio())
    }

    /// Connects to all of them at once; a look younger than `CONTROL_KEPT` is used again.
    pub(super) async fn look(&self) -> Reachable {
        self.look_since(Instant::now().checked_sub(CONTROL_KEPT)).await
    }

    /// The same by a look that began now or later: what was reachable a moment ago says nothing about a way that broke since.
    /// Those who ask at once share one.
    pub(super) async fn look_afresh(&self) -> Reachable {
        self.look_since(Some(Instant::now())).await
    }

    async fn look_since(&self, moment: Option<Instant>) -> Reachable {
        let _one_at_a_time = self.last.lock().await;
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reachable)) = seen.filter(|(began, _)| moment.is_none_or(|moment| *began >= moment)) {
            return reachable;
        }
        let began = Instant::now();
        let reached = join_all(self.addresses.iter().map(|(host, port)| reaches(host, *port))).await;
        let reachable = Reachable {
            reached: reached.iter().filter(|&&reached| reached).count(),
            of: reached.len(),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, reachable));
        reachable
    }
}

async fn reaches(host: &str, port: u16) -> bool {
    // IPv6 hosts stand in brackets in URLs.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    matches!(
        timeout(CONTROL_WITHIN, TcpStream::connect((host, port))).await,
        Ok(Ok(_))
    )
}

impl Reachable {
    fn ratio(self) -> f64 {
        // Both are small counts.
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        count(self.reached) / count(self.of.max(1))
    }

    /// Who is to blame for `failure` of a run in which the target gave no HTTP answer at all.
    pub(super) fn blame(self, failure: &Failure) -> Blame {
        let failing = self.of - self.reached;
        if self.of >= 2 && failing * 3 >= self.of * 2 {
            return Blame::Monitor;
        }
        let on_the_way = failure.class == Class::Dns || matches!(failure.kind, Kind::TcpTimeout | Kind::TcpUnreachable);
        if on_the_way && self.reached > 0 {
            return Blame::Path;
        }
        failure.blame
    }
}

/// Whether `failure` happened before the first byte of an answer, so that the network between may be the cause.
pub(super) fn before_any_answer(failure: &Failure) -> bool {
    let on_the_way = matches!(failure.class, Class::Dns | Class::Connect | Class::Tls);
    let mute = matches!(
        failure.kind,
        Kind::HeaderTimeout | Kind::UpgradeTimeout | Kind::ScenarioDeadline
    );
    failure.blame != Blame::Monitor && failure.status.is_none() && (on_the_way || mute)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn blame(reached: usize, of: usize, kind: Kind) -> Blame {
        Reachable { reached, of }.blame(&Failure::new(kind, ""))
    }

    #[test]
    fn two_of_three_controls_failing_is_our_own_fault() {
        assert_eq!(blame(1, 3, Kind::TcpRefused), Blame::Monitor);
        assert_eq!(blame(2, 3, Kind::TcpRefused), Blame::Target);
        assert_eq!(blame(0, 2, Kind::DnsTimeout), Blame::Monitor);
    }

    #[test]
    fn one_control_blames_the_path_only_when_it_answers() {
        assert_eq!(blame(0, 1, Kind::TcpTimeout), Blame::Target);
        assert_eq!(blame(1, 1, Kind::TcpTimeout), Blame::Path);
        assert_eq!(blame(1, 1, Kind::TlsExpired), Blame::Target);
    }

    #[test]
    fn without_controls_nobody_else_is_blamed() {
        assert_eq!(blame(0, 0, Kind::DnsNxdomain), Blame::Target);
    }

    #[tokio::test]
    async fn a_look_counts_those_that_accept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = format!("http://{}", listener.local_addr().unwrap());
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let controls = Controls::new(&[open.parse().unwrap(), gone.parse().unwrap()]);
        assert_eq!(controls.ratio(), None);
        assert_eq!(controls.look().await, Reachable { reached: 1, of: 2 });
        assert_eq!(controls.ratio(), Some(0.5));
    }
    #[tokio::test]
    async fn a_fresh_look_sees_what_broke_since_the_last_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = format!("http://{}", listener.local_addr().unwrap());
        let controls = Controls::new(&[open.parse().unwrap()]);
        let (there, gone) = (Reachable { reached: 1, of: 1 }, Reachable { reached: 0, of: 1 });
        assert_eq!(controls.look().await, there);
        drop(listener);
        assert_eq!(controls.look().await, there, "kept for those who are in no hurry");
        assert_eq!(controls.look_afresh().await, gone);
        assert_eq!(controls.look().await, gone);
    }
}
