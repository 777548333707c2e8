//! The iteration report as one page that loads nothing: no script, no image, no link. Every text is escaped.

use super::explained::{actions, heading};
use super::findings::findings;
use super::{Counts, Iteration, ModuleResult, count, first_message, inert, milliseconds, why_unknown};
use crate::catalog::Priority;
use crate::diagnose::Cause;
use crate::run::Judgement;
use crate::verdict::Verdict;
use std::fmt::Write as _;

/// Appends a line; writing into a String cannot fail.
macro_rules! put {
    ($out:expr, $($words:tt)*) => {{ let _ = writeln!($out, $($words)*); }};
}

/// The policy forbids everything but the page's own style, so that even a mistake in the escaping runs nothing.
const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; }
code { font: 14px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.pass { color: #1a6b2d; } .fail { color: #b3201f; font-weight: 600; } .unknown { color: #8a5a00; } .off { color: #57606a; }
section { margin-top: 2rem; }
@media (prefers-color-scheme: dark) {
body { color: #e6edf3; background: #0d1117; } th, td { border-color: #30363d; }
.pass { color: #56d364; } .fail { color: #ff7b72; } .unknown { color: #e3b341; } .off { color: #8b949e; }
}
</style>
"#;

/// The iteration report.
pub fn html(iteration: &Iteration) -> String {
    let mut out = String::from(HEAD);
    let title = text(&format!("Iteration report: {}", iteration.target));
    put!(out, "<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>");
    put!(
        out,
        "<p>{}, environment {}, {} s</p>",
        text(&iteration.started_at),
        text(&iteration.environment),
        (iteration.duration_s * 10.0).round() / 10.0
    );
    summary(iteration, &mut out);
    for (place, cause) in iteration.diagnosis.causes.iter().enumerate() {
        diagnosed(place + 1, cause, &mut out);
    }
    put!(out, "<section><h2>Results</h2>");
    for module in &iteration.modules {
        module_result(module, &mut out);
    }
    put!(out, "</section>");
    performance(iteration, &mut out);
    since(iteration, &mut out);
    recommended(iteration, &mut out);
    put!(out, "</body>\n</html>");
    out
}

/// Inert, on one line, and escaped for element content and attribute values.
fn text(raw: &str) -> String {
    let mut escaped = String::new();
    for character in inert::line(raw).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

fn word(verdict: Verdict) -> String {
    let name = verdict.as_str();
    format!("<span class=\"{name}\">{}</span>", name.to_uppercase())
}

fn say(counts: Counts) -> String {
    format!(
        "{} passed, {} failed, {} unknown, {} off",
        counts.pass, counts.fail, counts.unknown, counts.off
    )
}

fn summary(iteration: &Iteration, out: &mut String) {
    let summary = iteration.summary();
    put!(out, "<section><h2>Executive summary</h2><ul>");
    put!(out, "<li>Checks: {}</li>", say(summary.checks));
    put!(out, "<li>Modules: {}</li>", say(summary.modules));
    let worst = findings(iteration);
    let lead = iteration.diagnosis.lead();
    let title = lead
        .map(|cause| &cause.title)
        .or(worst.first().map(|worst| &worst.title));
    put!(
        out,
        "<li>Critical finding: {}</li>",
        title.map_or_else(|| "none seen".to_owned(), |title| text(title))
    );
    if let Some(impact) = lead.and_then(|cause| cause.impact.as_ref()) {
        put!(out, "<li>Business impact: {}</li>", text(impact));
    }
    put!(out, "</ul></section>");
}

fn diagnosed(place: usize, cause: &Cause, out: &mut String) {
    put!(out, "<section><h2>Finding {place}: {}</h2>", text(&cause.title));
    put!(
        out,
        "<p>Severity {}, rule <code>{}</code></p><ul>",
        cause.severity,
        text(&cause.rule)
    );
    for indicator in &cause.indicators {
        put!(out, "<li>{}</li>", text(indicator));
    }
    for quote in &cause.quotes {
        put!(
            out,
            "<li><code>{}</code> <code>{}</code></li>",
            text(&quote.of),
            text(&quote.says)
        );
        if let Some(log) = &quote.log {
            put!(out, "<li>Log: <code>{}</code></li>", text(log));
        }
    }
    put!(out, "</ul><h3>Five whys</h3><ol>");
    for why in &cause.whys {
        put!(
            out,
            "<li><strong>{}</strong><br>{}<br><em>Evidence:</em> {}</li>",
            text(&why.why),
            text(&why.answer),
            text(&why.evidence)
        );
    }
    put!(
        out,
        "<li><strong>{}</strong><br>Not visible from outside. <em>Look here:</em> {}</li></ol></section>",
        text(&cause.stops_at.why),
        text(&cause.stops_at.look)
    );
}

fn module_result(module: &ModuleResult, out: &mut String) {
    let counts = Counts::of(module.checks.iter().map(|check| check.verdict));
    put!(
        out,
        "<h3>{} {}. {} <small>({})</small></h3><table>",
        word(module.verdict),
        module.number,
        text(&module.title),
        say(counts)
    );
    for check in &module.checks {
        put!(
            out,
            "<tr><td>{}</td><td><code>{}</code></td><td>{}{}</td></tr>",
            word(check.verdict),
            text(&check.id),
            text(&check.title),
            details(check)
        );
    }
    put!(out, "</table>");
}

/// What does not hold, and the notes.
fn details(check: &Judgement) -> String {
    let mut lines = Vec::new();
    match check.verdict {
        Verdict::Pass => {}
        Verdict::Fail => {
            let broken = check.expectations.iter().filter(|judged| judged.held == Some(false));
            lines.extend(broken.map(|judged| text(&judged.message)));
        }
        Verdict::Unknown => lines.push(text(&why_unknown(check))),
        Verdict::Off => lines.push(text(first_message(check))),
    }
    lines.extend(check.notes.iter().map(|note| format!("note: {}", text(note))));
    lines.iter().fold(String::new(), |mut all, line| {
        let _ = write!(all, "<br><code>{line}</code>");
        all
    })
}

fn performance(iteration: &Iteration, out: &mut String) {
    if iteration.latency_targets.is_empty() {
        return;
    }
    put!(
        out,
        "<section><h2>Performance (95th percentile)</h2><table><tr><th></th><th>Promise</th><th>Measured</th><th>Target</th><th>Samples</th></tr>"
    );
    for result in &iteration.latency_targets {
        let measured = result
            .measured_ms
            .map_or_else(|| "not measured".to_owned(), milliseconds);
        put!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{measured}</td><td>{}</td><td>{}</td></tr>",
            word(result.verdict()),
            text(&result.title),
            milliseconds(result.target_ms),
            count(usize::try_from(result.samples).unwrap_or(usize::MAX), "sample")
        );
    }
    put!(out, "</table></section>");
}

fn since(iteration: &Iteration, out: &mut String) {
    let Some(since) = &iteration.since else { return };
    put!(
        out,
        "<section><h2>Since the previous iteration</h2><p>Compared with {}.</p><ul>",
        text(&since.started_at)
    );
    for (heading, lines) in since.sections() {
        let said = if lines.is_empty() {
            "none".to_owned()
        } else {
            text(&lines.join("; "))
        };
        put!(out, "<li>{heading}: {said}</li>");
    }
    put!(out, "</ul></section>");
}

fn recommended(iteration: &Iteration, out: &mut String) {
    if iteration.diagnosis.causes.is_empty() {
        return;
    }
    put!(out, "<section><h2>Recommended actions</h2>");
    for priority in Priority::ALL {
        let texts = actions(&iteration.diagnosis, *priority);
        if texts.is_empty() {
            continue;
        }
        put!(out, "<h3>{}</h3><ol>", heading(*priority));
        for action in texts {
            put!(out, "<li>{}</li>", text(action));
        }
        put!(out, "</ol>");
    }
    put!(out, "</section>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            text("<script>alert('x')</script>\u{1b}[31m & \"q\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; [31m &amp; &quot;q&quot;"
        );
    }
}
