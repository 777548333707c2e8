//! `stagewatch run`: the daemon.

use super::reloading::Reloading;
use super::{ConfigArgs, Ending, complain, signals};
use crate::app::daemon::{self, Life, Running};
use crate::app::pulse::{self, Patience, Pulse};
use crate::app::supervisor::Supervisor;
use crate::config::Overrides;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// How often the daemon looks whether one of its parts has died.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `run` takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to serve /metrics, the API and the page, instead of the file's.
    #[arg(long, value_name = "ADDR", env = "STAGEWATCH_LISTEN")]
    listen: Option<SocketAddr>,
    /// Let the listener be open to the network although nobody has to say who they are: where a firewall says who comes.
    #[arg(long, env = "STAGEWATCH_INSECURE_LISTEN")]
    insecure_listen: bool,
    /// TLS and users of the listener, in the format that Prometheus and its exporters share, instead of the file's.
    #[arg(long, value_name = "FILE", env = "STAGEWATCH_WEB_CONFIG")]
    web_config: Option<PathBuf>,
    /// Where history and budgets are kept, instead of the file's.
    #[arg(long, value_name = "DIR", env = "STAGEWATCH_DATA_DIR")]
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
        insecure_listen: args.insecure_listen,
        web_config: args.web_config,
        data_dir: args.data_dir,
        alertmanager: args.alertmanager,
        // That of every command that reads a configuration.
        time_scale: None,
        // Only of the demonstration: here it is a secret of the configuration.
        api_token: None,
    };
    let catalog = match args.config.load(overrides.clone()) {
        Ok(catalog) => Arc::new(catalog),
        Err(errors) => return complain(&errors.to_string()),
    };
    let pulse = Pulse::new(Supervisor::from_environment());
    if let Err(error) = pulse.watch(Patience::default(), pulse::exit) {
        return complain(&format!("no thread for the watchdog: {error}"));
    }
    let (reloads, asked) = mpsc::channel(1);
    let mut reloading = Reloading::new((args.config, overrides), &catalog, asked);
    let life = Life {
        pulse,
        reloads: Some(reloads),
    };
    let mut running = match daemon::start_with(catalog, life).await {
        Ok(running) => running,
        Err(error) => return complain(&error.to_string()),
    };
    let work = until_broken(&mut running, &mut reloading);
    let broke = signals::unless_stopped(work, args.limit).await.is_some();
    running.shutdown().await;
    if broke {
        complain("a part of the daemon died; it has to be started anew");
        return Ending::Failed;
    }
    Ending::Well
}

/// Reloads whenever there is a reason; ends when a part of the daemon has died.
async fn until_broken(running: &mut Running, reloading: &mut Reloading) {
    while !running.broken() {
        // A look that ends early loses nothing: reasons wait.
        if let Ok(why) = tokio::time::timeout(LOOK_EVERY, reloading.reason()).await {
            reloading.carry_out(why, running).await;
        }
    }
}
