//! A condition that must last before it is an alert, and a share over a window of minutes. Pure, bounded.

use std::collections::VecDeque;
use std::time::Duration;

/// A condition over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sustained {
    /// Since when it has held.
    since: Option<f64>,
    /// Since when it has, of the alert that fires.
    firing: Option<f64>,
}

impl Sustained {
    /// Whether it holds now; none when that cannot be said, which changes nothing. The alert is created once it has held for
    /// `long`, unless it is muted.
    pub(super) fn update(&mut self, holds: Option<bool>, now: f64, (long, muted): (Duration, bool)) {
        match holds {
            Some(true) => {
                let since = *self.since.get_or_insert(now);
                if self.firing.is_none() && !muted && now - since >= long.as_secs_f64() {
                    self.firing = Some(since);
                }
            }
            Some(false) => *self = Self::default(),
            None => {}
        }
    }

    /// Since when, of the alert that fires.
    pub(super) fn firing(&self) -> Option<f64> {
        self.firing
    }

    /// It is known to have been firing since then.
    pub(super) fn adopt(&mut self, since: f64) {
        let since = self.firing.map_or(since, |own| own.min(since));
        (self.since, self.firing) = (Some(since), Some(since));
    }
}

/// A share over the last minutes, one bucket a minute.
#[derive(Clone, Debug)]
pub(super) struct Window {
    minutes: usize,
    /// Minute since 1970, sum of the parts, number of the whole; oldest first.
    buckets: VecDeque<(i64, f64, f64)>,
}

impl Window {
    pub(super) fn new(minutes: usize) -> Self {
        Self {
            minutes,
            buckets: VecDeque::with_capacity(minutes + 1),
        }
    }

    /// Adds one sample, 0 to 1.
    pub(super) fn add(&mut self, now: f64, part: f64) {
        let minute = minute(now);
        match self.buckets.back_mut() {
            // A clock that goes back adds to the newest minute.
            Some((newest, sum, count)) if *newest >= minute => {
                *sum += part;
                *count += 1.0;
            }
            _ => self.buckets.push_back((minute, part, 1.0)),
        }
        self.forget(now);
    }

    /// Forgets what is older than the window.
    pub(super) fn forget(&mut self, now: f64) {
        let oldest = minute(now) - i64::try_from(self.minutes).unwrap_or(i64::MAX);
        while self.buckets.len() > self.minutes || self.buckets.front().is_some_and(|(at, _, _)| *at <= oldest) {
            self.buckets.pop_front();
        }
    }

    /// The share, and of how many samples.
    pub(super) fn share(&self) -> Option<(f64, f64)> {
        let (sum, count) = self
            .buckets
            .iter()
            .fold((0.0, 0.0), |(sum, count), (_, part, whole)| (sum + part, count + whole));
        (count > 0.0).then(|| (sum / count, count))
    }
}

fn minute(now: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "minutes since 1970 fit")]
    let minute = (now / 60.0).floor() as i64;
    minute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_and_stays_small() {
        let mut window = Window::new(3);
        assert_eq!(window.share(), None);
        for second in 0..600_u32 {
            window.add(f64::from(second), if second < 480 { 0.0 } else { 1.0 });
        }
        assert_eq!(window.share(), Some((2.0 / 3.0, 180.0)));
        assert!(window.buckets.len() <= 3);
        window.forget(10_000.0);
        assert_eq!(window.share(), None);
    }

    #[test]
    fn what_cannot_be_said_neither_begins_nor_ends() {
        let minute = (Duration::from_secs(60), false);
        let mut condition = Sustained::default();
        condition.update(Some(true), 0.0, minute);
        condition.update(None, 70.0, minute);
        assert_eq!(condition.firing(), None);
        condition.update(Some(true), 71.0, minute);
        condition.update(None, 72.0, minute);
        assert_eq!(condition.firing(), Some(0.0));
        condition.update(Some(false), 73.0, minute);
        assert_eq!(condition, Sustained::default());
    }
}
