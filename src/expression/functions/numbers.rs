//! Functions on numbers and times.

use super::{Answer, Arguments, answer, items, refuse, take};
use crate::expression::arithmetic::as_double;
use cel::ExecutionError;
use cel::common::types::{CelDouble, CelInt, CelNull, CelString, CelTimestamp, CelUInt};
use cel::common::value::{CowVal, Val};
use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

/// Seconds since 1970 above which a number is taken for milliseconds: the year 5138.
const SECONDS_MAX: f64 = 1e11;

fn double<'b, 'v>(value: f64) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelDouble::from(value)))
}

fn numbers(name: &str, list: &dyn Val) -> Result<Vec<f64>, ExecutionError> {
    let values: Option<Vec<f64>> = items(name, list)?.into_iter().map(as_double).collect();
    match values {
        Some(values) => Ok(values),
        None => refuse(name, "a list of numbers"),
    }
}

/// `percentile(list, p)`: the nearest rank, `p` from 0 to 100; null for an empty list.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the rank lies between 0 and the length of a list in memory"
)]
pub(super) fn percentile<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [list, share] = take(arguments)?;
    let mut values = numbers("percentile", list.as_ref())?;
    let share = match as_double(share.as_ref()) {
        Some(share) if (0.0..=100.0).contains(&share) => share,
        _ => return refuse("percentile", "a list and a percentage from 0 to 100"),
    };
    if values.is_empty() {
        return Ok(CowVal::owned(CelNull));
    }
    values.sort_by(f64::total_cmp);
    let rank = (share / 100.0 * values.len() as f64).ceil() as usize;
    double(values[rank.clamp(1, values.len()) - 1])
}

/// `avg(list)`: null for an empty list.
#[expect(clippy::cast_precision_loss, reason = "the length of a list in memory")]
pub(super) fn avg<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [list] = take(arguments)?;
    let values = numbers("avg", list.as_ref())?;
    if values.is_empty() {
        return Ok(CowVal::owned(CelNull));
    }
    double(values.iter().sum::<f64>() / values.len() as f64)
}

/// `sum(list)`: a double, 0.0 for an empty list.
pub(super) fn sum<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [list] = take(arguments)?;
    // `Sum` of floats starts from -0.0, which would print its sign.
    double(
        numbers("sum", list.as_ref())?
            .iter()
            .fold(0.0, |sum, value| sum + value),
    )
}

/// `max(list)`: null for an empty list.
pub(super) fn max<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    extreme("max", arguments, |new, best| new > best)
}

/// `min(list)`: null for an empty list.
pub(super) fn min<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    extreme("min", arguments, |new, best| new < best)
}

fn extreme<'b, 'v>(name: &str, arguments: Arguments<'b, 'v>, better: fn(f64, f64) -> bool) -> Answer<'b, 'v> {
    let [list] = take(arguments)?;
    let values = numbers(name, list.as_ref())?;
    let best = values
        .iter()
        .copied()
        .reduce(|best, new| if better(new, best) { new } else { best });
    match best {
        // The item itself keeps its kind: the largest of whole numbers is one.
        Some(best) => {
            let place = values.iter().position(|value| *value == best).unwrap_or_default();
            Ok(CowVal::Owned(items(name, list.as_ref())?[place].clone_as_boxed()))
        }
        None => Ok(CowVal::owned(CelNull)),
    }
}

/// `abs(x)`.
pub(super) fn abs<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [number] = take(arguments)?;
    if let Some(whole) = number.downcast_ref::<CelInt>() {
        return answer(&Value::from(whole.inner().unsigned_abs()));
    }
    if number.downcast_ref::<CelUInt>().is_some() {
        return Ok(number);
    }
    match as_double(number.as_ref()) {
        Some(number) => double(number.abs()),
        None => refuse("abs", "a number"),
    }
}

/// `ratio(a, b)`: a double, also of whole numbers; null if `b` is 0.
pub(super) fn ratio<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [part, whole] = take(arguments)?;
    match (as_double(part.as_ref()), as_double(whole.as_ref())) {
        (Some(_), Some(0.0)) => Ok(CowVal::owned(CelNull)),
        (Some(part), Some(whole)) => double(part / whole),
        _ => refuse("ratio", "two numbers"),
    }
}

/// `time(x)`: seconds since 1970 of an ISO 8601 text (UTC where it names no zone), a number of seconds, or one of
/// milliseconds; null for anything else.
pub(super) fn time<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    let seconds = if let Some(text) = value.downcast_ref::<CelString>() {
        seconds_of(text.inner().trim())
    } else if let Some(at) = value.downcast_ref::<CelTimestamp>() {
        Some(micros(at.inner().timestamp_micros()))
    } else {
        as_double(value.as_ref()).map(of_number)
    };
    match seconds {
        Some(seconds) => double(seconds),
        None => Ok(CowVal::owned(CelNull)),
    }
}

fn of_number(number: f64) -> f64 {
    if number.abs() > SECONDS_MAX {
        number / 1e3
    } else {
        number
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of this century fit the mantissa to the microsecond"
)]
fn micros(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn seconds_of(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then(|| of_number(number));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(micros(at.timestamp_micros()));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|at| micros(at.and_utc().timestamp_micros()))
}
