//! `gitsync render`: what `kustomize build` prints.

use std::path::{Path, PathBuf};

use kustomize::{BuildErrors, DirFiles, LoadRestrictor, Options, Warning};
use manifest::{Manifest, yaml};

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
    /// Write to this file instead of stdout; into a directory, one file per object
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Which files a kustomization may read
    #[arg(long, value_enum, default_value_t)]
    pub load_restrictor: Restrictor,
}

/// Which files a kustomization may read, by kustomize's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Restrictor {
    /// Those in or below its own directory; bases may be anywhere.
    #[default]
    #[value(name = "LoadRestrictionsRootOnly")]
    RootOnly,
    /// Any.
    #[value(name = "LoadRestrictionsNone")]
    None,
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
    let restrictor = match args.load_restrictor {
        Restrictor::RootOnly => LoadRestrictor::RootOnly,
        Restrictor::None => LoadRestrictor::None,
    };
    let options = Options::default().with_load_restrictor(restrictor);
    match args.output.as_deref() {
        Some(directory) if directory.is_dir() => {
            let built = kustomize::build(&files, &inside, &options).map_err(refused)?;
            warn(ui, &built.warnings);
            built.manifests.iter().try_for_each(|object| {
                write(&directory.join(file_name(object)), &yaml::emit(object.value()))
            })?;
        }
        output => {
            let printed = kustomize::print(&files, &inside, &options).map_err(refused)?;
            warn(ui, &printed.warnings);
            match output {
                None => printed
                    .parts
                    .iter()
                    .try_for_each(|part| ui.print(part).map(drop))?,
                Some(file) => write(file, &printed.parts.concat())?,
            }
        }
    }
    Ok(Answer::Yes)
}

fn refused(errors: BuildErrors) -> Failure {
    Failure::usage(nearer(to_problems(errors)))
}

fn warn(ui: &mut Ui, warnings: &[Warning]) {
    for warning in warnings {
        ui.story(&deprecation(warning));
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", file.display())))
}

/// The name that kustomize gives an object's file: `<group>_<version>_<kind>_<name>.yaml`, in lower case.
fn file_name(object: &Manifest) -> String {
    let gvk = object.gvk();
    let group = if gvk.group.is_empty() {
        String::new()
    } else {
        format!("{}_", gvk.group)
    };
    format!("{group}{}_{}_{}.yaml", gvk.version, gvk.kind, object.name()).to_lowercase()
}

/// A warning in the words of kustomize, and its place, which kustomize does not tell.
fn deprecation(warning: &Warning) -> String {
    let place = match warning.line {
        Some(line) => format!("{}:{line}", warning.file),
        None => warning.file.clone(),
    };
    format!("# Warning: {} ({})", warning.message, near(&place))
}

/// Problems with their files as a person in the current directory would name them.
fn nearer(mut problems: Problems) -> Problems {
    for at in problems.0.iter_mut().filter_map(|problem| problem.at.as_mut()) {
        *at = near(at);
    }
    problems
}

/// A path from the root of the disk, as a person in the current directory would write it.
fn near(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let full = format!("/{path}");
    match Path::new(&full).strip_prefix(&here) {
        Ok(relative) => relative.display().to_string(),
        Err(_) => full,
    }
}
