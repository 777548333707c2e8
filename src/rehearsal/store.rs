//! The rehearsal's database: threads, messages and runs, shared by all instances and kept across restarts.
//! It owns rows and ownership; HTTP shapes and who is asking belong to the endpoints.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::timing;

/// Rows kept per table; the oldest go first, so that a soak cannot grow without bound.
const ROWS_MAX: usize = 20_000;

/// One thread of a user.
#[derive(Clone, Debug)]
pub struct Thread {
    /// `thread_…`, or the id a client chose.
    pub id: String,
    /// The owner's sub.
    pub user_id: String,
    /// Its title, if it has one.
    pub title: Option<String>,
    /// What the client attached.
    pub metadata: Map<String, Value>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last change.
    pub updated_at: Option<i64>,
    /// Whether it was deleted, which only archives it.
    pub state: ThreadState,
    order: u64,
}

/// Whether a thread is still shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadState {
    /// Shown.
    Active,
    /// Deleted for the user; the row stays.
    Archived,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The user.
    User,
    /// An agent.
    Assistant,
}

impl Author {
    /// The role's name on the wire.
    pub fn role(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a thread.
#[derive(Clone, Debug)]
pub struct Message {
    /// Id of the row.
    pub id: String,
    /// Thread it belongs to; the thread need not exist as a row.
    pub thread_id: String,
    /// The owner's sub.
    pub user_id: String,
    /// Who wrote it.
    pub author: Author,
    /// The text.
    pub content: String,
    /// The client's own id of it, which makes it unique within the thread.
    pub client_id: Option<String>,
    /// The client's type of it.
    pub message_type: String,
    /// What the client attached.
    pub metadata: Map<String, Value>,
    /// Unix seconds.
    pub created_at: f64,
}

/// A message to store.
pub struct NewMessage {
    /// Thread it belongs to.
    pub thread_id: String,
    /// The owner's sub.
    pub user_id: String,
    /// Who wrote it.
    pub author: Author,
    /// The text.
    pub content: String,
    /// The client's own id of it.
    pub client_id: Option<String>,
    /// Everything else the client attached.
    pub metadata: Map<String, Value>,
}

/// What to do with a message whose client id is stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// Keep the first only.
    Ignore,
    /// Store it again.
    Store,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// Still going.
    Running,
    /// Ended with an answer.
    Completed,
    /// Ended without one.
    Failed,
}

impl RunStatus {
    /// Name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// One run of an agent.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id on the wire.
    pub run_id: String,
    /// Thread it belongs to.
    pub thread_id: String,
    /// The owner's sub.
    pub user_id: String,
    /// The outer agent.
    pub agent_name: &'static str,
    /// How far it is.
    pub status: RunStatus,
    /// Unix seconds.
    pub started_at: f64,
    /// Unix seconds of its end.
    pub ended_at: Option<f64>,
    /// The answer.
    pub answer: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

#[derive(Default)]
struct Tables {
    threads: BTreeMap<String, Thread>,
    messages: VecDeque<Message>,
    runs: VecDeque<Run>,
    next: u64,
}

/// The database.
#[derive(Default)]
pub struct Store {
    tables: Mutex<Tables>,
}

impl Store {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a thread of `user_id`, with a fresh id unless one is given.
    pub fn create_thread(&self, user_id: &str, id: Option<&str>) -> Thread {
        let mut tables = self.tables();
        tables.next += 1;
        let thread = Thread {
            id: id.map_or_else(|| format!("thread_{}", super::new_hex(16)), str::to_owned),
            user_id: user_id.to_owned(),
            title: None,
            metadata: Map::new(),
            created_at: timing::now_unix() as i64,
            updated_at: None,
            state: ThreadState::Active,
            order: tables.next,
        };
        if tables.threads.len() >= ROWS_MAX {
            let oldest = tables.threads.values().min_by_key(|thread| thread.order);
            if let Some(id) = oldest.map(|thread| thread.id.clone()) {
                tables.threads.remove(&id);
            }
        }
        tables.threads.insert(thread.id.clone(), thread.clone());
        thread
    }

    /// The thread with this id, archived ones too.
    pub fn thread(&self, id: &str) -> Option<Thread> {
        self.tables().threads.get(id).cloned()
    }

    /// Changes a thread in place; `None` if it does not exist.
    pub fn update_thread(&self, id: &str, change: impl FnOnce(&mut Thread)) -> Option<Thread> {
        let mut tables = self.tables();
        let thread = tables.threads.get_mut(id)?;
        change(thread);
        thread.updated_at = Some(timing::now_unix() as i64);
        Some(thread.clone())
    }

    /// The user's threads that are not archived, newest first.
    pub fn threads_of(&self, user_id: &str) -> Vec<Thread> {
        let tables = self.tables();
        let mine = |thread: &&Thread| thread.user_id == user_id && thread.state == ThreadState::Active;
        let mut threads: Vec<Thread> = tables.threads.values().filter(mine).cloned().collect();
        threads.sort_by_key(|thread| std::cmp::Reverse(thread.order));
        threads
    }

