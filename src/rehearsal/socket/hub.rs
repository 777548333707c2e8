//! Which sockets are open, whose they are, and how frames reach them from elsewhere.
//! It owns membership and the connection limit; what is sent belongs to sessions and runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Connections one user may hold (contract §4.9, as advertised).
pub const CONNECTIONS_PER_USER: usize = 3;
/// Sessions one user may ever open on one instance while `ws-manager-leak` is on.
const MANAGERS_PER_USER: u32 = 5;
/// Frames that may wait for a slow socket; one more and the socket is dropped.
const INBOX_MAX: usize = 1024;
/// How long `ws-reconnect-refused` locks a user out.
const LOCKED_OUT_FOR: Duration = Duration::from_secs(30);

struct Member {
    user: String,
    connection_id: String,
    inbox: mpsc::Sender<String>,
    overflow: CancellationToken,
}

#[derive(Default)]
struct Room {
    members: HashMap<u64, Member>,
    next: u64,
    managers: HashMap<(String, String), u32>,
    locked_out: HashMap<String, Instant>,
}

/// The open sockets of the staging.
#[derive(Default)]
pub struct Hub {
    room: Arc<Mutex<Room>>,
    handshakes: Arc<AtomicUsize>,
}

/// A place in the hub, given back when dropped.
pub struct Membership {
    room: Arc<Mutex<Room>>,
    /// Number of the socket, counted from one over the rehearsal's life.
    pub number: u64,
    /// Frames from elsewhere, in order.
    pub inbox: mpsc::Receiver<String>,
    /// Set when the inbox overflowed.
    pub overflow: CancellationToken,
}

/// A handshake under way, until dropped.
pub struct Handshake(Arc<AtomicUsize>);

/// The user holds as many connections as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Which of a user's sockets a frame is for.
#[derive(Clone, Copy, Debug)]
pub enum Audience<'a> {
    /// Every socket of the user.
    User(&'a str),
    /// Every socket of the user but this connection.
    UserBut(&'a str, &'a str),
    /// This connection.
    Connection(&'a str),
    /// Every socket of everybody else.
    Strangers(&'a str),
}

impl Audience<'_> {
    fn includes(&self, member: &Member) -> bool {
        match self {
            Self::User(user) => member.user == *user,
            Self::UserBut(user, but) => member.user == *user && member.connection_id != *but,
            Self::Connection(id) => member.connection_id == *id,
            Self::Strangers(user) => member.user != *user,
        }
    }
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Takes a place for a connection of `user`, unless the user has as many as allowed.
    pub fn join(&self, user: &str, connection_id: &str) -> Result<Membership, Full> {
        let mut room = lock(&self.room);
        let held = room.members.values().filter(|member| member.user == user).count();
        if held >= CONNECTIONS_PER_USER {
            return Err(Full);
        }
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let overflow = CancellationToken::new();
        room.next += 1;
        let number = room.next;
        let member = Member {
            user: user.to_owned(),
            connection_id: connection_id.to_owned(),
            inbox: sender,
            overflow: overflow.clone(),
        };
        room.members.insert(number, member);
        let room = Arc::clone(&self.room);
        Ok(Membership {
            room,
            number,
            inbox,
            overflow,
        })
    }

    /// Puts a frame into the inboxes of an audience. It never waits.
    pub fn send(&self, audience: Audience<'_>, text: &str) {
        let room = lock(&self.room);
        for member in room.members.values().filter(|member| audience.includes(member)) {
            if let Err(mpsc::error::TrySendError::Full(_)) = member.inbox.try_send(text.to_owned()) {
                member.overflow.cancel();
            }
        }
    }

    /// Whether this connection is open.
    pub fn is_open(&self, connection_id: &str) -> bool {
        let room = lock(&self.room);
        room.members
            .values()
            .any(|member| member.connection_id == connection_id)
    }

    /// Open sockets.
    pub fn open(&self) -> usize {
        lock(&self.room).members.len()
    }

    /// Counts a session that will never be released; false beyond the leak's limit.
    pub fn leak_manager(&self, instance: &str, user: &str) -> bool {
        let mut room = lock(&self.room);
        let managers = room.managers.entry((instance.to_owned(), user.to_owned())).or_default();
        *managers += 1;
        *managers <= MANAGERS_PER_USER
    }

    /// Forgets leaked sessions, as the end of the fault does.
    pub fn forget_leaks(&self) {
        let mut room = lock(&self.room);
        room.managers.clear();
        room.locked_out.clear();
    }

    /// Locks a user out for a while.
    pub fn lock_out(&self, user: &str) {
        let until = Instant::now() + LOCKED_OUT_FOR;
        lock(&self.room).locked_out.insert(user.to_owned(), until);
    }

    /// Whether a user is locked out.
    pub fn is_locked_out(&self, user: &str) -> bool {
        let mut room = lock(&self.room);
        room.locked_out.retain(|_, until| *until > Instant::now());
        room.locked_out.contains_key(user)
    }

    /// Notes a handshake until the guard is dropped.
    pub fn handshake(&self) -> Handshake {
        self.handshakes.fetch_add(1, Ordering::SeqCst);
        Handshake(Arc::clone(&self.handshakes))
    }

    /// Handshakes under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        lock(&self.room).members.remove(&self.number);
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_connection_is_refused_until_one_leaves() {
        let hub = Hub::default();
        let mut held: Vec<Membership> = (0..3).map(|n| hub.join("u", &format!("c{n}")).ok().unwrap()).collect();
        assert!(hub.join("u", "c3").is_err());
        assert!(hub.join("v", "d0").is_ok());
        held.pop();
        assert!(hub.join("u", "c3").is_ok());
    }

    #[test]
    fn frames_reach_their_audience_only() {
        let hub = Hub::default();
        let mut mine = hub.join("u", "c0").ok().unwrap();
        let mut other = hub.join("v", "d0").ok().unwrap();
        hub.send(Audience::User("u"), "x");
        assert_eq!(mine.inbox.try_recv().ok().as_deref(), Some("x"));
        assert!(other.inbox.try_recv().is_err());
    }
}
