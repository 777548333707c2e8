//! Single values: durations, identifiers, URLs, numbers in bounds.

use super::Context;
use crate::config::Overrides;
use crate::config::error::At;
use crate::config::raw::{Lasting, MainFile};
use crate::config::words::is_identifier;
use crate::limits::{DURATION_MAX, DURATION_MIN, WAIT_MIN};
use std::fmt::Display;
use std::time::Duration;
use url::{Host, Url};

/// Smallest and largest factor that makes sense: a day in a second and a half, and a tenth of the speed.
const TIME_SCALE: (f64, f64) = (0.000_01, 10.0);

/// Whether a duration follows `time_scale`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As written.
    Real,
    /// Multiplied.
    Scaled,
}

/// The factor on schedules and windows.
pub fn time_scale(main: &MainFile, overrides: &Overrides, top: At) -> f64 {
    let factor = overrides.time_scale.or(main.time_scale).unwrap_or(1.0);
    if !factor.is_finite() || factor < TIME_SCALE.0 || factor > TIME_SCALE.1 {
        top.key("time_scale").wrong(
            format!("time_scale is {factor}"),
            format!(
                "write a number from {} to {}; 1 for a real target",
                TIME_SCALE.0, TIME_SCALE.1
            ),
        );
        return 1.0;
    }
    factor
}

/// Whether `text` is an identifier; says so if not.
pub fn identifier(text: &str, what: &str, at: At) {
    if !is_identifier(text) {
        at.wrong(format!("`{text}` is no name for a {what}"), NAME_HELP);
    }
}

/// As [`identifier`], for a name that is a key.
pub fn identifier_key(text: &str, what: &str, at: At) {
    if !is_identifier(text) {
        at.name().wrong(format!("`{text}` is no name for a {what}"), NAME_HELP);
    }
}

const NAME_HELP: &str =
    "names are lower-case letters, digits and _, begin with a letter, and have at most 64 characters";

/// A duration within the bounds.
pub fn duration(context: &Context, text: &Lasting, scale: Scale, at: At) -> Duration {
    bounded(context, text, scale, DURATION_MIN, at)
}

/// A duration, or what stands for it when it is left out.
pub fn duration_or(context: &Context, text: Option<&Lasting>, scale: Scale, default: Duration, at: At) -> Duration {
    match text {
        Some(text) => duration(context, text, scale, at),
        None => scaled(context, default, scale),
    }
}

/// As [`duration_or`], of a time that no scale shortens.
pub fn real_or(context: &Context, text: Option<&Lasting>, default: Duration, at: At) -> Duration {
    duration_or(context, text, Scale::Real, default, at)
}

/// A pause between steps, which may be shorter than other durations.
pub fn pause(context: &Context, text: &Lasting, scale: Scale, at: At) -> Duration {
    bounded(context, text, scale, WAIT_MIN, at)
}

fn scaled(context: &Context, duration: Duration, scale: Scale) -> Duration {
    match scale {
        Scale::Real => duration,
        Scale::Scaled => duration.mul_f64(context.time_scale),
    }
}

/// How many of a real day's runs may be made when a scaled day has `runs`: a real day holds more of the shorter ones.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of runs; one beyond the range is as good as the largest"
)]
pub fn per_day(context: &Context, runs: u32) -> u32 {
    (f64::from(runs) / context.time_scale).round() as u32
}

fn bounded(context: &Context, text: &Lasting, scale: Scale, least: Duration, at: At) -> Duration {
    let Ok(found) = humantime::parse_duration(&text.0) else {
        at.wrong(
            format!("`{}` is no duration", text.0),
            "write a number with its unit, as in `250ms`, `30s`, `5m`, `1h`",
        );
        return DURATION_MAX;
    };
    if found < least || found > DURATION_MAX {
        at.wrong(
            format!("`{}` is out of bounds", text.0),
            format!(
                "write a duration from {} to {}",
                humantime::format_duration(least),
                humantime::format_duration(DURATION_MAX)
            ),
        );
        return DURATION_MAX;
    }
    scaled(context, found, scale)
}

/// A number in bounds; the nearest bound instead of one outside.
pub fn number<T: PartialOrd + Display + Copy>(value: T, what: &str, (least, most): (T, T), at: At) -> T {
    if value >= least && value <= most {
        return value;
    }
    at.wrong(
        format!("{what} is {value}"),
        format!("write a number from {least} to {most}"),
    );
    least
}

/// An absolute URL with one of the schemes, a host, no user and no fragment; a stand-in instead of a wrong one.
pub fn url(text: &str, schemes: &[&str], at: At) -> Url {
    let wanted = schemes
        .iter()
        .map(|scheme| format!("{scheme}://host"))
        .collect::<Vec<_>>()
        .join(" or ");
    let wrong = |message: String, help: String| {
        at.wrong(message, help);
        stand_in()
    };
    let found = match Url::parse(text) {
        Ok(found) => found,
        Err(error) => return wrong(format!("this is no URL: {error}"), format!("write {wanted}")),
    };
    if !schemes.contains(&found.scheme()) {
        return wrong(
            format!("the scheme `{}` does not fit here", found.scheme()),
            format!("write {wanted}"),
        );
    }
    if !found.username().is_empty() || found.password().is_some() {
        let help = "put credentials under `credentials:`; URLs are shown in reports".to_owned();
        return wrong("the URL holds a user or a password".to_owned(), help);
    }
    if found.host().is_none() || found.fragment().is_some() || found.query().is_some() {
        return wrong(
            format!("`{text}` is more, or less, than scheme, host, port and path"),
            format!("write {wanted}"),
        );
    }
    found
}

/// A link shown to people: https only.
pub fn web_link(text: &str, at: At) -> String {
    match Url::parse(text) {
        Ok(link) if link.scheme() == "https" => {}
        _ => at.wrong(format!("`{text}` is no https link"), "write https://…"),
    }
    text.to_owned()
}

fn stand_in() -> Url {
    Url::parse("http://stand-in.invalid").unwrap_or_else(|_| unreachable!("a constant URL parses"))
}

/// Whether a host is this machine, as far as its text says.
pub fn is_loopback_host(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
