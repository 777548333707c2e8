//! The command line: what each command takes, and which exit status it ends with. The work is done elsewhere.

mod bundle;
mod demo;
mod diagnose;
mod drill;
mod health;
pub mod logging;
mod once;
mod read;
mod rehearse;
mod reloading;
mod report;
mod run;
mod signals;
mod table;
mod written;

use crate::catalog::Catalog;
use crate::config::{self, ConfigErrors, Overrides};
use clap::{Args, Parser, Subcommand};
use logging::LogFormat;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the runtime may take to end: a hung resolver must not hold up the exit (faults.md section 0.4).
const RUNTIME_ENDS_WITHIN: Duration = Duration::from_millis(500);

/// What a command ended with, as exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing to complain about.
    Well,
    /// A verdict is `fail`.
    Failed,
    /// Bad configuration or usage.
    Refused,
    /// No verdict is `fail`, but some are `unknown`.
    Unknown,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Well => 0,
            Ending::Failed => 1,
            Ending::Refused => 2,
            Ending::Unknown => 3,
        })
    }
}

/// What `--version` says: the version and the revision it was built from.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("STAGEWATCH_REVISION"), ")");

/// Continuous synthetic monitoring of a staging environment.
#[derive(Debug, Parser)]
#[command(
    name = "stagewatch",
    version = VERSION,
    propagate_version = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// How log lines on standard error look.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "STAGEWATCH_LOG_FORMAT"
    )]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `stagewatch=debug`.
    #[arg(long, global = true, env = "STAGEWATCH_LOG")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the target until stopped.
    Run(run::RunArgs),
    /// Compile the configuration and print what it would do.
    Validate(ConfigArgs),
    /// Run one iteration now and report it.
    Once(once::OnceArgs),
    /// Show everything: a local staging with switchable faults, and the daemon watching it.
    Demo(demo::DemoArgs),
    /// Serve a local staging that speaks the intended contract, with switchable faults.
    Rehearse(rehearse::RehearseArgs),
    /// Play one fault and see whether its page arrives at an Alertmanager, labelled as a drill.
    Drill(drill::DrillArgs),
    /// Judge stored evidence again.
    Judge(read::JudgeArgs),
    /// Explain stored evidence with the diagnosis rules.
    Diagnose(diagnose::DiagnoseArgs),
    /// Write everything about one incident into one file, to be judged again elsewhere.
    Bundle(bundle::BundleArgs),
    /// Report an iteration that the daemon stored.
    Report(report::ReportArgs),
    /// Print stored runs, verdicts or incidents as JSON lines.
    History(read::HistoryArgs),
    /// Print the JSON Schema of the configuration files.
    Schema,
    /// Ask a running daemon how it is.
    Health(health::HealthArgs),
    /// Print a completion script for a shell.
    Completions(written::CompletionsArgs),
    /// Print the manual page, whole or of one command.
    Man(written::ManArgs),
}

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
struct ConfigArgs {
    /// Main configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "config/stagewatch.yaml",
        env = "STAGEWATCH_CONFIG"
    )]
    config: PathBuf,
    /// Factor on schedules, windows and long waits, instead of the file's.
    #[arg(long, value_name = "FACTOR")]
    time_scale: Option<f64>,
}

impl ConfigArgs {
    fn load(&self, overrides: Overrides) -> Result<Catalog, ConfigErrors> {
        let overrides = Overrides {
            time_scale: self.time_scale,
            ..overrides
        };
        config::load_with(&self.config, &config::ProcessEnvironment, &overrides)
    }
}

/// Parses the command line and carries it out.
pub fn main() -> ExitCode {
    crate::crypto::init_crypto();
    let cli = Cli::parse();
    let usual = match cli.command {
        Command::Demo(_) | Command::Once(_) | Command::Health(_) => "warn",
        // What it makes the engine warn of is what it is about.
        Command::Drill(_) => "error",
        _ => "info",
    };
    if let Err(error) = logging::install(cli.log.log_format, cli.log.log.as_deref().unwrap_or(usual)) {
        return complain(&error).into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime does not start: {error}")).into(),
    };
    let ending = runtime.block_on(carry_out(cli.command));
    runtime.shutdown_timeout(RUNTIME_ENDS_WITHIN);
    ending.into()
}

async fn carry_out(command: Command) -> Ending {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Validate(args) => validate(&args),
        Command::Once(args) => once::once(args).await,
        Command::Demo(args) => demo::demo(args).await,
        Command::Rehearse(args) => rehearse::rehearse(args).await,
        Command::Drill(args) => drill::play(args).await,
        Command::Judge(args) => read::judge(&args),
        Command::Diagnose(args) => diagnose::diagnose(&args),
        Command::Bundle(args) => bundle::bundle(&args),
        Command::Report(args) => report::report(&args),
        Command::History(args) => read::history(&args),
        Command::Schema => schema(),
        Command::Health(args) => health::health(args).await,
        Command::Completions(args) => written::completions(&args),
        Command::Man(args) => written::man(&args),
    }
}

fn validate(args: &ConfigArgs) -> Ending {
    match args.load(Overrides::default()) {
        Ok(catalog) => say(&config::plan(&catalog).to_string()),
        Err(errors) => complain(&errors.to_string()),
    }
}

fn schema() -> Ending {
    say(&format!("{:#}", config::schema()))
}

/// Prints to standard output; a reader that went away is no error of ours.
fn say(text: &str) -> Ending {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
    Ending::Well
}

/// Prints to standard error why the command cannot be carried out.
fn complain(text: &str) -> Ending {
    let text = text.trim_end();
    if text.starts_with("error") {
        eprintln!("{text}");
    } else {
        eprintln!("error: {text}");
    }
    Ending::Refused
}
