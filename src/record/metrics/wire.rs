//! Metrics of what was seen on the wire: from transcripts and measurements only.

mod known;
mod sessions;

use super::exemplars::{Origin, Timer};
use super::{BUCKETS, Maker, MetricsError, PHASE_BUCKETS};
use crate::catalog::Catalog;
use crate::failure::UpgradeOutcome;
use crate::run::Measured;
use crate::transcript::{Entry, HttpExchange, Observation, Transcript, UpgradeExchange};
use known::{Known, OpenFacts};
use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounterVec};
use sessions::Sessions;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// What follows a 101, as label values.
const SESSION_OUTCOMES: [&str; 6] = ["ok", "no_welcome", "closed_early", "auth_error_frame", "mute", "zombie"];
/// Classes of close codes (RFC 6455 section 7.4), as label values.
const CLOSE_CLASSES: [&str; 6] = ["normal", "going_away", "error", "policy", "abnormal", "application"];
const CREDENTIALS: [&str; 2] = ["none", "valid"];

pub(super) struct WireMetrics {
    scenarios: BTreeMap<String, Known>,
    hosts: BTreeSet<String>,
    layers: BTreeSet<String>,
    phases: BTreeMap<&'static str, Histogram>,
    targets: BTreeMap<String, Timer>,
    floor: GaugeVec,
    upgrades: IntCounterVec,
    sessions: IntCounterVec,
    layer: IntCounterVec,
    status: GaugeVec,
    session_seconds: HistogramVec,
    closes: IntCounterVec,
    not_after: GaugeVec,
}

