//! `stagewatch run`: the daemon.

use super::{ConfigArgs, Ending, complain, signals};
use crate::app::daemon;
use crate::config::Overrides;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How often the daemon looks whether one of its parts has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `run` takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to serve /metrics, the API and the page, instead of the file's.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where history and budgets are kept, instead of the file's.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Push alerts to this Alertmanager, instead of the file's.
    #[arg(long, value_name = "URL", env = "STAGEWATCH_ALERTMANAGER")]
    alertmanager: Option<Url>,
    /// End by itself after this time, such as `90s` or `1h`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
}

/// Runs until asked to stop.
pub(super) async fn run(args: RunArgs) -> Ending {
    let overrides = Overrides {
        listen: args.listen,
        data_dir: args.data_dir,
        alertmanager: args.alertmanager,
        ..Overrides::default()
    };
    let catalog = match args.config.load(overrides) {
        Ok(catalog) => Arc::new(catalog),
        Err(errors) => return complain(&errors.to_string()),
    };
    let running = match daemon::start(catalog).await {
        Ok(running) => running,
        Err(error) => return complain(&error.to_string()),
    };
    let broken = async {
        while !running.broken() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let broke = signals::unless_stopped(broken, args.limit).await.is_some();
    running.shutdown().await;
    if broke {
        return complain("a part of the daemon died; it has to be started anew");
    }
    Ending::Well
}
