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
    ui.print(&with_names(args.shell, &String::from_utf8_lossy(&script)))
}

/// A completion script that also offers what is in the repository: environments, images and workloads.
fn with_names(shell: clap_complete::Shell, script: &str) -> String {
    match shell {
        clap_complete::Shell::Bash => format!("{script}\n{}", include_str!("completions/names.bash")),
        clap_complete::Shell::Fish => format!("{script}\n{}", include_str!("completions/names.fish")),
        clap_complete::Shell::Zsh => {
            let script: Vec<String> = script.lines().map(zsh_line).collect();
            let names = include_str!("completions/names.zsh");
            // The functions have to stand before the script completes at its end.
            let (head, rest) = script
                .split_first()
                .map_or((String::new(), Vec::new()), |(head, rest)| {
                    (head.clone(), rest.to_vec())
                });
            format!("{head}\n\n{names}\n{}\n", rest.join("\n"))
        }
        _ => script.to_owned(),
    }
}

/// A line of clap's script for zsh, with the function that knows the names of what it asks for.
fn zsh_line(line: &str) -> String {
    let trimmed = line.trim_start();
    // What an argument is called in the help says what belongs there.
    let environment = trimmed.contains("--env=[Environment")
        || trimmed.starts_with("'-e+[Environment")
        || trimmed.starts_with("':env ")
        || trimmed.starts_with("'*::env ")
        || trimmed.starts_with("':target ");
    let wanted = match trimmed {
        _ if environment => "_gitsync_environments",
        _ if trimmed.starts_with("'*::images ") => "_gitsync_images",
        _ if trimmed.starts_with("'*::workloads ") => "_gitsync_apps",
        _ => "_default",
    };
    line.replace("_default'", &format!("{wanted}'"))
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