impl WireMetrics {
    pub(super) fn new(make: &Maker, catalog: &Catalog) -> Result<Self, MetricsError> {
        let phase_seconds = make.histograms(
            "phase_duration_seconds",
            "Where the time of exchanges goes.",
            (&["phase"], &PHASE_BUCKETS),
        )?;
        let phases = ["dns", "connect", "tls", "first_byte", "body", "upgrade", "welcome"];
        let metrics = Self {
            scenarios: known::known(make, catalog)?,
            hosts: tls_hosts(catalog),
            layers: catalog
                .target
                .fingerprints
                .iter()
                .map(|print| print.layer.clone())
                .chain(["unknown".to_owned()])
                .collect(),
            phases: phases
                .map(|phase| (phase, phase_seconds.with_label_values(&[phase])))
                .into(),
            targets: latency_targets(make, catalog)?,
            floor: make.gauges("network_floor_seconds", "Last network floor.", &["socket", "phase"])?,
            upgrades: make.counters(
                "websocket_upgrades_total",
                "Upgrade attempts by outcome; deliberately bad tokens excepted.",
                &["socket", "credential", "outcome"],
            )?,
            sessions: make.counters(
                "websocket_sessions_total",
                "What followed a 101 with a valid token.",
                &["socket", "outcome"],
            )?,
            layer: make.counters(
                "websocket_upgrade_layer_total",
                "Unexpected answers other than 101, by who answered.",
                &["socket", "layer"],
            )?,
            status: make.gauges(
                "websocket_upgrade_status_code",
                "HTTP status of the last upgrade attempt, 0 without an answer.",
                &["socket", "credential"],
            )?,
            session_seconds: make.histograms(
                "websocket_session_duration_seconds",
                "How long resident sockets were held.",
                (&["socket"], &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0, 300.0]),
            )?,
            closes: make.counters(
                "websocket_closes_total",
                "Close frames received, by class of the code.",
                &["socket", "code_class"],
            )?,
            not_after: make.gauges(
                "tls_certificate_not_after_timestamp_seconds",
                "Earliest expiry in the certificate chain.",
                &["host"],
            )?,
        };
        metrics.initialise(catalog);
        Ok(metrics)
    }

    /// Makes every label set that is known in advance.
    fn initialise(&self, catalog: &Catalog) {
        for socket in catalog.target.sockets.keys() {
            for credential in CREDENTIALS {
                for outcome in UpgradeOutcome::ALL {
                    self.upgrades
                        .with_label_values(&[socket.as_str(), credential, outcome.as_str()]);
                }
            }
            for outcome in SESSION_OUTCOMES {
                self.sessions.with_label_values(&[socket.as_str(), outcome]);
            }
            for layer in &self.layers {
                self.layer.with_label_values(&[socket, layer]);
            }
            for class in CLOSE_CLASSES {
                self.closes.with_label_values(&[socket.as_str(), class]);
            }
            self.session_seconds.with_label_values(&[socket]);
        }
    }

    pub(super) fn transcript(&self, transcript: &Transcript, origin: Origin) {
        let Some(known) = self.scenarios.get(&transcript.scenario) else {
            return;
        };
        let mut sessions = Sessions::default();
        for entry in &transcript.entries {
            self.phases_of(entry);
            self.step(known, entry, origin);
            if let Some(http) = exchange(entry) {
                self.certificate(http);
            }
            match &entry.seen {
                Observation::Upgrade(upgrade) => {
                    let facts = known.opens.get(&entry.id).cloned();
                    self.upgrade(known, upgrade, facts.as_ref());
                    if let Some(facts) = facts.filter(|_| upgrade.accepted) {
                        sessions.opened(&facts.on, entry, upgrade);
                    }
                    if let Some(close) = &upgrade.close {
                        self.closed(&upgrade.endpoint, close.code);
                    }
                }
                Observation::Received(received) => {
                    if let Some(welcome_ms) = sessions.received(&received.on, entry) {
                        self.phase("welcome", Some(welcome_ms));
                    }
                    if let (Some(endpoint), Some(close)) = (sessions.endpoint(&received.on, entry), &received.close) {
                        self.closed(&endpoint, close.code);
                    }
                }
                Observation::Closed(closed) => {
                    if let (Some(endpoint), Some(close)) = (sessions.endpoint(&closed.on, entry), &closed.answer) {
                        self.closed(&endpoint, close.code);
                    }
                }
                _ => {}
            }
        }
        for (endpoint, outcome, held_ms) in sessions.outcomes() {
            self.sessions.with_label_values(&[endpoint.as_str(), outcome]).inc();
            if known.scenario.schedule == crate::catalog::Schedule::Resident {
                self.session_seconds
                    .with_label_values(&[endpoint.as_str()])
                    .observe(held_ms / 1000.0);
            }
        }
    }

    pub(super) fn measures(&self, scenario: &str, measures: &[Measured], origin: Origin) {
        for measured in measures {
            if let Some(histogram) = measured.latency_target.as_ref().and_then(|name| self.targets.get(name)) {
                measured
                    .numbers()
                    .iter()
                    .for_each(|value| histogram.observe(value / 1000.0, Some(origin)));
            }
            let socket = self.scenarios.get(scenario).and_then(|known| known.socket.as_ref());
            if let (Some(phase), Some(socket), Some(last)) = (&measured.floor, socket, measured.numbers().last()) {
                self.floor.with_label_values(&[socket, phase]).set(last / 1000.0);
            }
        }
    }

    fn phase(&self, phase: &str, took_ms: Option<f64>) {
        if let (Some(histogram), Some(took)) = (self.phases.get(phase), took_ms) {
            histogram.observe(took / 1000.0);
        }
    }

    fn phases_of(&self, entry: &Entry) {
        let Some(http) = exchange(entry) else { return };
        self.phase("dns", http.phases.dns_ms);
        self.phase("connect", http.phases.connect_ms);
        self.phase("tls", http.phases.tls_ms);
        self.phase("body", http.phases.body_ms);
        let answer = match &entry.seen {
            Observation::Upgrade(upgrade) if upgrade.accepted => "upgrade",
            _ => "first_byte",
        };
        self.phase(answer, http.phases.first_byte_ms);
    }

    fn step(&self, known: &Known, entry: &Entry, origin: Origin) {
        if entry.failure.is_some() {
            return;
        }
        if let Some(histogram) = known.steps.get(&entry.id) {
            let took_ms = match &entry.seen {
                Observation::Http(http) => http.total_ms,
                Observation::Received(received) => received.latency_ms.unwrap_or(entry.duration_ms),
                Observation::Pong(pong) => pong.rtt_ms.unwrap_or(entry.duration_ms),
                _ => entry.duration_ms,
            };
            histogram.observe(took_ms / 1000.0, Some(origin));
        }
    }

    fn upgrade(&self, known: &Known, upgrade: &UpgradeExchange, facts: Option<&OpenFacts>) {
        let elsewhere = facts.is_some_and(|facts| facts.own_path);
        let Some(credential) = CREDENTIALS.iter().find(|label| **label == upgrade.token) else {
            return;
        };
        if !known.scenario.feeds_watch || elsewhere {
            return;
        }
        let socket = upgrade.endpoint.as_str();
        self.upgrades
            .with_label_values(&[socket, credential, upgrade.outcome.as_str()])
            .inc();
        self.status
            .with_label_values(&[socket, credential])
            .set(f64::from(upgrade.http.status.unwrap_or(0)));
        if upgrade.outcome != UpgradeOutcome::Ok && upgrade.http.status.is_some_and(|status| status != 101) {
            let layer = upgrade.http.layer.as_str();
            let layer = if self.layers.contains(layer) { layer } else { "unknown" };
            self.layer.with_label_values(&[socket, layer]).inc();
        }
    }

    fn closed(&self, socket: &str, code: u16) {
        let class = match code {
            1000 => "normal",
            1001 | 1012 | 1013 => "going_away",
            1008 => "policy",
            1005 | 1006 | 1015 => "abnormal",
            3000..=4999 => "application",
            _ => "error",
        };
        self.closes.with_label_values(&[socket, class]).inc();
    }

    fn certificate(&self, http: &HttpExchange) {
        let Some(not_after) = http.tls.as_ref().and_then(|tls| tls.not_after_unix) else {
            return;
        };
        let host = Url::parse(&http.url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        if let Some(host) = host.filter(|host| self.hosts.contains(host)) {
            #[expect(clippy::cast_precision_loss, reason = "seconds of this millennium fit the mantissa")]
            self.not_after.with_label_values(&[&host]).set(not_after as f64);
        }
    }
}

