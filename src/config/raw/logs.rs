//! The shape of where the target's log is read.

use super::{Lasting, SecretSource};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the target's log is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// URL with `${trace_id}`, `${from}` and `${to}` (RFC 3339), `${project}` and `${query}` in it; what is filled in is
    /// percent-encoded. Google Cloud Logging's when left out.
    pub link: Option<String>,
    /// Google Cloud project whose log it is.
    pub project: Option<String>,
    /// Further terms of the query in the Logging query language, such as `resource.type="cloud_run_revision"`.
    pub query: Option<String>,
    /// How long before and after a run links and questions look; 5m when left out.
    pub window: Option<Lasting>,
    /// Errors of the time at which an incident opens are read from Google Cloud Logging and kept with it. Left out, none are.
    pub fetch: Option<LogFetch>,
}

/// How the target's log is read when an incident opens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFetch {
    /// Base of the Logging API; `https://logging.googleapis.com/` when left out.
    pub endpoint: Option<String>,
    /// JSON key file of a service account. Left out, the workload's own account is used (workload identity).
    pub service_account: Option<SecretSource>,
    /// Base of the metadata server; `http://metadata.google.internal/` when left out.
    pub metadata: Option<String>,
    /// Deadline of one question, the token included; 5s when left out.
    pub within: Option<Lasting>,
    /// How long after an incident opened it is asked, since entries take a while to arrive; 5s when left out.
    pub after: Option<Lasting>,
}
