//! `stagewatch health`: asks a running daemon how it is; for container health checks, which have no other program at hand.

use super::{Ending, complain, say};
use clap::Args;
use std::time::Duration;
use url::{Host, Url};

/// Deadline of the question.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What `health` takes.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Where the daemon listens.
    #[arg(
        value_name = "URL",
        default_value = "http://127.0.0.1:9464",
        env = "STAGEWATCH_HEALTH_URL"
    )]
    url: Url,
}

/// Well when the daemon answers with 200, degraded or not; failed otherwise.
pub(super) async fn health(args: HealthArgs) -> Ending {
    match ask(&args.url).await {
        Ok(text) => say(&text),
        Err(error) => {
            complain(&error);
            Ending::Failed
        }
    }
}

async fn ask(url: &Url) -> Result<String, String> {
    let url = url.join("/-/healthy").map_err(|error| format!("{url}: {error}"))?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(ANSWER_WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        // Its certificate is for its name, not for this machine's loopback.
        .danger_accept_invalid_certs(loopback)
        .build()
        .map_err(|error| error.to_string())?;
    let failed = |error: reqwest::Error| format!("{url} does not answer: {}", error.without_url());
    let answer = client.get(url.clone()).send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(format!("{url} answers with HTTP {status}"))
    }
}
