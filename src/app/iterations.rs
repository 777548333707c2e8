//! Iterations as the history keeps them: stored whole, read back with what is different since those before.

use crate::history::{History, HistoryError, Reader, StoredIteration};
use crate::report::{Iteration, since};

/// Iterations before one that are looked at for checks that flap.
const COMPARED: i64 = 12;

/// Stores an iteration, made at `at` (seconds since 1970), under the next number.
pub fn keep(history: &History, iteration: &Iteration, at: f64) {
    // Plain data with text keys always serialises.
    history.keep_iteration(at, serde_json::to_string(iteration).unwrap_or_default());
}

/// The iteration of this number, or the newest, compared with those before it.
///
/// # Errors
/// When the store cannot be read.
pub fn stored(reader: &Reader, number: Option<i64>) -> Result<Option<Iteration>, HistoryError> {
    let Some(found) = reader.iteration(number)? else {
        return Ok(None);
    };
    let Some(mut iteration) = parsed(&found) else {
        return Ok(None);
    };
    iteration.since = since(&iteration, &before(reader, found.number)?);
    Ok(Some(iteration))
}

/// Compares an iteration that is not stored yet with those that are.
///
/// # Errors
/// When the store cannot be read.
pub fn compare(reader: &Reader, iteration: &mut Iteration) -> Result<(), HistoryError> {
    let newest = reader.iterations(1)?;
    let next = newest.first().map_or(1, |(number, _)| number + 1);
    iteration.since = since(iteration, &before(reader, next)?);
    Ok(())
}

/// The iterations before `number`, oldest first.
fn before(reader: &Reader, number: i64) -> Result<Vec<Iteration>, HistoryError> {
    let mut before = Vec::new();
    for number in (number - COMPARED).max(1)..number {
        before.extend(reader.iteration(Some(number))?.as_ref().and_then(parsed));
    }
    Ok(before)
}

/// None for what an incompatible version wrote.
fn parsed(stored: &StoredIteration) -> Option<Iteration> {
    serde_json::from_str(&stored.snapshot).ok()
}
