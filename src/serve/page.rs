//! The plain live view: server-rendered, no script, everything that a target or a configuration said is escaped text.

use super::App;
use crate::record::live::{CheckStatus, ModuleStatus, Status, Viewer};
use crate::verdict::Verdict;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use std::fmt::Write as _;
use std::sync::Arc;

/// Messages shown of one judgement.
const MESSAGES: usize = 4;

const STYLE: &str = "\
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
p, ul { margin: .2rem 0; } .small { opacity: .75; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #8884; padding: .3rem .5rem; vertical-align: top; }
td:first-child { width: 6rem; } td:nth-child(2) { width: 26rem; }
.v { border-radius: .3rem; color: #fff; display: inline-block; font-size: .8rem; min-width: 4.2rem; padding: .05rem .3rem; text-align: center; }
.pass { background: #1a7f37; } .fail { background: #c62828; } .unknown { background: #6a3fb5; } .off, .pending { background: #666; }
";

/// `GET /page.css`.
pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

/// `GET /`.
pub(super) async fn page(State(app): State<Arc<App>>) -> Html<String> {
    Html(render(&app.served.live.status().seen_by(Viewer::Anyone)))
}

fn render(status: &Status) -> String {
    let mut html = String::with_capacity(32 * 1024);
    let name = escape(&status.target);
    let counts = status.summary.checks;
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <meta name=viewport content=\"width=device-width\"><title>{name}: {} fail, {} pass</title>\
         <link rel=stylesheet href=/page.css><h1>{name}</h1>\
         <p>{} pass, {} fail, {} unknown, {} off <span class=small>of {} checks; updated {}; time scale {}</span></p>",
        counts.fail,
        counts.pass,
        counts.pass,
        counts.fail,
        counts.unknown,
        counts.off,
        counts.pass + counts.fail + counts.unknown + counts.off,
        escape(&status.updated_at),
        status.time_scale,
    );
    for module in &status.modules {
        render_module(&mut html, module);
    }
    html.push_str(
        "<p class=small><a href=/metrics>metrics</a> · <a href=/api/v1/status>status as JSON</a></p></html>\n",
    );
    html
}

fn render_module(html: &mut String, module: &ModuleStatus) {
    let ratio = module
        .pass_ratio
        .zip(module.coverage_ratio)
        .map(|(pass, coverage)| format!("pass rate {:.0} %, coverage {:.0} %", pass * 100.0, coverage * 100.0))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<h2>{} {}. {} <span class=small>{ratio}</span></h2><table>",
        badge(Some(module.verdict)),
        module.number,
        escape(&module.title)
    );
    for check in &module.checks {
        render_check(html, check);
    }
    html.push_str("</table>");
}

fn render_check(html: &mut String, check: &CheckStatus) {
    let _ = write!(
        html,
        "<tr><td>{}</td><td>{}<br><span class=small>{} {}</span></td><td>",
        badge(check.verdict),
        escape(&check.title),
        escape(&check.id),
        check
            .since
            .as_deref()
            .map(|since| format!("since {}", escape(since)))
            .unwrap_or_default(),
    );
    if let Some(reason) = check.reason {
        let _ = write!(html, "<span class=small>{reason}</span> ");
    }
    if let Some(judgement) = &check.judgement {
        let told = judgement
            .expectations
            .iter()
            .filter(|expectation| expectation.held != Some(true))
            .map(|expectation| expectation.message.as_str());
        for message in told.filter(|message| !message.is_empty()).take(MESSAGES) {
            let _ = write!(html, "<p>{}</p>", escape(message));
        }
        for note in judgement.notes.iter().take(MESSAGES) {
            let _ = write!(html, "<p class=small>{}</p>", escape(note));
        }
    } else if check.sensitive {
        html.push_str("<span class=small>details need the API token</span>");
    }
    html.push_str("</td></tr>");
}

fn badge(verdict: Option<Verdict>) -> String {
    let word = verdict.map_or("pending", Verdict::as_str);
    format!("<span class=\"v {word}\">{word}</span>")
}

/// Text for an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escape("<script>\"a\" & 'b'</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"
        );
    }
}
