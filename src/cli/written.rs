//! `stagewatch completions` and `stagewatch man`: what the command line says of itself, for shells and for man(1).

use super::{Cli, Ending, complain, say};
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// What `completions` takes.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Of which command; the whole when left out.
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints a completion script.
pub(super) fn completions(args: &CompletionsArgs) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stagewatch", &mut script);
    say(&String::from_utf8_lossy(&script))
}

/// Prints a manual page.
pub(super) fn man(args: &ManArgs) -> Ending {
    let mut whole = Cli::command();
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => match whole.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return complain(&format!("there is no command `{name}`; `stagewatch --help` lists them")),
        },
    };
    let mut page = Vec::new();
    match clap_mangen::Man::new(command).render(&mut page) {
        Ok(()) => say(&String::from_utf8_lossy(&page)),
        Err(error) => complain(&error.to_string()),
    }
}
