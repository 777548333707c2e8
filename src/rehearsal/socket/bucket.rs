//! The message rate of one connection: a token bucket (contract §4.9, as advertised).
//! It owns the arithmetic; what is said to a client that is too fast belongs to `session`.

use std::time::Duration;

use tokio::time::Instant;

/// Messages per rate window.
pub const MESSAGES_PER_WINDOW: f64 = 100.0;
/// Messages that may come at once before the rate counts; a burst of 200 must pass (checks §5, W6).
pub const BURST: f64 = 250.0;

/// Tokens that messages take and time gives back.
pub struct Bucket {
    tokens: f64,
    per_second: f64,
    refilled: Instant,
}

impl Bucket {
    /// A full bucket that gives [`MESSAGES_PER_WINDOW`] back in each `window`.
    pub fn full(window: Duration, now: Instant) -> Self {
        Self {
            tokens: BURST,
            per_second: MESSAGES_PER_WINDOW / window.as_secs_f64(),
            refilled: now,
        }
    }

    /// Takes one token, or says how long to wait for it.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let start = Instant::now();
        let mut bucket = Bucket::full(Duration::from_secs(60), start);
        let passed = (0..300).filter(|_| bucket.take(start).is_ok()).count();
        assert_eq!(passed, 250);
        let later = start + Duration::from_secs(60);
        assert_eq!((0..300).filter(|_| bucket.take(later).is_ok()).count(), 100);
    }
}
