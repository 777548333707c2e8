//! `stagewatch demo`: what a newcomer runs first.

use super::table::{self, Changes, Screen};
use super::{Ending, complain, say, signals};
use crate::app::demo::{self, Demo, DemoOptions};
use clap::Args;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;
use url::Url;

/// How often the table is brought up to date.
const REDRAW_EVERY: Duration = Duration::from_millis(500);
/// How often the size of the terminal is asked for, in redraws.
const SIZE_EVERY: u32 = 4;

/// What `demo` takes.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End by itself after this time, such as `20s`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
    /// Where to serve /metrics, the API and the page; 127.0.0.1:9464, or a free port if that is taken.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// A fault that is on from the start.
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<String>,
    /// Factor on schedules and windows, instead of the shipped one.
    #[arg(long, value_name = "FACTOR")]
    time_scale: Option<f64>,
    /// Push alerts to this Alertmanager.
    #[arg(long, value_name = "URL", env = "STAGEWATCH_ALERTMANAGER")]
    alertmanager: Option<Url>,
    /// Token of the API, instead of a random one that is printed.
    #[arg(long, value_name = "TOKEN", env = "STAGEWATCH_API_TOKEN", hide_env_values = true)]
    api_token: Option<String>,
}

/// Runs until asked to stop.
pub(super) async fn demo(args: DemoArgs) -> Ending {
    let options = DemoOptions {
        listen: args.listen,
        faults: args.faults,
        time_scale: args.time_scale,
        any_ports: false,
        alertmanager: args.alertmanager,
        api_token: args.api_token,
    };
    let demo = match demo::start(options).await {
        Ok(demo) => demo,
        Err(error) => return complain(&error.to_string()),
    };
    let introduction = introduction(&demo);
    say(&introduction);
    let show = show(&demo, &introduction);
    // Showing never ends by itself.
    let _ = signals::unless_stopped(show, args.limit).await;
    let status = demo.running.live().status();
    let counts = status.summary.checks;
    demo.shutdown().await;
    say(&format!(
        "stopped: {} pass, {} fail, {} unknown, {} off",
        counts.pass, counts.fail, counts.unknown, counts.off
    ))
}

fn introduction(demo: &Demo) -> String {
    let (daemon, control) = (demo.running.address(), demo.rehearsal.control_addr());
    format!(
        "Watching a rehearsal staging on http://{} (auth http://{}).\n\
         \n\
         live view  http://{daemon}/\n\
         metrics    http://{daemon}/metrics\n\
         status     http://{daemon}/api/v1/status\n\
         faults     http://{control}/rehearsal/faults\n\
         API token  {}\n\
         \n\
         Break something, and mend it (in another terminal):\n\
         curl -s http://{control}/rehearsal/faults -d '{{\"on\":[\"ws-upgrade-500\"]}}' -o /dev/null\n\
         curl -s http://{control}/rehearsal/faults -d '{{\"off\":[\"ws-upgrade-500\"]}}' -o /dev/null\n",
        demo.rehearsal.backend_addr(),
        demo.rehearsal.auth_addr(),
        demo.api_token,
    )
}

/// Redraws on a terminal, prints changes otherwise.
async fn show(demo: &Demo, introduction: &str) {
    let terminal = std::io::stdout().is_terminal();
    let mut screen = Screen::default();
    let mut changes = Changes::default();
    for redraw in 0_u32.. {
        let status = demo.running.live().status();
        if terminal {
            if redraw % SIZE_EVERY == 0 {
                screen = terminal_size().await.unwrap_or(screen);
            }
            let below = Screen {
                lines: screen.lines.saturating_sub(introduction.lines().count() + 2),
                ..screen
            };
            // Home, clear the screen, draw.
            say(&format!(
                "\x1b[H\x1b[2J{introduction}\n{}",
                table::whole(&status, below)
            ));
        } else {
            let lines = changes.lines(&status);
            if !lines.is_empty() {
                say(&lines.join("\n"));
            }
        }
        tokio::time::sleep(REDRAW_EVERY).await;
    }
}

/// Size of the terminal, as `stty` says; asking the kernel ourselves would need unsafe code.
async fn terminal_size() -> Option<Screen> {
    let asked = tokio::task::spawn_blocking(|| {
        std::process::Command::new("stty")
            .arg("size")
            .stdin(std::process::Stdio::inherit())
            .stderr(std::process::Stdio::null())
            .output()
    });
    let output = asked.await.ok()?.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (lines, columns) = text.trim().split_once(' ')?;
    Some(Screen {
        lines: lines.parse().ok()?,
        columns: columns.parse().ok()?,
    })
}
