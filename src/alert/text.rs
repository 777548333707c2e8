//! What an alert says: summary, description, links. Pure. Text of the target is made inert and short; a sensitive finding is
//! only mentioned.

use super::evidence::{answered_by, beside, excerpt, happened, met, shown};
use super::firing::{About, Firing};
use super::{Alert, AlertName};
use crate::catalog::{Alerting, Catalog, Check, Module};
use crate::diagnose::{Cause, Diagnosis, Quote};
use crate::limits::ANNOTATION_BYTES_MAX;
use crate::run::Judgement;
use crate::secret::{cut, sanitise_line};
use crate::sensitive::{Viewer, shows};
use crate::transcript::Transcript;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whoever gets a notification reads it.
const READER: Viewer = Viewer::Anyone;

/// What a text may draw on.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What was seen since the first wrong answer.
    pub transcripts: &'a [Arc<Transcript>],
    /// Latest judgements.
    pub judgements: &'a [Arc<Judgement>],
    /// What the rules say, if it was asked for.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// The alert with its texts.
pub fn alert(firing: &Firing, catalog: &Catalog, told: &Told) -> Alert {
    let page = page(&firing.about);
    let mut annotations = BTreeMap::new();
    let mut put = |name: &str, text: String| {
        annotations.insert(name.to_owned(), bounded(text));
    };
    put("summary", summary(&firing.about).to_owned());
    let seen = told.diagnosis.map(|diagnosis| diagnosis.seen_by(READER));
    let told = Told {
        diagnosis: seen.as_ref(),
        ..*told
    };
    let cause = cause(firing, &told);
    put("description", description(firing, catalog, &told) + &diagnosed(cause));
    if let Some(cause) = cause {
        put("cause", cause.rule.clone());
    }
    if let Some(log) = cause.and_then(|cause| cause.quotes.iter().find_map(|quote| quote.log.clone()))
        && log.len() <= ANNOTATION_BYTES_MAX
    {
        put("log_url", log);
    }
    if let Some(url) = runbook(firing, catalog) {
        put("runbook_url", url);
    }
    if let Some(url) = dashboard(&firing.about, &catalog.alerting) {
        put("dashboard_url", url);
    }
    if let Some(url) = &catalog.service.external_url {
        put("page_url", format!("{}{page}", url.as_str().trim_end_matches('/')));
    }
    if let About::Session { outcome, .. } = &firing.about {
        put("outcome", outcome.as_str().to_owned());
    }
    Alert {
        id: firing.id.clone(),
        severity: firing.severity,
        owner: firing.owner.clone(),
        starts_at: firing.starts_at,
        annotations,
        page,
    }
}

/// A sentence that is the same for every alert of its name.
fn summary(about: &About) -> &'static str {
    match about {
        About::Upgrade { outcome, .. } if *outcome == crate::failure::UpgradeOutcome::Http500 => {
            "WebSocket upgrades return HTTP 500."
        }
        About::Upgrade { .. } => "WebSocket upgrades fail.",
        About::Session { .. } => "WebSocket upgrades succeed, but no session follows.",
        About::Check { .. } => "A check fails repeatedly.",
        About::Unjudged { .. } => "A critical check could not be judged for several periods.",
        About::Module { .. } => "Every judged check of a module fails.",
        About::Blind { .. } => "Too many checks of a module cannot be judged.",
        About::Latency { .. } => "A latency target is missed.",
        About::Network { .. } => "The monitor's own network is suspect.",
        About::Fault { .. } => "The monitor's own fault keeps checks from being judged.",
        About::Heartbeat => "The monitor is alive and delivers alerts.",
    }
}

