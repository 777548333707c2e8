//! Time in the rehearsal: the contract's long durations, scaled, and wall time in the forms the wire uses.
//! It owns every duration that `time_scale` multiplies; short delays belong to the places that use them.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// The contract's long durations (contract §1, §2.1, §3.4, §4.5, §6) multiplied by one scale, with floors
/// below which a client could not keep up.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    scale: f64,
}

impl Timing {
    /// Durations multiplied by `scale`; the caller has checked that it is finite and positive.
    pub fn new(scale: f64) -> Self {
        Self { scale }
    }

    fn scaled(self, seconds: f64, floor: f64) -> Duration {
        Duration::from_secs_f64((seconds * self.scale).max(floor))
    }

    /// Interval of the JSON heartbeat: 25 s, at least 0.5 s.
    pub fn heartbeat(self) -> Duration {
        self.scaled(25.0, 0.5)
    }

    /// Interval of the protocol ping: 20 s, at least 0.5 s.
    pub fn keepalive_interval(self) -> Duration {
        self.scaled(20.0, 0.5)
    }

    /// How long a protocol pong may take: 20 s, at least 2.5 s, since a client may rightly not read for 2 s.
    pub fn keepalive_timeout(self) -> Duration {
        self.scaled(20.0, 2.5)
    }

    /// Age at which the platform cuts a socket: 300 s, at least 10 s.
    pub fn socket_cut(self) -> Duration {
        self.scaled(300.0, 10.0)
    }

    /// Silence after which the echo endpoint sends a heartbeat: 30 s, at least 0.5 s.
    pub fn echo_idle(self) -> Duration {
        self.scaled(30.0, 0.5)
    }

    /// How long a start in the wrong order lasts: 30 s, at least 3 s.
    pub fn disorder(self) -> Duration {
        self.scaled(30.0, 3.0)
    }

    /// Window of every rate limit: 60 s, at least 1 s.
    pub fn rate_window(self) -> Duration {
        self.scaled(60.0, 1.0)
    }

    /// How long Cloud Armor bans an address: 600 s, at least 2 s.
    pub fn ban(self) -> Duration {
        self.scaled(600.0, 2.0)
    }

    /// How long a breaker stays open: 30 s, at least 0.5 s.
    pub fn breaker_open(self) -> Duration {
        self.scaled(30.0, 0.5)
    }

    /// How long the backend trusts a validated token: 300 s, at least 1 s.
    pub fn token_cache(self) -> Duration {
        self.scaled(300.0, 1.0)
    }

    /// Lifetime of an access token in whole seconds: 1800, at least 5.
    pub fn access_lifetime_s(self) -> u64 {
        self.scaled(1800.0, 5.0).as_secs()
    }

    /// Lifetime of a refresh token in whole seconds: 14 days, at least 60.
    pub fn refresh_lifetime_s(self) -> u64 {
        self.scaled(14.0 * 86_400.0, 60.0).as_secs()
    }
}

/// Wall time in seconds since 1970, as the wire's float timestamps give it.
pub fn now_unix() -> f64 {
    Utc::now().timestamp_micros() as f64 / 1e6
}

/// Wall time in milliseconds since 1970.
pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// `unix` seconds as ISO 8601 with zone, microseconds.
pub fn iso(unix: f64) -> String {
    moment(unix).to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// `unix` seconds as ISO 8601 without a zone, as event shape B carries it.
pub fn iso_without_zone(unix: f64) -> String {
    moment(unix).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Now as ISO 8601 with zone.
pub fn iso_now() -> String {
    iso(now_unix())
}

fn moment(unix: f64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros((unix * 1e6) as i64).unwrap_or_default()
}
