//! `stagewatch rehearse`: the rehearsal staging alone.

use super::{Ending, complain, say, signals};
use crate::rehearsal::{self, Options};
use clap::Args;
use std::net::SocketAddr;
use std::time::Duration;

/// What `rehearse` takes.
#[derive(Debug, Args)]
pub(super) struct RehearseArgs {
    /// Where the backend listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// Where the auth service listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18081")]
    auth: SocketAddr,
    /// Where the control listens.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18082")]
    control: SocketAddr,
    /// A fault that is on from the start; `--list` names all.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<String>,
    /// Factor on the contract's long durations.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// End by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
    /// Print every fault and end.
    #[arg(long)]
    list: bool,
}

/// Serves until asked to stop.
pub(super) async fn rehearse(args: RehearseArgs) -> Ending {
    if args.list {
        let lines = rehearsal::catalogue()
            .into_iter()
            .map(|fault| format!("{:<34} {}", fault.name, fault.says));
        return say(&lines.collect::<Vec<_>>().join("\n"));
    }
    let options = Options {
        backend: args.listen,
        auth: args.auth,
        control: args.control,
        faults: args.faults,
        time_scale: args.time_scale,
    };
    let rehearsal = match rehearsal::start(options).await {
        Ok(rehearsal) => rehearsal,
        Err(error) => return complain(&error.to_string()),
    };
    say(&format!(
        "backend http://{}\nauth    http://{}\ncontrol http://{}/rehearsal/faults",
        rehearsal.backend_addr(),
        rehearsal.auth_addr(),
        rehearsal.control_addr()
    ));
    signals::asked_to_stop(args.limit).await;
    rehearsal.shutdown().await;
    Ending::Well
}
