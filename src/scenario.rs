//! The scenario runner: carries out steps against the target and gives a transcript. It decides nothing about the target:
//! it sees no metric and no verdict.
//!
//! | part | owns |
//! |---|---|
//! | `conduct` | the life of one run: start, steps, clean-up, blame, transcript |
//! | `execution`, `bindings`, `record` | steps in order, what expressions see, what was seen |
//! | `steps` | how each kind of step is carried out |
//! | `credentials`, `login`, `purse` | users and tokens: of the process, how to get them, those of one run |
//! | `traffic`, `forbidden`, `journal` | doing no harm: rate limits, what is never sent, what outlives the process |
//! | `sockets`, `residents` | open sockets of a run, and those lent to others |
//! | `controls` | whether our own network works |

mod bindings;
mod conduct;
mod controls;
mod credentials;
mod execution;
mod forbidden;
pub mod instances;
mod journal;
mod login;
mod period;
mod purse;
mod record;
mod residents;
mod sockets;
mod steps;
mod traffic;
mod wire;

pub use journal::{HandshakeUse, Journal, MemoryJournal, UserRest};

use crate::catalog::{Catalog, Scenario, Shown};
use crate::clock;
use crate::expression::Scope;
use crate::identity::{IdentityError, Tokens};
use crate::probe::{Presented, Wire, WireError};
use crate::secret::Redactor;
use crate::transcript::Transcript;
use crate::verdict::UnknownReason;
use credentials::{Credentials, Lease, Leases, Refusal};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What became of one run.
#[derive(Debug)]
pub enum Outcome {
    /// It ran, perhaps not to its end.
    Ran(Box<Transcript>),
    /// Nothing was sent.
    Refused {
        /// Why the checks that needed it are unknown.
        reason: UnknownReason,
        /// One fragment for people.
        note: String,
    },
}

/// How much is left of a budget of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetLevel {
    /// Name of the rate limit or of the pool.
    pub name: String,
    /// What is left of it, 0 to 1.
    pub remaining_ratio: f64,
}

/// Why a runner cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// A certificate, header, origin or proxy cannot be used.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The token for the identity-aware proxy could never be had.
    #[error("no token for `target.http.proxy_authorization` can be had: {0}")]
    Identity(#[from] IdentityError),
}

/// Carries out the scenarios of one catalog. What runs share lives here: the way to the target, users and their tokens,
/// budgets, residents, controls.
pub struct Runner {
    catalog: Arc<Catalog>,
    journal: Arc<dyn Journal>,
    wire: Arc<Wire>,
    /// What the identity-aware proxy before the target is shown, if that is a token that is fetched.
    identity: Option<Tokens>,
    /// Knows every secret of the configuration.
    redactor: Redactor,
    /// Knows the target's facts and functions, nothing of any run.
    target_scope: Scope<'static>,
    traffic: traffic::Traffic,
    leases: Arc<Leases>,
    credentials: Credentials,
    residents: residents::Residents,
    controls: controls::Controls,
    instances: instances::Instances,
}

/// What a run begins with.
struct Ready {
    lease: Lease,
    presented: Option<Presented>,
}

impl Runner {
    /// A runner for `catalog` whose budgets go on where `journal` left them.
    ///
    /// # Errors
    /// A certificate file, header, origin or proxy that cannot be used.
    pub fn new(catalog: Arc<Catalog>, journal: Arc<dyn Journal>) -> Result<Arc<Self>, RunnerError> {
        let wire = Wire::new(&wire::settings(&catalog.target.wire))?;
        let identity = match &catalog.target.wire.proxy_authorization {
            Some(Shown::Token(access)) => Some(Tokens::new(access.clone())?),
            Some(Shown::Fixed(_)) | None => None,
        };
        Ok(Arc::new(Self {
            wire,
            identity,
            redactor: Redactor::new(credentials::configured_secrets(&catalog)),
            target_scope: bindings::target_scope(&catalog, 0),
            traffic: traffic::Traffic::new(&catalog),
            leases: Leases::new(&catalog, Arc::clone(&journal)),
            credentials: Credentials::new(&catalog),
            residents: residents::Residents::default(),
            controls: controls::Controls::new(&catalog.target.controls),
            instances: instances::Instances::default(),
            journal,
            catalog,
        }))
    }

    /// Knows every secret of the configuration.
    pub fn redactor(&self) -> Redactor {
        self.redactor.for_run()
    }

    /// Runs `scenario` once. Ends by the scenario's deadline plus the time of clean-up, or soon after `stop` (clean-up still
    /// runs). A panic inside ends the run with a transcript that says so.
    pub async fn run(self: &Arc<Self>, scenario: &Arc<Scenario>, stop: CancellationToken) -> Outcome {
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => {
                return Outcome::Refused { reason: UnknownReason::Monitor, note: "stopped before it began".to_owned() };
            }
            ready = self.prepare(scenario) => ready,
        };
        match ready {
            Ok(ready) => Outcome::Ran(Box::new(conduct::conduct(self, scenario, ready, stop).await)),
            Err(Refusal { reason, note }) => Outcome::Refused { reason, note },
        }
    }

    /// Everything that can refuse a run before anything is sent.
    async fn prepare(&self, scenario: &Scenario) -> Result<Ready, Refusal> {
        let budget = |note| Refusal {
            reason: UnknownReason::Budget,
            note,
        };
        if let Some(left) = self.traffic.backing_off() {
            let note = format!(
                "the target said that we send too much; backing off for another {} s",
                left.as_secs()
            );
            return Err(budget(note));
        }
        let day = clock::now().format("%Y-%m-%d").to_string();
        let max = scenario.runs_per_day_max;
        if let Some(max) = max.filter(|&max| self.journal.runs_today(&scenario.id, &day) >= max) {
            return Err(budget(format!("it has had its {max} runs of the day")));
        }
        let presented = self.presented().await?;
        let lease = self.leases.take(scenario).await?;
        if max.is_some() {
            self.journal.record_run(&scenario.id, &day);
        }
        Ok(Ready { lease, presented })
    }

    /// The token for the proxy before the target, if that wants one.
    async fn presented(&self) -> Result<Option<Presented>, Refusal> {
        let Some(identity) = &self.identity else {
            return Ok(None);
        };
        let missing = |why: &dyn std::fmt::Display| Refusal {
            reason: UnknownReason::CredentialMissing,
            note: format!("there is no token for the proxy before the target: {why}"),
        };
        let token = identity.get().await.map_err(|error| missing(&error))?;
        Presented::new(token).map(Some).map_err(|error| missing(&error))
    }

    /// Ends all offers of resident sockets in good order, so that a one-shot iteration can finish.
    pub fn end_offers(&self) {
        self.residents.end();
    }

    /// Share of the control addresses that the last look reached; none without controls, or before one was needed.
    pub fn controls_reachable(&self) -> Option<f64> {
        self.controls.ratio()
    }

    /// When the youngest instance of the target that answered so far started, seconds since 1970; none when no answer says so.
    pub fn instance_started(&self) -> Option<f64> {
        self.instances.youngest()
    }

    /// Looks at the control addresses now, unless that was done just before; gives the share that answers.
    pub async fn look_at_controls(&self) -> Option<f64> {
        if self.controls.are_configured() {
            self.controls.look().await;
        }
        self.controls.ratio()
    }

    /// What is left of each rate limit and of each pool's handshakes.
    pub fn budgets(&self) -> Vec<BudgetLevel> {
        let mut levels = self.traffic.levels();
        levels.extend(self.leases.levels());
        levels
    }
}
