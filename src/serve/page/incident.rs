//! Incidents as people read them: what is wrong, since when, why, and what to do.

use super::draw;
use super::frame::{Frame, clock_time, day_time, lasting};
use crate::alert::AlertName;
use crate::diagnose::Cause;
use crate::history::Account;
use crate::history::StoredAlert;
use crate::incident::{Incident, Member, MemberKind, Seen};
use crate::serve::api::rfc3339;
use crate::verdict::Verdict;
use askama::Template;

/// Members named in the short form.
const MEMBERS: usize = 6;

/// An incident.
pub(super) struct IncidentView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: &'static str,
    pub(super) open: bool,
    pub(super) opened: String,
    pub(super) lasts: String,
    pub(super) members: Vec<MemberView>,
    /// Members beyond those named.
    pub(super) more: usize,
    pub(super) blocked: Vec<String>,
    /// What the leading cause says, in the short form.
    pub(super) because: String,
    pub(super) causes: Vec<CauseView>,
}

/// A check or socket in it.
pub(super) struct MemberView {
    pub(super) mark: &'static str,
    pub(super) name: String,
    /// Its page, if it is a check.
    pub(super) href: Option<String>,
    pub(super) says: String,
    pub(super) since: String,
    pub(super) until: String,
}

/// What one rule says.
pub(super) struct CauseView {
    /// Its title, unless that is the incident's own.
    pub(super) title: Option<String>,
    pub(super) impact: Option<String>,
    pub(super) indicators: Vec<String>,
    pub(super) whys: Vec<WhyView>,
    pub(super) actions: Vec<(&'static str, String)>,
    pub(super) quotes: Vec<QuoteView>,
}

pub(super) struct WhyView {
    pub(super) why: String,
    pub(super) answer: String,
    pub(super) evidence: String,
    /// The chain leaves here what can be seen from outside.
    pub(super) stops: bool,
}

pub(super) struct QuoteView {
    pub(super) of: String,
    pub(super) run: String,
    pub(super) says: String,
    pub(super) log: Option<String>,
}

impl IncidentView {
    /// Everything about it.
    fn whole(incident: &Incident, now: f64) -> Self {
        let causes = incident.diagnosis.causes.iter();
        Self {
            id: incident.id.clone(),
            title: incident.title.clone(),
            severity: incident.severity.as_str(),
            open: incident.closed_at.is_none(),
            opened: day_time(&rfc3339(incident.opened_at)),
            lasts: lasting(incident.duration_s(now)),
            members: incident.members.iter().map(member).collect(),
            more: 0,
            blocked: incident.blocked.clone(),
            because: String::new(),
            causes: causes.map(|one| cause(one, &incident.title)).collect(),
        }
    }

    /// What a list has room for: the leading cause and a few members.
    pub(super) fn short(incident: &Incident, now: f64) -> Self {
        let mut view = Self::whole(incident, now);
        view.more = view.members.len().saturating_sub(MEMBERS);
        view.members.truncate(MEMBERS);
        view.causes.truncate(1);
        let title = view.causes.first_mut().and_then(|cause| cause.title.take());
        view.because = title.unwrap_or_else(|| "Why".to_owned());
        view
    }
}

fn member(member: &Member) -> MemberView {
    let recovered = member.until.map(|until| clock_time(&rfc3339(until)));
    MemberView {
        mark: draw::mark(Some(if recovered.is_some() {
            Verdict::Pass
        } else {
            Verdict::Fail
        })),
        name: member.name.clone(),
        href: (member.kind == MemberKind::Check).then(|| format!("/checks/{}", member.name)),
        says: member.says.clone(),
        since: clock_time(&rfc3339(member.since)),
        until: recovered.unwrap_or_default(),
    }
}

fn cause(cause: &Cause, of: &str) -> CauseView {
    let mut whys: Vec<WhyView> = cause
        .whys
        .iter()
        .map(|why| WhyView {
            why: why.why.clone(),
            answer: why.answer.clone(),
            evidence: why.evidence.clone(),
            stops: false,
        })
        .collect();
    whys.push(WhyView {
        why: cause.stops_at.why.clone(),
        answer: cause.stops_at.look.clone(),
        evidence: String::new(),
        stops: true,
    });
    CauseView {
        title: (cause.title != of).then(|| cause.title.clone()),
        impact: cause.impact.clone(),
        indicators: cause.indicators.clone(),
        whys,
        actions: cause
            .actions
            .iter()
            .map(|action| (action.priority.as_str(), action.text.clone()))
            .collect(),
        quotes: cause
            .quotes
            .iter()
            .map(|quote| QuoteView {
                of: quote.of.clone(),
                run: quote.run.clone(),
                says: quote.says.clone(),
                log: quote.log.clone(),
            })
            .collect(),
    }
}

/// The page of one incident.
#[derive(Template)]
#[template(path = "incident.html")]
pub(super) struct IncidentPage {
    frame: Frame,
    incident: IncidentView,
    closed: Option<String>,
    first_bad: Option<Seen>,
    last_good: Option<Seen>,
    changes: Vec<(String, String, String)>,
    alerts: Vec<AlertView>,
    marks: Vec<(String, String)>,
    evidence_kept: bool,
}

struct AlertView {
    name: AlertName,
    about: String,
    severity: String,
    started: String,
    ended: String,
}

impl IncidentPage {
    pub(super) fn of(frame: Frame, whole: &Account, now: f64) -> Self {
        let incident = &whole.incident;
        let changes = incident.changes.iter();
        let marks = whole.marks.iter();
        Self {
            frame,
            incident: IncidentView::whole(incident, now),
            closed: incident.closed_at.map(|closed| day_time(&rfc3339(closed))),
            first_bad: incident.first_bad.clone(),
            last_good: incident.last_good.clone(),
            changes: changes
                .map(|change| (change.what.clone(), change.from.clone(), change.to.clone()))
                .collect(),
            alerts: whole.alerts.iter().map(alert).collect(),
            marks: marks
                .map(|mark| {
                    let deployed = mark.version.iter().map(|version| format!("deploy of {version}: "));
                    let says = deployed.chain([mark.text.clone()]).collect();
                    (day_time(&rfc3339(mark.at)), says)
                })
                .collect(),
            evidence_kept: whole.evidence_kept,
        }
    }
}

fn alert(alert: &StoredAlert) -> AlertView {
    let labels = alert.id.labels.iter().filter(|(name, _)| *name != "needs_socket");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name} {value}")).collect();
    AlertView {
        name: alert.id.name,
        about: labels.join(" · "),
        severity: alert.severity.clone(),
        started: clock_time(&rfc3339(alert.started)),
        ended: alert.ended.map(|ended| clock_time(&rfc3339(ended))).unwrap_or_default(),
    }
}

/// The page of all incidents and reports.
#[derive(Template)]
#[template(path = "incidents.html")]
pub(super) struct IncidentsPage {
    pub(super) frame: Frame,
    pub(super) open: Vec<IncidentView>,
    pub(super) over: Vec<IncidentView>,
    /// Where the incidents before these are.
    pub(super) next: Option<String>,
    /// Stored iterations: number and moment.
    pub(super) reports: Vec<(i64, String)>,
}
