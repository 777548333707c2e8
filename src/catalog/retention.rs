//! How much of the past is kept.

use crate::limits::{HISTORY_BYTES, HISTORY_DAYS};
use std::time::Duration;

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows older than this go.
    pub keep: Duration,
    /// Above this many bytes the oldest texts go, then the oldest rows.
    pub bytes_max: u64,
}

impl Default for Retention {
    /// That of the limits.
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(u64::from(HISTORY_DAYS) * 24 * 3600),
            bytes_max: HISTORY_BYTES,
        }
    }
}
