//! A step as a line to repeat by hand: `curl` for requests, `websocat` for sockets. Without secrets: a token is `$TOKEN`, to
//! be set by whoever repeats it. What a target or a configuration wrote is quoted for the shell and means nothing there.

use super::inert;
use crate::transcript::{Entry, HttpExchange, Observation};

/// Headers that the tools set by themselves.
const OWN: [&str; 8] = [
    "connection",
    "content-length",
    "host",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "traceparent",
    "upgrade",
];

/// The line that repeats `entry`; none for steps that are no request and no message.
pub fn repeat(entry: &Entry) -> Option<String> {
    match &entry.seen {
        Observation::Http(http) => Some(curl(http, "")),
        Observation::Sse(read) => Some(curl(&read.http, " -N")),
        Observation::Upgrade(upgrade) => {
            let mut line = "websocat -v".to_owned();
            headers(&upgrade.http, &mut line);
            match (
                upgrade.transport.as_str(),
                upgrade.http.request_headers.get("sec-websocket-protocol"),
            ) {
                ("subprotocol", _) => line.push_str(" --protocol \"$SUBPROTOCOLS_WITH_TOKEN\""),
                (_, Some(offered)) => line.push_str(&format!(" --protocol {}", quoted(offered))),
                (_, None) => {}
            }
            line.push_str(&format!(" {}", quoted(&upgrade.http.url)));
            Some(line)
        }
        Observation::Sent(sent) => Some(format!("# then send: {}", quoted(&sent.text))),
        _ => None,
    }
}

fn curl(http: &HttpExchange, options: &str) -> String {
    let mut line = format!("curl -i{options} -X {}", quoted(&http.method));
    headers(http, &mut line);
    if !http.request_body.is_empty() {
        line.push_str(&format!(" --data-raw {}", quoted(&http.request_body)));
    }
    line.push_str(&format!(" {}", quoted(&http.url)));
    line
}

/// Every header that carries no credential as it was, credentials as `$TOKEN`.
fn headers(http: &HttpExchange, line: &mut String) {
    for (name, value) in &http.request_headers {
        let lower = name.to_lowercase();
        if OWN.contains(&lower.as_str()) {
            continue;
        }
        match lower.as_str() {
            "authorization" => line.push_str(" -H \"Authorization: Bearer $TOKEN\""),
            "cookie" | "proxy-authorization" => line.push_str(&format!(" -H \"{lower}: $TOKEN\"")),
            _ => line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}")))),
        }
    }
}

/// One word of a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", inert::line(text).replace('\'', "'\\''"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_quoted_and_carry_no_token() {
        let entry: Entry = serde_json::from_value(json!({
            "id": "ask", "offset_ms": 0.0, "duration_ms": 1.0, "kind": "http", "method": "POST",
            "url": "http://127.0.0.1:1/a'; rm -rf $HOME; '", "request_headers": {
                "authorization": "Bearer eyJ", "x-request-id": "`id`", "host": "127.0.0.1:1",
            },
            "request_body": "{\"a\":\"$(reboot)\u{1b}[31m\"}",
        }))
        .unwrap();
        assert_eq!(
            repeat(&entry).unwrap(),
            "curl -i -X 'POST' -H \"Authorization: Bearer $TOKEN\" -H 'x-request-id: `id`' --data-raw '{\"a\":\"$(reboot) [31m\"}' \
             'http://127.0.0.1:1/a'\\''; rm -rf $HOME; '\\'''"
        );
    }
}
