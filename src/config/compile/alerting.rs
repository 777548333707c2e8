//! `alerting`: what is left out has the times of observability.md C2.

use super::scalar::{Scale, duration, identifier, number, real_or, url};
use super::secret::{required, shown};
use super::wire::{certificates, header};
use super::{Context, schedule};
use crate::catalog::alerting::{Alertmanager, CheckRule, MaintenanceWindow, PushAuth, SocketRule};
use crate::catalog::{Alerting, Forbidden};
use crate::config::Overrides;
use crate::config::error::At;
use crate::config::raw::{self, TextOr};
use crate::config::words::suggest;
use crate::limits::{ALERTMANAGERS_MAX, LEASE_MAX, PUSH_WITHIN, RESEND_MAX};
use crate::secret::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use url::Url;

/// The lease is at least so many times the time between two pushes, so that it outlasts what the rule needs to let go.
const RESENDS_PER_LEASE: u32 = 4;
/// Name of the Alertmanager that the command line gives.
const GIVEN: &str = "given";
/// Labels that the daemon gives itself.
const OWN_LABELS: [&str; 12] = [
    "alertname",
    "severity",
    "environment",
    "owner",
    "origin",
    "socket",
    "credential",
    "outcome",
    "module",
    "check",
    "latency_target",
    "needs_socket",
];

/// Everything about alerts.
pub fn alerting<'load>(context: &Context<'load>, overrides: &Overrides, top: At<'load>) -> Alerting {
    let (shape, at) = (&context.main.alerting, top.key("alerting"));
    let usual = Alerting::default();
    let real = |text: Option<&_>, usual: Duration, key: &str| real_or(context, text, usual, at.key(key));
    let (lease, resend) = times(context, &usual, at);
    let alertmanagers = match &overrides.alertmanager {
        Some(url) => vec![given(url)],
        None => alertmanagers(context, at.key("alertmanagers")),
    };
    let link = |text: &Option<String>, key: &str| text.as_ref().map(|text| url(text, &["https", "http"], at.key(key)));
    let alerting = Alerting {
        alertmanagers,
        lease,
        resend,
        sockets: socket_rule(context, usual.sockets, at.key("sockets")),
        checks: check_rule(&shape.checks, &usual.checks, at.key("checks")),
        deploy_grace: real(shape.deploy_grace.as_ref(), usual.deploy_grace, "deploy_grace"),
        instance_series: instance_series(context, at.key("instance_series")),
        time_to_page: shape
            .time_to_page
            .as_ref()
            .map(|text| duration(context, text, Scale::Real, at.key("time_to_page"))),
        maintenance: maintenance(context, at.key("maintenance")),
        owner: label_value(shape.owner.as_deref(), &usual.owner, at.key("owner")),
        monitor_owner: label_value(
            shape.monitor_owner.as_deref(),
            &usual.monitor_owner,
            at.key("monitor_owner"),
        ),
        runbooks: link(&shape.runbooks, "runbooks"),
        dashboards: link(&shape.dashboards, "dashboards"),
        labels: labels(&shape.labels, at.key("labels")),
    };
    if !alerting.alertmanagers.is_empty() {
        reachable(context, &alerting, top);
    }
    alerting
}

/// Lease and time between two pushes.
fn times(context: &Context, usual: &Alerting, at: At) -> (Duration, Duration) {
    let shape = &context.main.alerting;
    let lease = real_or(context, shape.lease.as_ref(), usual.lease, at.key("lease"));
    let resend = real_or(context, shape.resend.as_ref(), usual.resend, at.key("resend"));
    let shown = humantime::format_duration;
    if resend > RESEND_MAX {
        at.key("resend").wrong(
            format!("`resend` is {}", shown(resend)),
            format!(
                "write {} at most: a restarted Alertmanager knows nothing until then",
                shown(RESEND_MAX)
            ),
        );
    } else if lease < resend * RESENDS_PER_LEASE {
        let key = if shape.lease.is_some() { "lease" } else { "resend" };
        at.key(key).wrong(
            format!(
                "the lease is {}, less than {RESENDS_PER_LEASE} times `resend`",
                shown(lease)
            ),
            format!(
                "write `lease: {}` or longer, or a shorter `resend`",
                shown(resend * RESENDS_PER_LEASE)
            ),
        );
    } else if lease > LEASE_MAX {
        at.key("lease").wrong(
            format!("the lease is {}", shown(lease)),
            format!(
                "write {} at most: what recovered stays firing that long",
                shown(LEASE_MAX)
            ),
        );
    }
    (lease, resend)
}

