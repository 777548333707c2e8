//! Agent runs: accepting an order, playing its events over time, storing its answer (contract §5).
//! It owns a run from order to terminal event; which events there are belongs to `plan`, their form to `shape`.

mod plan;
mod shape;
pub mod sum;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::faults::Fault;
use super::instance::{Instance, Operation};
use super::socket::hub::Audience;
use super::store::{Author, NewMessage, Repeated, Run, RunStatus};
use super::timing;
use super::world::{Dependency, World};
use plan::{Beat, Measures};

/// The outer agent, whose terminal event ends a run.
pub const SUPERVISOR: &str = "SupervisorAgent";
/// The inner agent, which uses the tool.
pub const CALCULATOR: &str = "CalculatorAgent";

/// A wish to run an agent.
pub struct Order {
    /// Who asks.
    pub user_id: String,
    /// Thread to work in; a new one if missing.
    pub thread_id: Option<String>,
    /// The client's id of the request, which makes it unique within the thread.
    pub message_id: Option<String>,
    /// What to do.
    pub user_request: String,
    /// The run's id, if the client chose one.
    pub run_id: Option<String>,
    /// The socket that asked.
    pub connection_id: Option<String>,
    /// Gets every event as well; closed when the run ends.
    pub watcher: Option<mpsc::Sender<Value>>,
}

/// A run that is going on.
#[derive(Debug)]
pub struct Started {
    /// Its id.
    pub run_id: String,
}

/// Why no run was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The message started this run already.
    #[error("this message has started run {run_id} already")]
    Repeated {
        /// That run.
        run_id: String,
    },
    /// The thread belongs to somebody else.
    #[error("access denied to this thread")]
    ForeignThread,
    /// The database is away.
    #[error("database unavailable; try again later")]
    DatabaseAway,
}

impl StartError {
    /// The code of its error frame.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Repeated { .. } => "DUPLICATE_MESSAGE",
            Self::ForeignThread => "AUTH_UNAUTHORIZED",
            Self::DatabaseAway => "SERVICE_UNAVAILABLE",
        }
    }
}

/// Accepts an order and starts its run, which goes on whatever happens to whoever asked.
pub fn start(world: &Arc<World>, instance: &Arc<Instance>, order: Order) -> Result<Started, StartError> {
    if world.database() == Dependency::Down {
        return Err(StartError::DatabaseAway);
    }
    let thread_id = thread_for(world, &order)?;
    if let Some(run_id) = earlier_run(world, &order, &thread_id) {
        return Err(StartError::Repeated { run_id });
    }
    let wished = order.run_id.clone().filter(|id| world.store.run(id).is_none());
    let run_id = wished.unwrap_or_else(|| format!("run_{}", super::new_hex(12)));
    keep_request(world, &order, (&run_id, &thread_id));
    world.store.open_run(Run {
        run_id: run_id.clone(),
        thread_id: thread_id.clone(),
        user_id: order.user_id.clone(),
        agent_name: SUPERVISOR,
        status: RunStatus::Running,
        started_at: timing::now_unix(),
        ended_at: None,
        answer: None,
        error: None,
    });
    world.stats.run();
    let started = Started { run_id: run_id.clone() };
    let run = Running {
        world: Arc::clone(world),
        operation: instance.begin(),
        run_id,
        thread_id,
        order,
        began: Instant::now(),
        tool_began: None,
        held: None,
    };
    let retired = instance.retired.clone();
    world.tasks.spawn(async move {
        let (world, run_id) = (Arc::clone(&run.world), run.run_id.clone());
        tokio::select! {
            () = run.play() => {}
            () = retired.cancelled() => {
                world.store.end_run(&run_id, Err("service restart".to_owned()));
            }
            () = world.stop.cancelled() => {}
        }
    });
    Ok(started)
}

/// The caller's thread: the one named, created if nobody has it, or a new one.
fn thread_for(world: &World, order: &Order) -> Result<String, StartError> {
    let Some(id) = order.thread_id.as_deref() else {
        return Ok(world.store.create_thread(&order.user_id, None).id);
    };
    match world.store.thread(id) {
        Some(thread) if thread.user_id != order.user_id => Err(StartError::ForeignThread),
        Some(thread) => Ok(thread.id),
        None => Ok(world.store.create_thread(&order.user_id, Some(id)).id),
    }
}

fn earlier_run(world: &World, order: &Order, thread_id: &str) -> Option<String> {
    let message_id = order.message_id.as_deref()?;
    let rows = world.store.messages(|row| {
        row.thread_id == thread_id
            && row.user_id == order.user_id
            && row.author == Author::User
            && row.client_id.as_deref() == Some(message_id)
    });
    rows.iter()
        .find_map(|row| Some(row.metadata.get("run_id")?.as_str()?.to_owned()))
}

fn keep_request(world: &World, order: &Order, (run_id, thread_id): (&str, &str)) {
    let message = || NewMessage {
        thread_id: thread_id.to_owned(),
        user_id: order.user_id.clone(),
        author: Author::User,
        content: order.user_request.clone(),
        client_id: order.message_id.clone(),
        metadata: Map::from_iter([("run_id".to_owned(), json!(run_id))]),
    };
    world.store.add_message(message(), Repeated::Ignore);
    if world.faults.on(Fault::AgentRequestTwice) {
        world.store.add_message(message(), Repeated::Store);
    }
}

