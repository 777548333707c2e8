//! The shape of a module file: scenarios and checks.

use super::{Lasting, Named, Step, Text, TextOr};
use crate::catalog::Severity;
use crate::failure::Class;
use crate::verdict::UnknownReason;
use schemars::JsonSchema;
use serde::Deserialize;

/// A module of stagewatch: scenarios that observe and checks that judge.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleFile {
    /// Identifier, used in labels.
    pub module: String,
    /// Number in the report.
    pub number: u32,
    /// Title in the report.
    pub title: String,
    /// Severity of its checks' alerts; `warning` when left out.
    pub severity: Option<Severity>,
    /// Owner, for routing.
    pub owner: String,
    /// Runbook of its checks (https).
    pub runbook: Option<String>,
    /// When its scenarios run; always when left out.
    pub active_hours: Option<ActiveHours>,
    /// Scenarios by name.
    #[serde(default)]
    pub scenarios: Named<Scenario>,
    /// Checks in order.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// A timetable; outside of it probing stops and verdicts are `off`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveHours {
    /// Cron pattern of the active minutes, five fields.
    pub cron: String,
    /// IANA time zone; UTC when left out.
    pub zone: Option<String>,
}

/// A sequence of steps with its schedule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// `{every: 5m}`, `{cron: "0 */5 * * * *", zone: UTC}`, `{on_confirm: SOCKET}` or `resident`.
    pub schedule: TextOr<ScheduleTimes>,
    /// The only credential, named `credential`.
    pub credential: Option<Use>,
    /// Several credentials by local name.
    #[serde(default)]
    pub credentials: Named<Use>,
    /// Deadline of the whole run, clean-up excepted; 60s when left out.
    pub deadline: Option<Lasting>,
    /// Cost tag; the scenario is off unless the main file enables it.
    pub cost: Option<String>,
    /// Most runs a day.
    pub runs_per_day: Option<u32>,
    /// CEL values computed at the start of a run, in order; `random(lo, hi)` is allowed here only.
    #[serde(default)]
    pub vars: Named<Text>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Steps that always run at the end.
    #[serde(default)]
    pub cleanup: Vec<Step>,
    /// Measurements taken from the finished transcript.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// Whether its upgrades feed the upgrade metric and the watch.
    #[serde(default)]
    pub feeds_watch: bool,
    /// Whether it runs once more when an alert about a check is confirmed, because diagnosis rules read it; the alert is told
    /// with what it sees, or after `confirm_within`.
    #[serde(default)]
    pub explains: bool,
}

/// `every`, `cron` or `on_confirm`, one of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleTimes {
    /// Fixed interval.
    pub every: Option<Lasting>,
    /// Six fields, seconds first.
    pub cron: Option<String>,
    /// IANA time zone of `cron`; UTC when left out.
    pub zone: Option<String>,
    /// Runs when an upgrade of this socket was answered wrongly, beside the confirm burst, and at no other time.
    pub on_confirm: Option<String>,
}

/// A credential that a scenario uses: exactly one of `pool`, `mint` and `same_as`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// A pool of users.
    pub pool: Option<String>,
    /// A minted credential.
    pub mint: Option<String>,
    /// The same user as another local name.
    pub same_as: Option<String>,
    /// How many distinct users it stands for; for `times`.
    pub count: Option<u32>,
}

/// A measurement taken from a transcript.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Name of the series; unique.
    pub series: String,
    /// CEL over the transcript: a number, a list of numbers, or any JSON.
    pub value: String,
    /// CEL: taken only if this holds.
    pub when: Option<String>,
    /// The latency target it is a sample of; the value is then in milliseconds.
    pub latency_target: Option<String>,
    /// The network floor it is, in milliseconds.
    pub floor: Option<Floor>,
}

/// A network floor.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Floor {
    /// TCP connect.
    TcpConnect,
    /// WebSocket ping.
    WsPing,
}

impl Floor {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TcpConnect => "tcp_connect",
            Self::WsPing => "ws_ping",
        }
    }
}

/// A pure judgement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Identifier, unique in its module.
    pub id: String,
    /// One line.
    pub title: String,
    /// What it observes, and what cannot be observed.
    #[serde(default)]
    pub description: String,
    /// Severity, if other than the module's.
    pub severity: Option<Severity>,
    /// Runbook, if other than the module's.
    pub runbook: Option<String>,
    /// Its text is shown only to callers with a token.
    #[serde(default)]
    pub sensitive: bool,
    /// A broken prerequisite fails it, naming the first broken step.
    #[serde(default)]
    pub whole_path: bool,
    /// Whether it needs a socket; read from its scenarios and extracts when left out.
    pub needs_socket: Option<bool>,
    /// Parts; the worst wins.
    pub parts: Vec<Part>,
}

/// One part of a check.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Name shown.
    #[serde(default)]
    pub title: String,
    /// Scenarios whose transcripts it reads: `scenario` of this module, or `module/scenario`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Extracts of the ledger by variable.
    #[serde(default)]
    pub ledger: Named<Extract>,
    /// Verdicts of other checks by variable.
    #[serde(default)]
    pub verdicts: Named<String>,
    /// The part's verdict is the worst of these checks, beside its expectations.
    #[serde(default)]
    pub rolls_up: Vec<String>,
    /// Conditions under which it cannot be judged.
    #[serde(default)]
    pub unknown_when: Vec<UnknownWhen>,
    /// What must hold.
    #[serde(default)]
    pub expect: Vec<Expect>,
    /// What is shown, not judged.
    #[serde(default)]
    pub note: Vec<TextOr<ConditionalNote>>,
}

/// An extract of the ledger: exactly one of `series`, `verdicts`, `runs` and `statuses`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extract {
    /// Measurements of a series.
    pub series: Option<String>,
    /// Verdicts of checks; empty means all.
    pub verdicts: Option<Vec<String>>,
    /// Runs of scenarios; empty means all.
    pub runs: Option<Vec<String>>,
    /// Answers seen in our own traffic; empty means 429 and all 5xx.
    pub statuses: Option<Vec<u16>>,
    /// How far back.
    pub over: Lasting,
    /// At most this many newest items.
    pub limit: Option<usize>,
}

/// A condition under which a part cannot be judged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnknownWhen {
    /// CEL.
    pub when: String,
    /// The reason.
    pub reason: UnknownReason,
    /// What to say.
    pub note: Option<String>,
}

/// What must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// CEL that must hold.
    pub that: String,
    /// Message when it is false.
    #[serde(rename = "else")]
    pub message: Option<String>,
    /// CEL: what proves that somebody was listening; needed by every statement of absence.
    pub witness: Option<String>,
    /// Class of the failure, if other than the evidence says.
    pub class: Option<Class>,
    /// CEL: judged only if this holds.
    pub when: Option<String>,
}

/// A note under a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionalNote {
    /// The text.
    pub say: String,
    /// CEL: shown only if this holds.
    pub when: Option<String>,
}