    /// Stores a message; returns the stored row, which is the older one when the client id was there already.
    pub fn add_message(&self, new: NewMessage, repeated: Repeated) -> Message {
        let mut tables = self.tables();
        let twin = |row: &&Message| {
            new.client_id.is_some()
                && row.client_id == new.client_id
                && row.thread_id == new.thread_id
                && row.user_id == new.user_id
                && row.author == new.author
        };
        if repeated == Repeated::Ignore
            && let Some(row) = tables.messages.iter().find(twin)
        {
            return row.clone();
        }
        let message_type = new.metadata.get("message_type").and_then(Value::as_str);
        let message = Message {
            id: super::new_uuid(),
            thread_id: new.thread_id,
            user_id: new.user_id,
            author: new.author,
            content: new.content,
            client_id: new.client_id,
            message_type: message_type.unwrap_or(new.author.role()).to_owned(),
            metadata: new.metadata,
            created_at: timing::now_unix(),
        };
        if tables.messages.len() >= ROWS_MAX {
            tables.messages.pop_front();
        }
        tables.messages.push_back(message.clone());
        message
    }

    /// Messages that `keep` accepts, oldest first.
    pub fn messages(&self, keep: impl Fn(&Message) -> bool) -> Vec<Message> {
        let tables = self.tables();
        tables.messages.iter().filter(|row| keep(row)).cloned().collect()
    }

    /// Messages of a thread.
    pub fn count_messages(&self, thread_id: &str) -> usize {
        let tables = self.tables();
        tables.messages.iter().filter(|row| row.thread_id == thread_id).count()
    }

    /// Removes a message.
    pub fn remove_message(&self, id: &str) {
        self.tables().messages.retain(|row| row.id != id);
    }

    /// Opens a run.
    pub fn open_run(&self, run: Run) {
        let mut tables = self.tables();
        if tables.runs.len() >= ROWS_MAX {
            tables.runs.pop_front();
        }
        tables.runs.push_back(run);
    }

    /// The run with this id.
    pub fn run(&self, run_id: &str) -> Option<Run> {
        let tables = self.tables();
        tables.runs.iter().rev().find(|run| run.run_id == run_id).cloned()
    }

    /// The runs of a thread that belong to `user_id`, oldest first.
    pub fn runs_of(&self, thread_id: &str, user_id: &str) -> Vec<Run> {
        let tables = self.tables();
        let mine = |run: &&Run| run.thread_id == thread_id && run.user_id == user_id;
        tables.runs.iter().filter(mine).cloned().collect()
    }

    /// Another run of `user_id` that is going on.
    pub fn other_running(&self, user_id: &str, run_id: &str) -> Option<Run> {
        let tables = self.tables();
        let other = |run: &&Run| run.user_id == user_id && run.run_id != run_id && run.status == RunStatus::Running;
        tables.runs.iter().rev().find(other).cloned()
    }

    /// Ends a run, once; a run that has ended already stays as it is.
    pub fn end_run(&self, run_id: &str, end: Result<String, String>) {
        let mut tables = self.tables();
        let open = |run: &&mut Run| run.run_id == run_id && run.status == RunStatus::Running;
        let Some(run) = tables.runs.iter_mut().rev().find(open) else {
            return;
        };
        run.ended_at = Some(timing::now_unix());
        match end {
            Ok(answer) => {
                run.status = RunStatus::Completed;
                run.answer = Some(answer);
            }
            Err(error) => {
                run.status = RunStatus::Failed;
                run.error = Some(error);
            }
        }
    }

    /// Loses threads and messages (fault `restart-loses-data`).
    pub fn forget(&self) {
        let mut tables = self.tables();
        tables.threads.clear();
        tables.messages.clear();
    }
}

impl Thread {
    /// A thread that is in no table (fault `threads-unstable`).
    pub fn ghost(id: &str, user_id: &str) -> Self {
        Self {
            id: id.to_owned(),
            user_id: user_id.to_owned(),
            title: None,
            metadata: Map::new(),
            created_at: timing::now_unix() as i64,
            updated_at: None,
            state: ThreadState::Active,
            order: 0,
        }
    }

    /// The object of contract §3.3.
    pub fn publish(&self, message_count: usize) -> Value {
        let mut metadata = self.metadata.clone();
        let archived = self.state == ThreadState::Archived;
        metadata.insert("status".into(), json!(if archived { "archived" } else { "active" }));
        json!({
            "id": self.id,
            "object": "thread",
            "title": self.title,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "metadata": metadata,
            "message_count": message_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(client_id: &str) -> NewMessage {
        NewMessage {
            thread_id: "t".into(),
            user_id: "u".into(),
            author: Author::User,
            content: "x".into(),
            client_id: Some(client_id.into()),
            metadata: Map::new(),
        }
    }

    #[test]
    fn a_client_id_is_stored_once_per_thread() {
        let store = Store::default();
        store.add_message(message("m"), Repeated::Ignore);
        store.add_message(message("m"), Repeated::Ignore);
        assert_eq!(store.messages(|_| true).len(), 1);
        store.add_message(message("m"), Repeated::Store);
        assert_eq!(store.messages(|_| true).len(), 2);
    }

    #[test]
    fn archived_threads_are_not_listed_but_stay() {
        let store = Store::default();
        let thread = store.create_thread("u", None);
        store.update_thread(&thread.id, |row| row.state = ThreadState::Archived);
        assert!(store.threads_of("u").is_empty());
        assert!(store.thread(&thread.id).is_some());
    }
}
