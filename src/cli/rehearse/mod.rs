//! `gitsync rehearse`: a repository's whole path on sandbox clusters, before it meets a real one.

mod json;
mod markdown;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use super::context::{Checkout, Context, git_failure};
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::config::duration::Duration;
use crate::reconcile::rehearse::{Material, RehearsalError, Request, rehearse as play};
use crate::world::git::Git;

/// Arguments of `gitsync rehearse`.
#[derive(Debug, clap::Args)]
pub struct RehearseArgs {
    /// Let this commit run first, and then what git asks for now: shows what changes and what is pruned
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// How long a rollout may take
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: Duration,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: RehearseOutput,
    /// Show long objects to their end
    #[arg(long)]
    pub full: bool,
}

/// Output formats of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum RehearseOutput {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For a comment below a pull request, of less than 65,536 characters.
    Markdown,
}

/// Plays every environment and every promotion of a repository on sandbox clusters; nothing real is asked or changed.
///
/// # Errors
///
/// When there is no repository, its configuration is wrong, or a sandbox cluster cannot be used. That something would
/// fail is the answer no.
pub async fn rehearse(ui: &mut Ui, context: &Context, args: &RehearseArgs) -> Result<Answer, Failure> {
    let checkout = checkout(context).await?;
    let request = Request {
        before: match &args.base {
            Some(base) => Some(material(&at(context, base)?).await?),
            None => None,
        },
        now: material(&checkout).await?,
        limit: args.timeout.get(),
    };
    if args.output == RehearseOutput::Text {
        ui.live("rehearsing on sandbox clusters …");
    }
    let rehearsal = play(request, &context.cancel).await;
    ui.clear();
    let rehearsal = rehearsal.map_err(failure)?;
    let text = match args.output {
        RehearseOutput::Text => text::text(&rehearsal, args, ui),
        RehearseOutput::Json => format!("{:#}\n", json::document(&rehearsal)),
        RehearseOutput::Markdown => markdown::comment(&rehearsal, args.base.is_some()),
    };
    ui.print(&text)?;
    Ok(if rehearsal.is_broken() {
        Answer::Code(Kind::Usage.code())
    } else if rehearsal.is_good() {
        Answer::Yes
    } else {
        Answer::No
    })
}

/// The files of a directory as they are on disk, or the tip of a repository that is elsewhere.
async fn checkout(context: &Context) -> Result<Checkout, Failure> {
    let local = context
        .args
        .repo
        .as_deref()
        .map(Path::new)
        .filter(|path| path.is_dir());
    let copy = local.and_then(|path| Git::discover(path).ok());
    match copy.filter(|_| context.args.branch.is_none()) {
        Some(copy) => Checkout::of_working_copy(copy),
        None => context.checkout().await,
    }
}

/// A commit of the working copy.
fn at(context: &Context, revision: &str) -> Result<Checkout, Failure> {
    let directory = context.args.repo.as_deref().unwrap_or(".");
    let copy = Git::discover(Path::new(directory)).map_err(|error| {
        git_failure(error).hint("--base names a commit of a working copy; clone the repository first")
    })?;
    let revision = copy.resolve(revision).map_err(git_failure)?;
    let snapshot = copy.snapshot(&revision).map_err(git_failure)?;
    Checkout::of_commit(snapshot, copy)
}

async fn material(checkout: &Checkout) -> Result<Material, Failure> {
    let mut proved = BTreeMap::new();
    for environment in checkout.config().environments.values() {
        if let Some(snapshot) = checkout.proved(environment).await? {
            proved.insert(environment.name.clone(), snapshot);
        }
    }
    Ok(Material {
        head: checkout.head.clone(),
        proved,
    })
}

fn failure(error: RehearsalError) -> Failure {
    match &error {
        RehearsalError::Start(..) => Failure::unreachable(error),
        RehearsalError::Interrupted => Failure::interrupted(),
        RehearsalError::Cluster(_) => Failure::new(Kind::Bug, error),
    }
}