fn description(firing: &Firing, catalog: &Catalog, told: &Told) -> String {
    match &firing.about {
        About::Upgrade {
            socket,
            credential,
            outcome,
            wrong,
        } => {
            let lead = format!(
                "Socket {socket}: {wrong} of {wrong} upgrades {} {}{}.",
                shown(*credential),
                happened(*outcome),
                answered_by(told.transcripts, (socket, *credential, *outcome))
            );
            let beside = beside(told.transcripts, socket, *credential);
            lead + &sentence(&beside)
        }
        About::Session { socket, outcome, wrong } => {
            let lead = format!(
                "Socket {socket}: {wrong} of {wrong} upgrades with a valid token were answered 101 and then no welcome followed ({outcome}){}.",
                met(told.transcripts, socket)
            );
            let beside = beside(told.transcripts, socket, super::Credential::Valid);
            lead + &sentence(&beside)
        }
        About::Check {
            module,
            check,
            failures,
        } => {
            let lead = format!("Check {module}/{check} has failed {failures} times without a pass in between.");
            lead + &judged(catalog, told.judgements, (module, check))
        }
        About::Unjudged {
            module,
            check,
            blame,
            times,
        } => {
            let lead = format!(
                "Check {module}/{check} could not be judged {times} times in a row; the cause lies with the {blame}."
            );
            lead + &judged(catalog, told.judgements, (module, check))
        }
        About::Module { module, failing } => {
            format!("Module {module}: {failing} checks fail and none passes.")
        }
        About::Blind { module, coverage } => format!(
            "Module {module}: only {:.0} % of its checks could be judged in the last hour.",
            coverage * 100.0
        ),
        About::Latency { target, share, samples } => format!(
            "{target}: only {:.1} % of {samples} measurements of the last 30 minutes were within its bound; 95 % are promised.",
            share * 100.0
        ),
        About::Network { ratio } => format!(
            "Only {:.0} % of the unrelated control addresses answer: verdicts say unknown until that is over.",
            ratio * 100.0
        ),
        About::Fault { checks } => format!(
            "{} checks could not be judged several times in a row because of the monitor itself, such as {}.",
            checks.len(),
            checks.first().map_or("none", String::as_str)
        ),
        About::Heartbeat => "When this alert is missing, the monitor does not reach Alertmanager.".to_owned(),
    }
}

/// ` Beside it: A; B.`
fn sentence(parts: &[String]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    format!(" Beside it: {}.", parts.join("; "))
}

/// What leads the diagnosis, without what only some may read.
fn diagnosed(cause: Option<&Cause>) -> String {
    let Some(lead) = cause else {
        return String::new();
    };
    if !shows(lead.sensitive, READER) {
        return format!(" Diagnosis: {}. {}.", lead.title, inert(&lead.stops_at.look));
    }
    let mut text = format!(" Diagnosis: {}.", excerpt(&lead.title));
    for indicator in &lead.indicators {
        text.push(' ');
        text.push_str(excerpt(indicator).trim_end_matches('.'));
        text.push('.');
    }
    text
}

/// The cause that the alert tells: of a check, the first that quotes what it read, else what leads. What a sensitive rule says
/// has been taken out of it by now, so that it may stand beside a check whose own text is not for everybody.
fn cause<'a>(firing: &Firing, told: &Told<'a>) -> Option<&'a Cause> {
    let diagnosis = told.diagnosis?;
    let (About::Check { module, check, .. } | About::Unjudged { module, check, .. }) = &firing.about else {
        return diagnosis.lead();
    };
    let read = judgement_of(told.judgements, (module, check)).map(|judgement| &judgement.transcripts);
    let quotes = |cause: &&Cause| {
        let of = |quote: &Quote| quote.of.rsplit_once('.').map(|(scenario, _)| scenario.to_owned());
        let scenarios = cause.quotes.iter().filter_map(of);
        scenarios
            .into_iter()
            .any(|scenario| read.is_some_and(|read| read.iter().any(|one| one.scenario == scenario)))
    };
    diagnosis.causes.iter().find(quotes).or_else(|| diagnosis.lead())
}

fn judgement_of<'a>(judgements: &'a [Arc<Judgement>], (module, check): (&str, &str)) -> Option<&'a Arc<Judgement>> {
    let mut judgements = judgements.iter();
    judgements.find(|judgement| judgement.module == module && judgement.id == check)
}

/// Why the latest judgement of a check is what it is; nothing of a sensitive one.
fn judged(catalog: &Catalog, judgements: &[Arc<Judgement>], (module, check): (&str, &str)) -> String {
    if check_of(catalog, module, check).is_some_and(|(_, check)| !shows(check.sensitive, READER)) {
        return " Its text is sensitive: read it on the monitor's page with the API token.".to_owned();
    }
    let Some(judgement) = judgement_of(judgements, (module, check)) else {
        return String::new();
    };
    let broken = judgement
        .expectations
        .iter()
        .find(|expectation| expectation.held != Some(true) && !expectation.message.is_empty())
        .map(|expectation| expectation.message.clone());
    let blocked = judgement.blocked_by.clone().map(|by| format!("blocked by {by}"));
    let said = broken.or(blocked).or_else(|| judgement.notes.first().cloned());
    said.map(|said| format!(" {}", excerpt(&said))).unwrap_or_default()
}

