//! `target.logs`: links into the target's log, and how its errors are read when an incident opens.

use super::Context;
use super::scalar::{is_loopback_host, real_or, url};
use super::secret::{Presence, Shape, find};
use crate::catalog::logs::{CLOUD_LINK, HOLES, LogFetch, LogSettings};
use crate::catalog::{Access, Logs};
use crate::config::error::At;
use crate::config::raw;
use crate::secret::Secret;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const WINDOW: Duration = Duration::from_secs(5 * 60);
const WITHIN: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(5);
const ENDPOINT: &str = "https://logging.googleapis.com/";
const METADATA: &str = "http://metadata.google.internal/";

/// What a service account's key file says of itself.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    token_uri: Option<String>,
}

/// Where the log is read.
pub fn logs(context: &Context, shape: &raw::Logs, at: At) -> Logs {
    let link = match (&shape.link, &shape.project) {
        (Some(link), _) => link.clone(),
        (None, Some(_)) => CLOUD_LINK.to_owned(),
        (None, None) => {
            at.wrong(
                "the log has neither a link nor a project",
                "write `project: NAME` for Google Cloud Logging, or `link: \"https://…${trace_id}…\"` for anything else",
            );
            CLOUD_LINK.to_owned()
        }
    };
    template(&link, at.key("link"));
    let project = shape.project.clone().unwrap_or_default();
    project_name(&project, at.key("project"));
    let fetch = shape.fetch.as_ref().map(|fetch| {
        if project.is_empty() {
            at.key("fetch").wrong(
                "the log of which project is to be read is not said",
                "write `project: NAME` beside `fetch`",
            );
        }
        let settings = LogSettings {
            endpoint: endpoint(fetch.endpoint.as_deref(), ENDPOINT, at.key("fetch").key("endpoint")),
            project: project.clone(),
            filter: shape.query.clone(),
            access: access(context, fetch, at.key("fetch")),
            within: real_or(context, fetch.within.as_ref(), WITHIN, at.key("fetch").key("within")),
        };
        LogFetch {
            after: real_or(context, fetch.after.as_ref(), AFTER, at.key("fetch").key("after")),
            settings,
        }
    });
    Logs {
        link,
        window: real_or(context, shape.window.as_ref(), WINDOW, at.key("window")),
        project,
        query: shape.query.clone().unwrap_or_default(),
        fetch,
    }
}

/// A link template asks for nothing but what it may.
fn template(link: &str, at: At) {
    let rest = HOLES.iter().fold(link.to_owned(), |link, hole| link.replace(hole, "0"));
    let found = Url::parse(&rest).ok();
    if rest.contains("${") {
        at.wrong(
            "the link has a hole that cannot be filled",
            format!("write only {}", HOLES.join(", ")),
        );
    } else if !found.is_some_and(|found| ["http", "https"].contains(&found.scheme()) && found.has_host()) {
        at.wrong("this is no URL of a page", "write http://host/… or https://host/…");
    }
}

/// A project stands in the filter, where a quote could change the question.
fn project_name(project: &str, at: At) {
    if !project
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte))
    {
        at.wrong("this is no id of a project", "write its id: letters, digits and dashes");
    }
}

/// A URL to which a token goes: unencrypted on this machine only.
fn endpoint(text: Option<&str>, default: &str, at: At) -> Url {
    let found = url(text.unwrap_or(default), &["http", "https"], at);
    if found.scheme() == "http" && !is_loopback_host(found.host()) {
        at.wrong("a token would go over the network unencrypted", "write https://…");
    }
    found
}

fn access(context: &Context, fetch: &raw::LogFetch, at: At) -> Access {
    let metadata = || {
        url(
            fetch.metadata.as_deref().unwrap_or(METADATA),
            &["http", "https"],
            at.key("metadata"),
        )
    };
    let Some(source) = &fetch.service_account else {
        return Access::Metadata(metadata());
    };
    let at = at.key("service_account");
    if fetch.metadata.is_some() {
        at.wrong(
            "both a service account and a metadata server are named",
            "leave out `metadata`, or `service_account` for the workload's own account",
        );
    }
    let found = find(context, source, (Shape::Pem, Presence::Required), at);
    let Some(file) = found.secret() else {
        return Access::Metadata(metadata());
    };
    // Nothing of the file may stand in a message.
    let Ok(key) = serde_json::from_str::<KeyFile>(file.expose()) else {
        at.wrong(
            "this is no key file of a service account",
            "name the JSON file with `client_email` and `private_key` that Google gave",
        );
        return Access::Metadata(metadata());
    };
    Access::Account {
        email: key.client_email,
        key: Secret::new(key.private_key),
        token_url: endpoint(key.token_uri.as_deref(), "https://oauth2.googleapis.com/token", at),
    }
}
