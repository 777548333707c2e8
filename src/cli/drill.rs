//! `stagewatch drill`: whether and when a page arrives, without breaking anything that anybody uses.

use super::{Ending, complain, say, signals};
use crate::app::drill::{DrillOptions, drill};
use clap::Args;
use std::time::Duration;
use url::Url;

/// What `drill` takes.
#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// The fault to play, such as `ws-upgrade-500`; a wrong name is answered with all of them.
    #[arg(value_name = "NAME")]
    name: String,
    /// The Alertmanager that must show the page.
    #[arg(long, value_name = "URL", env = "STAGEWATCH_ALERTMANAGER")]
    alertmanager: Url,
    /// How long the page may take.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "60s")]
    within: Duration,
}

/// Plays one fault on a private rehearsal and looks for its page.
pub(super) async fn play(args: DrillArgs) -> Ending {
    let options = DrillOptions {
        name: args.name,
        alertmanager: args.alertmanager,
        within: args.within,
    };
    let told = |line: &str| {
        say(line);
    };
    let Some(played) = signals::unless_stopped(drill(&options, told), None).await else {
        return Ending::Failed;
    };
    match played {
        Ok(drilled) => match drilled.visible_s {
            Some(seconds) => say(&format!(
                "arrived: {} was visible {seconds:.2} s after the fault; drill_id {}",
                drilled.expected, drilled.id
            )),
            None => {
                say(&format!(
                    "NOT arrived: Alertmanager did not show {} within {}{}",
                    drilled.expected,
                    humantime::format_duration(options.within),
                    drilled.trouble.map_or(String::new(), |said| format!(" ({said})"))
                ));
                Ending::Failed
            }
        },
        Err(error) => match error {
            crate::app::drill::DrillError::Unknown(_) => complain(&error.to_string()),
            _ => {
                complain(&error.to_string());
                Ending::Failed
            }
        },
    }
}
