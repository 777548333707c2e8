//! The target's own log around a failure, from Google Cloud Logging (`entries:list`, API v2). It asks for the errors of some
//! traces in a stretch of time and gives back a few redacted lines; what it cannot get is said and never holds anybody up.
//! It judges nothing and is asked by nobody's schedule: only an incident asks, once.

pub use crate::catalog::Access;
pub use crate::catalog::logs::LogSettings;

use crate::identity::{IdentityError, Tokens};
use crate::limits::{LOG_ANSWER_BYTES_MAX, LOG_ENTRIES_MAX, LOG_LINE_BYTES_MAX, LOG_TRACES_MAX};
use crate::secret::{Redactor, Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is wanted from the log.
#[derive(Clone, Debug)]
pub struct LogQuestion {
    /// W3C trace ids; empty means every error of the time.
    pub traces: Vec<String>,
    /// Start, RFC 3339.
    pub from: String,
    /// End, RFC 3339.
    pub to: String,
}

/// One entry of the target's log, redacted and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, as the log says it.
    pub at: String,
    /// `ERROR`, `CRITICAL`, …
    pub severity: String,
    /// Trace id, without the project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// What it says.
    pub text: String,
}

/// Why the log could not be read. No message holds a token, a key or an address with its query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No answer in time, or none at all.
    #[error("{0} cannot be reached")]
    Unreachable(&'static str),
    /// It says no.
    #[error("{who} answers {status}: {says}")]
    Refused {
        /// Who.
        who: &'static str,
        /// HTTP status.
        status: u16,
        /// The beginning of what it says.
        says: String,
    },
    /// The answer has another shape, or is too large.
    #[error("the answer of {0} cannot be read")]
    Unreadable(&'static str),
    /// The service account's key cannot sign.
    #[error("the service account cannot be used: {0}")]
    Key(String),
}

impl From<IdentityError> for LogError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unreachable(who) => Self::Unreachable(who),
            IdentityError::Refused { who, status } => Self::Refused {
                who,
                status,
                says: "no token".to_owned(),
            },
            IdentityError::Unreadable(who) => Self::Unreadable(who),
            IdentityError::Key(why) => Self::Key(why),
        }
    }
}

/// A reader of the target's log.
pub struct Logs {
    settings: LogSettings,
    client: reqwest::Client,
    tokens: Tokens,
    redactor: Redactor,
}

impl Logs {
    /// A reader; `redactor` knows every secret of the configuration.
    ///
    /// # Errors
    /// When the service account's key is no RSA key, or no client can be made.
    pub fn new(settings: LogSettings, redactor: Redactor) -> Result<Self, LogError> {
        crate::crypto::init_crypto();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(settings.within)
            .build()
            .map_err(|_| LogError::Unreachable("the log"))?;
        Ok(Self {
            tokens: Tokens::new(settings.access.clone())?,
            settings,
            client,
            redactor,
        })
    }

    /// The newest errors that answer `question`, newest first, at most [`LOG_ENTRIES_MAX`].
    ///
    /// # Errors
    /// When there is no token, or the log does not answer, within the deadline.
    pub async fn errors(&self, question: &LogQuestion) -> Result<Vec<LogEntry>, LogError> {
        let asked = tokio::time::timeout(self.settings.within, self.ask(question));
        asked.await.unwrap_or(Err(LogError::Unreachable("the log")))
    }

    async fn ask(&self, question: &LogQuestion) -> Result<Vec<LogEntry>, LogError> {
        let token = self.tokens.get().await?;
        let answer = match self.list(question, &token).await {
            // A token that was taken back before its time: once more with a new one.
            Err(LogError::Refused { status: 401, .. }) => {
                self.tokens.forget(&token).await;
                let token = self.tokens.get().await?;
                self.list(question, &token).await?
            }
            other => other?,
        };
        // Its own token is known too, should the log repeat it.
        let redactor = self.redactor.for_run();
        redactor.learn(&token);
        let entries = answer.get("entries").and_then(Value::as_array);
        Ok(entries
            .into_iter()
            .flatten()
            .take(LOG_ENTRIES_MAX)
            .map(|entry| read(entry, &redactor))
            .collect())
    }

    async fn list(&self, question: &LogQuestion, token: &Secret) -> Result<Value, LogError> {
        let url = self
            .settings
            .endpoint
            .join("v2/entries:list")
            .map_err(|_| LogError::Unreachable("the log"))?;
        let body = json!({
            "resourceNames": [format!("projects/{}", self.settings.project)],
            "filter": filter(&self.settings, question),
            "orderBy": "timestamp desc",
            "pageSize": LOG_ENTRIES_MAX,
        });
        let request = self.client.post(url).bearer_auth(token.expose()).json(&body);
        answer("the log", request, &self.redactor).await
    }
}

