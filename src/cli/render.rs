//! `gitsync render`: what `kustomize build` prints.

use std::path::{Path, PathBuf};

use kustomize::{DirFiles, Options};

use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::desired::to_problems;
use crate::problem::Problems;

/// Arguments of `gitsync render`.
#[derive(Debug, clap::Args)]
pub struct RenderArgs {
    /// Directory that holds the kustomization
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Renders a directory of the disk, as it is there. Bases may lie anywhere, as for `kustomize build`.
///
/// # Errors
///
/// When it cannot be read or rendered: then with every problem.
pub fn render(ui: &mut Ui, args: &RenderArgs) -> Result<Answer, Failure> {
    let in_dir = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", args.dir.display()));
    let dir = args.dir.canonicalize().map_err(|error| in_dir(&error))?;
    let files = DirFiles::new("/").map_err(|error| in_dir(&error))?;
    let inside = dir.to_string_lossy().trim_start_matches('/').to_owned();
    let built = kustomize::build(&files, &inside, &Options::default())
        .map_err(|errors| Failure::usage(nearer(to_problems(errors))))?;
    for warning in &built.warnings {
        ui.warn(&warning.to_string());
    }
    let text = built.to_yaml();
    match &args.output {
        None => ui.print(&text),
        Some(file) => std::fs::write(file, text)
            .map(|()| Answer::Yes)
            .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", file.display()))),
    }
}

/// Problems with their files as a person in the current directory would name them.
fn nearer(mut problems: Problems) -> Problems {
    let here = std::env::current_dir().unwrap_or_default();
    for at in problems.0.iter_mut().filter_map(|problem| problem.at.as_mut()) {
        let full = format!("/{at}");
        *at = match Path::new(&full).strip_prefix(&here) {
            Ok(relative) => relative.display().to_string(),
            Err(_) => full,
        };
    }
    problems
}
