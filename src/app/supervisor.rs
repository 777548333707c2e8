//! What systemd is told, and asks for, by the protocol of sd_notify(3): plain datagrams to a socket that it names.
//! Without one nothing is said.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Whoever started us.
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` if it is meant for this process.
    pub fn from_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET").and_then(|name| match name.as_bytes() {
            [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden).ok(),
            [b'/', ..] => SocketAddr::from_pathname(&name).ok(),
            _ => None,
        });
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Self {
            watchdog: number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros),
            socket,
        }
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self {
            socket: None,
            watchdog: None,
        }
    }

    /// How often it wants to hear from us, at least.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything runs.
    pub fn ready(&self) {
        self.say("READY=1\nSTATUS=watching");
    }

    /// The schedule goes round.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// We are ending.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // Whoever does not listen any more cannot be told.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}
