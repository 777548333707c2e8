//! Marks, strips, sparklines and bars. What comes from here goes into the page as it is: it is made of numbers and of words
//! of ours only, never of anything that a target or a configuration said. Shapes differ as well as colours.

use crate::record::trend::TargetTrend;
use crate::transcript::Phases;
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// A verdict as a small sign with its word for screen readers.
pub(super) const fn mark(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "<span class=\"v pass\"><b aria-hidden=true>✓</b><i>pass</i></span>",
        Some(Verdict::Fail) => "<span class=\"v fail\"><b aria-hidden=true>✕</b><i>fail</i></span>",
        Some(Verdict::Unknown) => "<span class=\"v unknown\"><b aria-hidden=true>?</b><i>unknown</i></span>",
        Some(Verdict::Off) => "<span class=\"v off\"><b aria-hidden=true>–</b><i>off</i></span>",
        None => "<span class=\"v off\"><b aria-hidden=true>…</b><i>not judged yet</i></span>",
    }
}

/// Class, top and height of a cell of ten: the worse, the taller.
const fn cell(verdict: Verdict) -> (&'static str, f32) {
    match verdict {
        Verdict::Pass => ("pass", 4.0),
        Verdict::Fail => ("fail", 10.0),
        Verdict::Unknown => ("unknown", 7.0),
        Verdict::Off => ("off", 1.5),
    }
}