/// What people need beside an alert: a page and a runbook.
fn reachable(context: &Context, alerting: &Alerting, top: At) {
    let at = match context.main.alerting.alertmanagers.is_empty() {
        true => top.key("alerting"),
        false => top.key("alerting").key("alertmanagers"),
    };
    if context.main.service.external_url.is_none() {
        at.wrong(
            "alerts are pushed, and nobody knows under which URL this daemon is reached",
            "write `service: { external_url: \"https://…\" }`: alerts link to it",
        );
    }
    if alerting.runbooks.is_none() {
        at.wrong(
            "alerts are pushed, and there is no `runbooks`",
            "write `runbooks: https://…` under `alerting`: the page whose fragments are the alerts' names",
        );
    }
}

/// The one that the command line gives.
fn given(url: &Url) -> Alertmanager {
    Alertmanager {
        name: GIVEN.to_owned(),
        url: url.clone(),
        every_address: false,
        auth: PushAuth::Nobody,
        headers: BTreeMap::new(),
        ca_file: None,
        within: PUSH_WITHIN,
    }
}

fn alertmanagers<'load>(context: &Context<'load>, at: At<'load>) -> Vec<Alertmanager> {
    let shapes = &context.main.alerting.alertmanagers;
    if shapes.len() > ALERTMANAGERS_MAX {
        at.wrong(
            format!("there are {} Alertmanagers", shapes.len()),
            format!("name {ALERTMANAGERS_MAX} at most; one with `every_address: true` stands for many"),
        );
    }
    let mut names = BTreeSet::new();
    let shapes = shapes.iter().enumerate();
    shapes
        .map(|(place, shape)| {
            let at = at.item(place);
            if !names.insert(&shape.name) {
                at.key("name").wrong(
                    format!("the Alertmanager `{}` stands twice", shape.name),
                    "give one of them another name",
                );
            }
            alertmanager(context, shape, at)
        })
        .collect()
}

fn alertmanager(context: &Context, shape: &raw::alerting::Alertmanager, at: At) -> Alertmanager {
    identifier(&shape.name, "Alertmanager", at.key("name"));
    let base = url(&shape.url, &["http", "https"], at.key("url"));
    if let Some(start) = base.path().find("/api/v") {
        at.key("url").wrong(
            format!("the URL ends with `{}`", &base.path()[start..]),
            "leave it out: the path of the API is added",
        );
    }
    let headers = shape.headers.iter().filter_map(|(name, value)| {
        let at = at.key("headers").key(name);
        let value = match value {
            TextOr::Text(text) => {
                header(&Forbidden::default(), name, text, at);
                Secret::new(text.clone())
            }
            TextOr::Detailed(source) => {
                header(&Forbidden::default(), name, "", at);
                required(context, source, at)?
            }
        };
        Some((name.to_owned(), value))
    });
    Alertmanager {
        name: shape.name.clone(),
        url: base,
        every_address: shape.every_address,
        auth: push_auth(context, shape, at),
        headers: headers.collect(),
        ca_file: shape
            .ca_file
            .as_ref()
            .map(|file| certificates(context, file, at.key("ca_file"))),
        within: real_or(context, shape.within.as_ref(), PUSH_WITHIN, at.key("within")),
    }
}

fn push_auth(context: &Context, shape: &raw::alerting::Alertmanager, at: At) -> PushAuth {
    let found = match (&shape.basic, &shape.bearer) {
        (None, None) => return PushAuth::Nobody,
        (Some(basic), None) => {
            required(context, &basic.password, at.key("basic").key("password")).map(|password| PushAuth::Basic {
                user: basic.user.clone(),
                password,
            })
        }
        (None, Some(token)) => shown(context, token, at.key("bearer")).map(PushAuth::Bearer),
        (Some(_), Some(_)) => {
            at.key("bearer")
                .wrong("there is `basic` and `bearer`", "leave one of them out");
            None
        }
    };
    found.unwrap_or(PushAuth::Nobody)
}