fn exchange(entry: &Entry) -> Option<&HttpExchange> {
    match &entry.seen {
        Observation::Http(http) => Some(http),
        Observation::Upgrade(upgrade) => Some(&upgrade.http),
        Observation::Sse(sse) => Some(&sse.http),
        _ => None,
    }
}

fn latency_targets(make: &Maker, catalog: &Catalog) -> Result<BTreeMap<String, Timer>, MetricsError> {
    let label: (&[&str], &[f64]) = (&["latency_target"], &BUCKETS);
    let seconds = make.timers("latency_target_seconds", "Measured latency against a promise.", label)?;
    let threshold = make.gauges(
        "latency_target_threshold_seconds",
        "The promised bound.",
        &["latency_target"],
    )?;
    for (name, target) in &catalog.latency_targets {
        threshold.with_label_values(&[name]).set(target.seconds);
    }
    let named = catalog.latency_targets.keys();
    Ok(named.map(|name| (name.clone(), seconds.with(&[name]))).collect())
}

fn tls_hosts(catalog: &Catalog) -> BTreeSet<String> {
    let bases = catalog.target.bases.values();
    let sockets = catalog.target.sockets.values().map(|socket| &socket.url);
    bases
        .chain(sockets)
        .filter(|url| matches!(url.scheme(), "https" | "wss"))
        .filter_map(|url| url.host_str().map(str::to_owned))
        .collect()
}