/// The filter, in the Logging query language.
fn filter(settings: &LogSettings, question: &LogQuestion) -> String {
    let mut terms = vec![
        "severity>=ERROR".to_owned(),
        format!("timestamp>=\"{}\"", question.from),
        format!("timestamp<=\"{}\"", question.to),
    ];
    // Trace ids are hexadecimal; anything else could change the question.
    let traces = question
        .traces
        .iter()
        .filter(|trace| !trace.is_empty() && trace.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .take(LOG_TRACES_MAX)
        .map(|trace| format!("trace=\"projects/{}/traces/{trace}\"", settings.project));
    let traces: Vec<String> = traces.collect();
    if !traces.is_empty() {
        terms.push(format!("({})", traces.join(" OR ")));
    }
    terms.extend(settings.filter.as_ref().map(|more| format!("({more})")));
    terms.join(" AND ")
}

/// Sends a request and reads a JSON answer, bounded.
async fn answer(who: &'static str, request: reqwest::RequestBuilder, redactor: &Redactor) -> Result<Value, LogError> {
    let mut response = request.send().await.map_err(|_| LogError::Unreachable(who))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_| LogError::Unreachable(who))? {
        body.extend_from_slice(&piece);
        if body.len() > LOG_ANSWER_BYTES_MAX {
            return Err(LogError::Unreadable(who));
        }
    }
    if !status.is_success() {
        return Err(LogError::Refused {
            who,
            status: status.as_u16(),
            says: redactor.line(&String::from_utf8_lossy(&body), LOG_LINE_BYTES_MAX / 4),
        });
    }
    serde_json::from_slice(&body).map_err(|_| LogError::Unreadable(who))
}

/// One entry as it may be kept.
fn read(entry: &Value, redactor: &Redactor) -> LogEntry {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
    let said = entry.get("textPayload").and_then(Value::as_str).map(str::to_owned);
    let said = said.or_else(|| message(entry.get("jsonPayload")?));
    let said = said.or_else(|| message(entry.get("protoPayload")?));
    let line = |text: &str| redactor.line(text, LOG_LINE_BYTES_MAX / 8);
    LogEntry {
        at: line(text("timestamp")),
        severity: line(text("severity")),
        trace: line(text("trace").rsplit('/').next().unwrap_or("")),
        text: redactor.excerpt(&said.unwrap_or_default(), LOG_LINE_BYTES_MAX),
    }
}

/// What a structured payload says: its message, or all of it.
fn message(payload: &Value) -> Option<String> {
    let named = ["message", "msg", "error", "exception"];
    let found = named.iter().find_map(|name| payload.get(name)?.as_str());
    Some(found.map_or_else(|| payload.to_string(), str::to_owned))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settings() -> LogSettings {
        LogSettings {
            endpoint: "http://127.0.0.1:1/".parse().unwrap(),
            project: "p".to_owned(),
            filter: Some("resource.type=\"cloud_run_revision\"".to_owned()),
            access: Access::Metadata("http://127.0.0.1:1/".parse().unwrap()),
            within: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_filter_names_traces_time_and_what_is_configured() {
        let question = LogQuestion {
            traces: vec!["ab12".to_owned(), "\" OR severity>=DEFAULT".to_owned()],
            from: "2025-09-07T08:00:00Z".to_owned(),
            to: "2025-09-07T09:00:00Z".to_owned(),
        };
        assert_eq!(
            filter(&settings(), &question),
            "severity>=ERROR AND timestamp>=\"2025-09-07T08:00:00Z\" AND timestamp<=\"2025-09-07T09:00:00Z\" \
             AND (trace=\"projects/p/traces/ab12\") AND (resource.type=\"cloud_run_revision\")"
        );
    }

    #[test]
    fn an_entry_says_its_message_whatever_its_payload() {
        let redactor = Redactor::new([]);
        let said = |entry: Value| read(&entry, &redactor).text;
        assert_eq!(said(json!({ "textPayload": "boom" })), "boom");
        assert_eq!(said(json!({ "jsonPayload": { "message": "boom", "x": 1 } })), "boom");
        assert_eq!(said(json!({ "protoPayload": { "x": 1 } })), "{\"x\":1}");
        assert_eq!(said(json!({})), "");
    }
}