fn socket_rule(context: &Context, usual: SocketRule, at: At) -> SocketRule {
    let shape = &context.main.alerting.sockets;
    let real = |text, usual, key: &str| real_or(context, text, usual, at.key(key));
    SocketRule {
        attempts: number(
            shape.attempts.unwrap_or(usual.attempts),
            "the number of attempts",
            (1, 10),
            at.key("attempts"),
        ),
        confirm_within: real(shape.confirm_within.as_ref(), usual.confirm_within, "confirm_within"),
        probe_every: real(shape.probe_every.as_ref(), usual.probe_every, "probe_every"),
        close_after: number(
            shape.close_after.unwrap_or(usual.close_after),
            "the number of right answers",
            (1, 100),
            at.key("close_after"),
        ),
        close_for: real(shape.close_for.as_ref(), usual.close_for, "close_for"),
    }
}

fn check_rule(shape: &raw::alerting::CheckRule, usual: &CheckRule, at: At) -> CheckRule {
    let count = |given: Option<u32>, usual: u32, what: &str, key: &str| {
        number(given.unwrap_or(usual), what, (1, 100), at.key(key))
    };
    CheckRule {
        failures: count(shape.failures, usual.failures, "the number of failures", "failures"),
        passes: count(shape.passes, usual.passes, "the number of passes", "passes"),
        unjudged: count(shape.unjudged, usual.unjudged, "the number of periods", "unjudged"),
    }
}

fn instance_series(context: &Context, at: At) -> Option<String> {
    let series = context.main.alerting.instance_series.as_ref()?;
    let known = &context.names.series;
    if !known.contains(series) && context.names.complete {
        at.wrong(
            format!("no module measures `{series}`"),
            suggest(series, known.iter().map(String::as_str)),
        );
    }
    Some(series.clone())
}

fn maintenance<'load>(context: &Context<'load>, at: At<'load>) -> Vec<MaintenanceWindow> {
    let windows = context.main.alerting.maintenance.iter().enumerate();
    windows
        .map(|(place, shape)| {
            let at = at.item(place);
            let known = &context.names.modules;
            for (place, module) in shape.modules.iter().enumerate() {
                if !known.contains(module) && context.names.complete {
                    at.key("modules").item(place).wrong(
                        format!("there is no module `{module}`"),
                        suggest(module, known.iter().map(String::as_str)),
                    );
                }
            }
            MaintenanceWindow {
                reason: shape.reason.clone(),
                modules: shape.modules.clone(),
                starts: schedule::timetable(
                    context,
                    (&shape.starts, shape.zone.as_deref()),
                    (at.key("starts"), at.key("zone")),
                ),
                lasts: duration(context, &shape.lasts, Scale::Real, at.key("lasts")),
            }
        })
        .collect()
}

fn label_value(given: Option<&str>, usual: &str, at: At) -> String {
    if given.is_some_and(|given| given.trim().is_empty()) {
        at.wrong("this is empty", "name a team, or leave it out");
    }
    given.unwrap_or(usual).to_owned()
}

fn labels(shape: &raw::Named<raw::Text>, at: At) -> BTreeMap<String, String> {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        let first = chars.next();
        first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with("__")
    };
    let labels = shape.iter().map(|(name, value)| {
        let at = at.key(name);
        if OWN_LABELS.contains(&name) {
            at.name().wrong(
                format!("the daemon itself says what `{name}` is"),
                "give the label another name",
            );
        } else if !is_name(name) {
            at.name().wrong(
                format!("`{name}` is no label name"),
                "write letters, digits and _, not a digit first",
            );
        } else if value.0.trim().is_empty() {
            at.wrong(
                format!("the label `{name}` is empty"),
                "an empty label is none: leave it out",
            );
        }
        (name.to_owned(), value.0.clone())
    });
    labels.collect()
}
