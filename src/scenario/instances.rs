//! When the instances of the target started, as far as their answers say how old they are: a deploy is noticed with the first
//! answer of the new one, whichever run met it. Owns: the youngest. Must not: decide what a new instance means.

use std::sync::atomic::{AtomicU64, Ordering};

/// The youngest instance that answered: when it started, microseconds since 1970, 0 when none said so.
#[derive(Default)]
pub(super) struct Instances(AtomicU64);

impl Instances {
    /// An answer to a request that was sent at `asked` (seconds since 1970) says that its instance is `age` seconds old. What
    /// is known is never later than the true start, and comes nearer to it with every quick answer.
    pub(super) fn answered(&self, asked: f64, age: f64) {
        let started = asked - age;
        if age.is_finite() && age >= 0.0 && started > 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "microseconds since 1970 fit, and are not negative"
            )]
            let micros = (started * 1e6) as u64;
            self.0.fetch_max(micros, Ordering::Relaxed);
        }
    }

    /// When the youngest started, seconds since 1970.
    pub(super) fn youngest(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century are exact")]
        let seconds = self.0.load(Ordering::Relaxed) as f64 / 1e6;
        (seconds > 0.0).then_some(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_counts_and_what_cannot_be_an_age_does_not() {
        let instances = Instances::default();
        assert_eq!(instances.youngest(), None);
        for nonsense in [f64::NAN, f64::INFINITY, -1.0, 3e9] {
            instances.answered(2e9, nonsense);
            assert_eq!(instances.youngest(), None, "{nonsense}");
        }
        instances.answered(2e9, 100.0);
        instances.answered(2e9 + 5.0, 400.0);
        assert_eq!(instances.youngest(), Some(2e9 - 100.0));
        instances.answered(2e9 + 50.0, 0.5);
        assert_eq!(instances.youngest(), Some(2e9 + 49.5));
    }
}