struct Running {
    world: Arc<World>,
    operation: Operation,
    run_id: String,
    thread_id: String,
    order: Order,
    began: Instant,
    tool_began: Option<Instant>,
    /// An event that `agent-order-differs` keeps back from the user's other sockets.
    held: Option<String>,
}

impl Running {
    fn on(&self, fault: Fault) -> bool {
        self.world.faults.on(fault)
    }

    async fn play(mut self) {
        if self.on(Fault::AgentSilent) {
            // The platform lost the run: no event, no answer, no end.
            return;
        }
        let beats = plan::of(&self.order.user_request, &self.world.faults);
        let mut ended = false;
        for beat in beats {
            tokio::time::sleep(beat.gap).await;
            if self.on(Fault::AgentRunLost) && self.is_abandoned() {
                return;
            }
            if beat.is_terminal() && !ended {
                ended = true;
                self.conclude(&beat);
            }
            self.tell(&beat);
        }
        if let Some(text) = self.held.take() {
            self.to_other_sockets(&text);
        }
    }

    fn is_abandoned(&self) -> bool {
        let asked_by = self.order.connection_id.as_deref();
        asked_by.is_some_and(|id| !self.world.hub.is_open(id))
    }

    /// Stores how the run ended, before its terminal event says so.
    fn conclude(&self, beat: &Beat) {
        let answer = beat.body.get("result").and_then(Value::as_str);
        let end = answer.map(str::to_owned).ok_or_else(|| {
            let error = beat.body.get("error_message").and_then(Value::as_str);
            error.unwrap_or("failed").to_owned()
        });
        if let Ok(answer) = &end
            && !self.on(Fault::AgentNotPersisted)
        {
            let message = NewMessage {
                thread_id: self.thread_id.clone(),
                user_id: self.order.user_id.clone(),
                author: Author::Assistant,
                content: answer.clone(),
                client_id: None,
                metadata: Map::from_iter([("run_id".to_owned(), json!(self.run_id))]),
            };
            self.world.store.add_message(message, Repeated::Store);
        }
        let failures = u64::from(end.is_err());
        self.operation.note(SUPERVISOR, failures);
        self.operation.note(CALCULATOR, failures);
        self.world.store.end_run(&self.run_id, end);
    }

    fn tell(&mut self, beat: &Beat) {
        let now = Instant::now();
        let mut body = beat.body.clone();
        let since = match beat.measures {
            Measures::Nothing => None,
            Measures::Tool => Some(self.tool_began.unwrap_or(now)),
            Measures::Run => Some(self.began),
        };
        if let Some(since) = since {
            let factor = if self.on(Fault::AgentExecutionTimeWrong) {
                10.0
            } else {
                1.0
            };
            let ms = now.duration_since(since).as_secs_f64() * 1e3 * factor;
            body.insert("execution_time_ms".into(), json!((ms * 10.0).round() / 10.0));
        }
        if beat.kind == "tool_executing" {
            self.tool_began = Some(now);
        }
        let (run_id, thread_id) = self.ids(beat);
        let event = shape::Event {
            kind: beat.kind,
            agent: beat.agent,
            run_id: &run_id,
            thread_id: &thread_id,
            user_id: &self.order.user_id,
            at: timing::now_unix() + beat.skew_s,
            body,
        };
        let frame = shape::render(&event, &self.world.faults);
        if let Some(watcher) = &self.order.watcher {
            // A watcher that has gone, or cannot keep up, loses events; the run goes on.
            let _ = watcher.try_send(frame.clone());
        }
        self.deliver(frame.to_string());
    }

    /// The ids an event carries; faults let them change or cross.
    fn ids(&self, beat: &Beat) -> (String, String) {
        if self.on(Fault::AgentRunsMixed) {
            let user = &self.order.user_id;
            if let Some(other) = self.world.store.other_running(user, &self.run_id) {
                return (other.run_id, other.thread_id);
            }
        }
        let changed = self.on(Fault::AgentRunIdChanges) && beat.measures != Measures::Nothing;
        let run_id = match changed {
            true => format!("{}_b", self.run_id),
            false => self.run_id.clone(),
        };
        (run_id, self.thread_id.clone())
    }

    fn deliver(&mut self, text: String) {
        let user = self.order.user_id.clone();
        if self.on(Fault::CrossUserLeak) {
            self.world.hub.send(Audience::Strangers(&user), &text);
        }
        let asking = self.order.connection_id.clone().unwrap_or_default();
        let alone = self.on(Fault::AgentOneSession);
        if !alone && !self.on(Fault::AgentOrderDiffers) {
            self.world.hub.send(Audience::User(&user), &text);
            return;
        }
        self.world.hub.send(Audience::Connection(&asking), &text);
        if alone {
            return;
        }
        match self.held.take() {
            Some(earlier) => {
                self.to_other_sockets(&text);
                self.to_other_sockets(&earlier);
            }
            None => self.held = Some(text),
        }
    }

    fn to_other_sockets(&self, text: &str) {
        let asking = self.order.connection_id.as_deref().unwrap_or_default();
        let audience = Audience::UserBut(&self.order.user_id, asking);
        self.world.hub.send(audience, text);
    }
}
