//! The tokens of one user: the current pair, when to renew it, and superseded ones until they have aged.
//! Must not: log in, or read a clock; the caller says what time it is.

use crate::failure::Failure;
use crate::limits::{AGED_MARGIN, AGED_TOKENS_MAX, LOGIN_FAILURE_KEPT, TOKEN_LIFE_UNKNOWN};
use crate::secret::Secret;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Tokens that a user got at one moment.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, if there is one.
    pub refresh: Option<Secret>,
    /// When we got them, in seconds since 1970.
    pub got_unix: f64,
    /// How long the access token lives, in seconds: `exp - iat`, so that the target's clock does not matter.
    pub life_s: f64,
}

/// The time as tokens count it.
#[derive(Clone, Copy, Debug)]
pub(in crate::scenario) struct TokenClock {
    /// Seconds since 1970.
    pub now_unix: f64,
    /// The catalog's factor on long waits.
    pub time_scale: f64,
}

/// The place of one user's tokens. Whoever holds the lock of `state` logs in; the others wait for the result.
#[derive(Default)]
pub(in crate::scenario) struct Slot {
    /// The current tokens.
    pub state: tokio::sync::Mutex<SlotState>,
    aged: Mutex<VecDeque<Tokens>>,
}

/// What a slot holds.
#[derive(Default)]
pub(in crate::scenario) struct SlotState {
    /// The current pair.
    pub current: Option<Tokens>,
    failed: Option<(Instant, Failure)>,
}

impl Tokens {
    /// Tokens with the life that the access token's own `exp` and `iat` give it.
    pub(in crate::scenario) fn new(access: Secret, refresh: Option<Secret>, claims: &Value, now_unix: f64) -> Self {
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
        let life_s = seconds("exp").map(|exp| exp - seconds("iat").unwrap_or(now_unix));
        let life_s = life_s
            .filter(|life| *life > 0.0)
            .unwrap_or(TOKEN_LIFE_UNKNOWN.as_secs_f64());
        Self {
            access,
            refresh,
            got_unix: now_unix,
            life_s,
        }
    }

    /// The access token and, if there is one, the refresh token.
    pub(in crate::scenario) fn both(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.access).chain(&self.refresh)
    }

    /// Whether `share` of the life is over.
    pub(in crate::scenario) fn older_than(&self, share: f64, clock: TokenClock) -> bool {
        clock.now_unix >= self.got_unix + self.life_s * share
    }

    fn aged(&self, clock: TokenClock) -> bool {
        clock.now_unix >= self.got_unix + self.life_s + AGED_MARGIN.as_secs_f64() * clock.time_scale
    }
}

impl SlotState {
    /// A failure so young that it answers for another attempt.
    pub(in crate::scenario) fn recent_failure(&self) -> Option<Failure> {
        let (at, failure) = self.failed.as_ref()?;
        (at.elapsed() < LOGIN_FAILURE_KEPT).then(|| failure.clone())
    }

    /// Keeps a failure for others who are waiting.
    pub(in crate::scenario) fn fail(&mut self, failure: &Failure) {
        self.failed = Some((Instant::now(), failure.clone()));
    }
}

impl Slot {
    /// Makes `tokens` the current ones; the superseded ones are kept until they have aged.
    pub(in crate::scenario) fn replace(&self, state: &mut SlotState, tokens: Tokens, clock: TokenClock) {
        state.failed = None;
        let Some(old) = state.current.replace(tokens) else {
            return;
        };
        let mut aged = self.aged.lock().unwrap_or_else(PoisonError::into_inner);
        aged.push_back(old);
        // One that has aged already is enough: a newer one that has not must not push it out.
        let spare = aged
            .iter()
            .filter(|tokens| tokens.aged(clock))
            .count()
            .saturating_sub(1);
        aged.drain(..spare);
        aged.truncate(AGED_TOKENS_MAX);
    }

    /// A real token whose `exp` has passed long enough ago, if there is one yet.
    pub(in crate::scenario) fn aged(&self, clock: TokenClock) -> Option<Secret> {
        let aged = self.aged.lock().unwrap_or_else(PoisonError::into_inner);
        let found = aged.iter().rev().find(|tokens| tokens.aged(clock));
        found.map(|tokens| tokens.access.clone())
    }

    /// The target refused `access` although it should hold: the next run logs in anew.
    pub(in crate::scenario) async fn distrust(&self, access: &Secret) {
        let mut state = self.state.lock().await;
        if state
            .current
            .as_ref()
            .is_some_and(|tokens| tokens.access.expose() == access.expose())
        {
            // Not kept as an aged one: it was refused before its time.
            state.current = None;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(now_unix: f64) -> TokenClock {
        TokenClock {
            now_unix,
            time_scale: 1.0,
        }
    }

    fn tokens(name: &str, got_unix: f64) -> Tokens {
        // The target's clock is an hour ahead.
        let claims = json!({ "iat": got_unix + 3600.0, "exp": got_unix + 3700.0 });
        Tokens::new(Secret::new(name), None, &claims, got_unix)
    }

    #[test]
    fn life_comes_from_the_token_alone() {
        let tokens = tokens("a", 1000.0);
        assert!(!tokens.older_than(0.6, at(1059.0)));
        assert!(tokens.older_than(0.6, at(1060.0)));
    }

    #[tokio::test]
    async fn superseded_tokens_become_aged_ones_after_their_life() {
        let slot = Slot::default();
        let mut state = slot.state.lock().await;
        for step in 0..5 {
            let now = f64::from(step) * 60.0;
            slot.replace(&mut state, tokens(&format!("token{step}"), now), at(now));
        }
        // Got at 0, expired at 100, aged at 220.
        assert!(slot.aged(at(219.0)).is_none());
        assert_eq!(slot.aged(at(225.0)).unwrap().expose(), "token0");
        assert_eq!(slot.aged(at(290.0)).unwrap().expose(), "token1");
        slot.replace(&mut state, tokens("token5", 300.0), at(300.0));
        assert_eq!(slot.aged(at(300.0)).unwrap().expose(), "token1");
        assert_eq!(slot.aged.lock().unwrap().len(), AGED_TOKENS_MAX);
    }
}
