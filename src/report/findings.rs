//! Failures of an iteration put together: checks that fail in the same way are one finding. Deterministic, and nothing is
//! guessed: every indicator is a count or a fact of the evidence.

use super::{Iteration, ModuleResult, count, first_message};
use crate::catalog::Severity;
use crate::failure::{Blame, Class, Failure, Kind, Phase};
use crate::run::Judgement;
use crate::verdict::Verdict;

/// Checks that fail in the same way.
pub(super) struct Finding<'a> {
    /// What is wrong, in one line.
    pub title: String,
    /// The worst severity of the modules it fails.
    pub severity: Severity,
    /// The failure of the first of them.
    pub failure: &'a Failure,
    /// Failing checks with their modules.
    pub failing: Vec<(&'a ModuleResult, &'a Judgement)>,
    /// Checks that it leaves unknown.
    pub blocked: Vec<(&'a ModuleResult, &'a Judgement)>,
}

/// What makes two failures the same finding.
fn likeness(failure: &Failure) -> (Class, Kind, Option<u16>, Option<u16>) {
    (failure.class, failure.kind, failure.status, failure.close_code)
}

/// The findings, worst first: by severity, then by how many checks fail, then by title.
pub(super) fn findings(iteration: &Iteration) -> Vec<Finding<'_>> {
    let mut found: Vec<Finding> = Vec::new();
    for (module, check) in iteration.checks() {
        let (Verdict::Fail, Some(failure)) = (check.verdict, &check.failure) else {
            continue;
        };
        match found
            .iter_mut()
            .find(|finding| likeness(finding.failure) == likeness(failure))
        {
            Some(finding) => {
                finding.severity = finding.severity.min(module.severity);
                finding.failing.push((module, check));
            }
            None => found.push(Finding {
                title: failure.headline(),
                severity: module.severity,
                failure,
                failing: vec![(module, check)],
                blocked: Vec::new(),
            }),
        }
    }
    for (module, check) in iteration.checks() {
        if let (Verdict::Unknown, Some(failure)) = (check.verdict, &check.failure)
            && let Some(finding) = found
                .iter_mut()
                .find(|finding| likeness(finding.failure) == likeness(failure))
        {
            finding.blocked.push((module, check));
        }
    }
    found.sort_by(|left, right| {
        let key = |finding: &Finding| (finding.severity, std::cmp::Reverse(finding.failing.len()));
        key(left).cmp(&key(right)).then_with(|| left.title.cmp(&right.title))
    });
    found
}

/// What must have worked for a failure to happen in `phase`.
fn reached(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Dns | Phase::Judge | Phase::Monitor => None,
        Phase::Connect => Some("name resolution works"),
        Phase::Tls => Some("name resolution and TCP connect work"),
        Phase::Request | Phase::FirstByte => Some("the connection is made, no good answer comes"),
        Phase::Body => Some("the head of the answer arrives, its body does not"),
        Phase::Upgrade => Some("the connection is made and the server answers, the upgrade itself is refused"),
        Phase::Welcome => Some("the upgrade succeeds, the session does not begin"),
        Phase::Session => Some("the upgrade succeeds, the session then breaks"),
    }
}

impl Finding<'_> {
    /// Facts that point at the cause, most telling first.
    pub(super) fn indicators(&self, iteration: &Iteration) -> Vec<String> {
        let failure = self.failure;
        let mut facts = Vec::new();
        if let Some(reached) = reached(failure.phase) {
            facts.push(format!("fails in phase {}: {reached}", failure.phase));
        }
        facts.push(match failure.blame {
            Blame::Target => "blamed on the target".to_owned(),
            Blame::Path => "blamed on the path between us and the target, not on the target".to_owned(),
            Blame::Monitor => "blamed on the monitor".to_owned(),
        });
        let mut modules: Vec<&str> = self.failing.iter().map(|(module, _)| module.id.as_str()).collect();
        modules.dedup();
        facts.push(format!(
            "shared by {} of {}: {}",
            count(self.failing.len(), "failing check"),
            count(modules.len(), "module"),
            modules.join(", ")
        ));
        if !self.blocked.is_empty() {
            facts.push(format!("leaves {} unknown", count(self.blocked.len(), "more check")));
        }
        let untouched: Vec<&str> = iteration
            .modules
            .iter()
            .filter(|module| module.verdict == Verdict::Pass)
            .map(|module| module.id.as_str())
            .collect();
        if !untouched.is_empty() {
            facts.push(format!("does not touch {}", untouched.join(", ")));
        }
        facts
    }

    /// What the first failing check says.
    pub(super) fn says(&self) -> &str {
        self.failing.first().map_or("", |(_, check)| first_message(check))
    }

    /// Where to look first.
    pub(super) fn action(&self) -> String {
        let at = self.failing.first().map_or("", |(_, check)| check.at.as_str());
        match self.failure.class {
            Class::UpgradeStatus if self.failure.status.is_some_and(|status| status >= 500) => {
                format!(
                    "Read the log of the service behind the WebSocket endpoint around {at}; the upgrade request arrives there and fails"
                )
            }
            Class::UpgradeStatus => {
                "Check who may open the WebSocket and with which credential; the answer is a refusal".to_owned()
            }
            Class::HttpStatus if self.failure.status.is_some_and(|status| status >= 500) => {
                format!("Read the log of the service that answered, around {at}")
            }
            Class::HttpStatus => "Compare route and credential of the request with what the service offers".to_owned(),
            Class::Dns => "Check the name's records and the resolver".to_owned(),
            Class::Connect => "Check that the service listens and that the network path to it is open".to_owned(),
            Class::Tls => "Check certificate, its chain and its dates".to_owned(),
            Class::UpgradeProtocol => {
                "Check what stands between client and service; the handshake is altered on the way or answered wrongly"
                    .to_owned()
            }
            Class::Session | Class::Close => format!("Read the log of the WebSocket sessions around {at}"),
            Class::Timeout => format!("Look for what the service waits for around {at}: its dependencies, its load"),
            Class::Protocol | Class::TooLarge => "Compare the stored answer with the contract".to_owned(),
            Class::Auth => {
                "Check the validation of tokens before anything else; keep the finding private until it is fixed"
                    .to_owned()
            }
            Class::Expectation => {
                "Compare the values shown with the contract; then correct the service, or the expectation".to_owned()
            }
            Class::Latency => {
                "Compare the value with the network floor beside it, then look at load and dependencies".to_owned()
            }
            Class::Fabricated => "Find out why the service answers with canned data".to_owned(),
            Class::Internal => "Look after the monitor itself".to_owned(),
        }
    }
}