/// A verdict history, oldest first: one column a cell, one path a verdict.
pub(super) fn strip(cells: &[Option<Verdict>]) -> String {
    let count = |verdict| cells.iter().filter(|cell| **cell == Some(verdict)).count();
    let mut svg = format!(
        "<svg class=strip viewBox=\"0 0 {} 10\" preserveAspectRatio=none role=img aria-label=\"history: {} of {} periods pass, {} fail, {} unknown\">",
        cells.len(),
        count(Verdict::Pass),
        cells.len(),
        count(Verdict::Fail),
        count(Verdict::Unknown),
    );
    for verdict in Verdict::ALL {
        let (class, height) = cell(*verdict);
        let mut path = String::new();
        for (start, length) in stretches(cells, *verdict) {
            // One column after the other touches; a gap would cost more than it shows.
            let _ = write!(path, "M{start} 10v-{height}h{length}v{height}z");
        }
        if !path.is_empty() {
            let _ = write!(svg, "<path class={class} d=\"{path}\"/>");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Start and length of every run of cells with this verdict.
fn stretches(cells: &[Option<Verdict>], verdict: Verdict) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for at in (0..cells.len()).filter(|at| cells[*at] == Some(verdict)) {
        match found.last_mut() {
            Some((start, length)) if *start + *length == at => *length += 1,
            _ => found.push((at, 1)),
        }
    }
    found
}

/// The worst verdict of each cell over several strips.
pub(super) fn worst<'a>(strips: impl Iterator<Item = &'a [Option<Verdict>]>) -> Vec<Option<Verdict>> {
    strips.fold(Vec::new(), |mut worst, strip| {
        worst.resize(worst.len().max(strip.len()), None);
        for (known, cell) in worst.iter_mut().zip(strip) {
            *known = match (*known, *cell) {
                (Some(known), Some(cell)) => Some(known.worse(cell)),
                (known, cell) => known.or(cell),
            };
        }
        worst
    })
}

/// A latency over the cells, with the promise as a dashed line.
#[expect(clippy::cast_precision_loss, reason = "a few dozen cells")]
pub(super) fn sparkline(trend: &TargetTrend, bound_ms: f64) -> String {
    const HEIGHT: f64 = 24.0;
    let highest = trend.cells.iter().flatten().copied().fold(bound_ms * 1.25, f64::max);
    let y = |value: f64| HEIGHT - 1.0 - value / highest * (HEIGHT - 2.0);
    let width = trend.cells.len().max(1);
    let mut svg = format!(
        "<svg class=spark viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=none aria-hidden=true>\
         <path class=bound vector-effect=non-scaling-stroke d=\"M0 {0:.1}H{width}\"/>",
        y(bound_ms)
    );
    let mut path = String::new();
    let mut drawing = false;
    for (at, cell) in trend.cells.iter().enumerate() {
        match cell {
            Some(value) => {
                let (x, y) = (at as f64, y(*value));
                let _ = write!(path, "{}{x} {y:.1}h1", if drawing { 'L' } else { 'M' });
                drawing = true;
            }
            None => drawing = false,
        }
    }
    let _ = write!(
        svg,
        "<path class=line vector-effect=non-scaling-stroke d=\"{path}\"/></svg>"
    );
    svg
}

/// Where a step stands in its run, with the phases of its exchange in their order.
pub(super) fn bar(whole_ms: f64, (offset_ms, duration_ms): (f64, f64), phases: Option<&Phases>) -> String {
    const WIDTH: f64 = 1000.0;
    let scale = WIDTH / whole_ms.max(1.0);
    let x = |ms: f64| (ms * scale).clamp(0.0, WIDTH);
    let width = |from: f64, ms: f64| (ms * scale).clamp(2.0, WIDTH - x(from) + 2.0);
    let mut svg = String::from("<svg class=bar viewBox=\"0 0 1000 10\" preserveAspectRatio=none aria-hidden=true>");
    let mut rect = |class: &str, from: f64, ms: f64| {
        let _ = write!(
            svg,
            "<rect class={class} x={:.1} y=1 width={:.1} height=8 />",
            x(from),
            width(from, ms)
        );
    };
    rect("rest", offset_ms, duration_ms);
    let mut at = offset_ms;
    for (class, took) in named(phases) {
        rect(class, at, took);
        at += took;
    }
    svg.push_str("</svg>");
    svg
}

/// The phases that happened, in their order.
pub(super) fn named(phases: Option<&Phases>) -> Vec<(&'static str, f64)> {
    let Some(phases) = phases else { return Vec::new() };
    [
        ("dns", phases.dns_ms),
        ("connect", phases.connect_ms),
        ("tls", phases.tls_ms),
        ("first", phases.first_byte_ms),
        ("body", phases.body_ms),
    ]
    .into_iter()
    .filter_map(|(name, took)| Some((name, took?)))
    .collect()
}

/// A share as a whole percentage; 99.6 % is not 100.
pub(super) fn percent(share: Option<f64>) -> String {
    match share {
        None => "–".to_owned(),
        Some(share) if share < 1.0 => format!("{:.0} %", (share * 100.0).floor()),
        Some(share) => format!("{:.0} %", share * 100.0),
    }
}

/// Milliseconds for people.
pub(super) fn took(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_joins_equal_cells_and_leaves_gaps() {
        use Verdict::{Fail, Pass};
        let svg = strip(&[Some(Pass), Some(Pass), None, Some(Fail), Some(Pass)]);
        assert!(
            svg.contains("<path class=pass d=\"M0 10v-4h2v4zM4 10v-4h1v4z\"/>"),
            "{svg}"
        );
        assert!(svg.contains("<path class=fail d=\"M3 10v-10h1v10z\"/>"), "{svg}");
        assert!(svg.contains("3 of 5 periods pass, 1 fail, 0 unknown"), "{svg}");
    }

    #[test]
    fn almost_all_is_not_all() {
        assert_eq!(percent(Some(0.996)), "99 %");
        assert_eq!(percent(Some(1.0)), "100 %");
        assert_eq!(percent(None), "–");
    }

    #[test]
    fn the_worst_of_strips_is_shown() {
        use Verdict::{Fail, Pass, Unknown};
        let strips: [&[Option<Verdict>]; 2] = [&[Some(Pass), Some(Unknown), None], &[Some(Fail), None, None]];
        assert_eq!(worst(strips.into_iter()), [Some(Fail), Some(Unknown), None]);
    }
}
