//! `gitsync complete`: the names that a shell offers. Completion scripts ask it; people need not.

use std::collections::BTreeSet;
use std::path::Path;

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::repository::environments::{directory, stages};
use crate::promote::overlay::{image_names, kustomization};
use crate::source::Snapshot;
use crate::world::git::Git;

/// Arguments of `gitsync complete`.
#[derive(Debug, clap::Args)]
pub struct CompleteArgs {
    /// What is asked for
    #[arg(value_enum)]
    pub what: Names,
}

/// What can be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Names {
    /// Environments.
    Environments,
    /// Names of images in overlays.
    Images,
    /// Workloads, which have replicas.
    Apps,
}

/// Prints names of the working copy, one a line. Where nothing can be read there are none: a shell that completes has no
/// place for an error.
///
/// # Errors
///
/// When stdout cannot be written.
pub async fn complete(ui: &mut Ui, context: &Context, args: &CompleteArgs) -> Result<Answer, Failure> {
    let names = match args.what {
        Names::Environments => environments().unwrap_or_default(),
        Names::Images => images().unwrap_or_default(),
        Names::Apps => apps(context).await.unwrap_or_default(),
    };
    ui.print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
}

/// The directories that hold an environment, whether or not all is right with it.
fn environments() -> Option<BTreeSet<String>> {
    let files = Git::discover(Path::new(".")).ok()?.files().ok()?;
    let with_apps = stages(&files).into_iter().flat_map(|(name, apps)| {
        let mut names: Vec<String> = apps.iter().map(|app| format!("{name}.{app}")).collect();
        names.push(name);
        names
    });
    Some(with_apps.collect())
}

fn images() -> Option<BTreeSet<String>> {
    let files = std::sync::Arc::new(Git::discover(Path::new(".")).ok()?.files().ok()?);
    let revision = "0".repeat(40).parse().ok()?;
    let snapshot = Snapshot::new(revision, files);
    let names = environments()?.into_iter().flat_map(|name| {
        let dir = name.parse().map(|name| directory(&name)).unwrap_or_default();
        let text = kustomization(&snapshot, &dir);
        text.map(|(_, text)| image_names(&text)).unwrap_or_default()
    });
    Some(names.collect())
}

async fn apps(context: &Context) -> Option<BTreeSet<String>> {
    let checkout = context.checkout().await.ok()?;
    let mut names = BTreeSet::new();
    for environment in checkout.config().in_order() {
        let Ok(desired) = checkout.render(environment).await else {
            continue;
        };
        let scalable = desired.objects.iter().filter(|object| {
            matches!(
                object.gvk().kind.as_str(),
                "Deployment" | "StatefulSet" | "ReplicaSet"
            )
        });
        names.extend(scalable.map(|object| object.name().to_owned()));
    }
    Some(names)
}
