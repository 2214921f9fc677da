//! `gitsync completions`, `gitsync man` and the exit codes: what shells and readers of manuals want.

use std::path::PathBuf;

use clap::CommandFactory as _;

use super::Cli;
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;

/// Arguments of `gitsync completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `gitsync man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write the page of every command into this directory, instead of the main page to stdout
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the completion script of a shell.
///
/// # Errors
///
/// When stdout cannot be written.
pub fn completions(ui: &mut Ui, args: &CompletionsArgs) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gitsync", &mut script);
    ui.print(&String::from_utf8_lossy(&script))
}

/// Prints the manual.
///
/// # Errors
///
/// When the directory cannot be written.
pub fn man(ui: &mut Ui, args: &ManArgs) -> Result<Answer, Failure> {
    let command = Cli::command().disable_help_subcommand(true);
    if let Some(dir) = &args.dir {
        let wrong = |error: std::io::Error| Failure::usage(format!("{}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(wrong)?;
        clap_mangen::generate_to(command, dir).map_err(wrong)?;
        return Ok(Answer::Yes);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::new(Kind::Bug, error))?;
    ui.print(&String::from_utf8_lossy(&page))
}