fn check_of<'a>(catalog: &'a Catalog, module: &str, check: &str) -> Option<(&'a Module, &'a Arc<Check>)> {
    catalog
        .checks()
        .find(|(of, found)| of.id == module && found.id == check)
}

/// The runbook of the check or its module, else the place of this alert's name in the common one.
fn runbook(firing: &Firing, catalog: &Catalog) -> Option<String> {
    let own = match &firing.about {
        About::Check { module, check, .. } | About::Unjudged { module, check, .. } => {
            let found = check_of(catalog, module, check);
            found.and_then(|(module, check)| check.runbook.clone().or_else(|| module.runbook.clone()))
        }
        About::Module { module, .. } | About::Blind { module, .. } => {
            let found = catalog.modules.iter().find(|found| found.id == *module);
            found.and_then(|module| module.runbook.clone())
        }
        _ => None,
    };
    let common = || {
        let mut url = catalog.alerting.runbooks.clone()?;
        url.set_fragment(Some(&firing.id.name.as_str().to_lowercase()));
        Some(url.to_string())
    };
    own.or_else(common)
}

/// The dashboard that shows it; the paths are those that the shipped rules use.
fn dashboard(about: &About, alerting: &Alerting) -> Option<String> {
    let base = alerting.dashboards.as_ref()?.as_str().trim_end_matches('/');
    let path = match about {
        About::Upgrade { socket, .. } | About::Session { socket, .. } => {
            format!("stagewatch-websocket?var-socket={socket}")
        }
        About::Check { module, .. }
        | About::Unjudged { module, .. }
        | About::Module { module, .. }
        | About::Blind { module, .. } => format!("stagewatch-module?var-module={module}"),
        About::Latency { target, .. } => format!("stagewatch-latency?var-latency_target={target}"),
        About::Network { .. } | About::Fault { .. } | About::Heartbeat => "stagewatch-monitor".to_owned(),
    };
    Some(format!("{base}/{path}"))
}

/// Page of this daemon about it.
fn page(about: &About) -> String {
    match about {
        About::Upgrade { socket, .. } | About::Session { socket, .. } => format!("/#socket-{socket}"),
        About::Check { module, check, .. } | About::Unjudged { module, check, .. } => format!("/#{module}/{check}"),
        About::Module { module, .. } | About::Blind { module, .. } => format!("/#{module}"),
        About::Latency { .. } | About::Network { .. } | About::Fault { .. } | About::Heartbeat => "/".to_owned(),
    }
}

/// Text of the target that does nothing wherever a notification is shown: no template, no markup, no mention, no link.
pub(super) fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for character in sanitise_line(text).chars() {
        match character {
            '{' => inert.push('('),
            '}' => inert.push(')'),
            '<' => inert.push('‹'),
            '>' => inert.push('›'),
            '[' => inert.push('('),
            ']' => inert.push(')'),
            '`' => inert.push('\''),
            '*' | '~' | '|' => inert.push('·'),
            '@' => inert.push('＠'),
            '&' => inert.push('+'),
            _ => inert.push(character),
        }
    }
    inert.replace("://", ":/ /")
}

fn bounded(text: String) -> String {
    if text.len() <= ANNOTATION_BYTES_MAX {
        return text;
    }
    format!("{}…", cut(&text, ANNOTATION_BYTES_MAX - '…'.len_utf8()))
}

impl AlertName {
    /// Whether its text explains itself by the diagnosis rules.
    pub(super) fn explained(self) -> bool {
        matches!(
            self,
            Self::UpgradeHttp500
                | Self::UpgradeFailing
                | Self::SessionBroken
                | Self::CheckFailing
                | Self::CheckUnjudged
                | Self::ModuleDown
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_target_does_nothing_and_is_short() {
        let hostile = "<!here> @channel [pay](https://evil.example) {{ .Labels }} `x` *b* \u{1b}[31m\u{202e}";
        let said = inert(hostile);
        for forbidden in [
            "<", ">", "@", "{{", "}}", "[", "]", "`", "*", "://", "\u{1b}", "\u{202e}",
        ] {
            assert!(!said.contains(forbidden), "{forbidden} in {said}");
        }
        assert!(said.contains("evil.example"), "nothing is hidden without a trace");
        assert_eq!(
            excerpt(&"é".repeat(5000)).chars().count(),
            crate::limits::ALERT_QUOTE_CHARS_MAX + 1
        );
        assert!(bounded("é".repeat(5000)).len() <= ANNOTATION_BYTES_MAX);
        assert_eq!(bounded("short".to_owned()), "short");
    }
}
