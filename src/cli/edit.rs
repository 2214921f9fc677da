//! Edit: what every command that writes to git has in common. The tip is edited, shown or pushed, and answered for.

use serde_json::json;

use super::Output;
use super::context::{Checkout, Context};
use super::failure::{Answer, Failure, Kind};
use super::ui::Ui;
use crate::diff::files;
use crate::model::CommitMessage;
use crate::problem::Problems;
pub use crate::promote::orders::Wish;
use crate::reconcile::feed::head_of;
use crate::reconcile::orders::OrderError;
use crate::source::Snapshot;
use crate::world::git::{GitError, PushError};
use crate::world::lease::Leader;
use crate::world::write_back::{Draft, Plan, Writer, Written};

/// Options of every command that writes to git.
#[derive(Debug, Clone, clap::Args)]
pub struct EditArgs {
    /// Show the patch, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Commit subject; by default it says what was done
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// The files of a tip, with their configuration unless that is broken.
pub struct Tip {
    /// The files.
    pub snapshot: Snapshot,
    /// What they configure.
    pub checkout: Result<Checkout, Failure>,
}

/// Commits what `wish` makes of the branch's tip, and pushes it; with `--dry-run` it is only shown.
///
/// # Errors
///
/// Those of the wish; when git cannot be reached, or the push is refused.
pub async fn push<F>(
    ui: &mut Ui,
    context: &Context,
    args: &EditArgs,
    wish: impl Fn(Tip) -> F,
) -> Result<Answer, Failure>
where
    F: Future<Output = Result<Wish, Failure>>,
{
    let remote = context.remote()?;
    let tip = |snapshot: Snapshot| Tip {
        checkout: head_of(snapshot.clone())
            .map(|head| Checkout::of_remote(head, remote.clone()))
            .map_err(super::context::head_failure),
        snapshot,
    };
    if args.dry_run {
        let revision = remote.fetch().await.map_err(Failure::from)?.revision;
        let snapshot = remote.snapshot(&revision).await?;
        let wish = wish(tip(snapshot.clone())).await?;
        return show(ui, args, &snapshot, &wish);
    }
    let last = std::cell::RefCell::new(None);
    let plan = |snapshot: Snapshot| async {
        let wish = wish(tip(snapshot)).await?;
        let message = args.said(&wish.message);
        let (dir, edit) = (wish.dir.clone(), wish.edit.clone());
        last.replace(Some(wish));
        Ok::<_, Failure>(Plan::<()>::Commit(Draft { dir, edit, message }))
    };
    let writer = Writer {
        remote: &remote,
        identity: &context.identity(),
        leader: &Leader::alone(),
    };
    let written = writer.write_back(|_| {}, plan).await?;
    let wish = last
        .into_inner()
        .expect("because a plan was asked before anything was written");
    let revision = match &written {
        Written::Pushed(revision) => {
            ui.story(&format!(
                "pushed {} to {}",
                revision.short(),
                remote.git().branch()
            ));
            Some(revision.as_str())
        }
        Written::Unchanged | Written::Left(()) => None,
    };
    answer(ui, args, &wish, revision.is_some(), revision)
}

/// Changes the files of the working copy; with `--dry-run` the change is only shown.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(ui: &mut Ui, args: &EditArgs, checkout: &Checkout, wish: &Wish) -> Result<Answer, Failure> {
    if args.dry_run {
        return show(ui, args, &checkout.head.snapshot, wish);
    }
    for (path, content) in &wish.edit.files {
        checkout.write(path, content)?;
        ui.story(&format!("changed {path}"));
    }
    answer(ui, args, wish, !wish.edit.is_empty(), None)
}

/// The working copy that a command without `--push` changes.
///
/// # Errors
///
/// When there is none, `--repo` names another repository, or its configuration has problems.
pub async fn working_copy(context: &Context) -> Result<Checkout, Failure> {
    if context.args.repo.is_some() {
        return Err(Failure::usage(
            "without --push, the file of the working copy is changed; --repo names another repository",
        ));
    }
    context.checkout().await
}

/// A push that did not go through, at the edge.
#[must_use]
pub fn push_failure(error: PushError) -> Failure {
    let kind = match &error {
        PushError::Rejected { .. } | PushError::Outside { .. } => Kind::Refused,
        PushError::Denied(_) => Kind::Usage,
        other if other.retryable() => Kind::Unreachable,
        _ => Kind::Usage,
    };
    Failure::new(kind, error)
}

fn show(ui: &mut Ui, args: &EditArgs, before: &Snapshot, wish: &Wish) -> Result<Answer, Failure> {
    let paint = match args.output {
        Output::Text => ui.paint(),
        Output::Json => crate::report::paint::Paint::default(),
    };
    let patch = files::patch(before.tree(), &wish.edit, paint);
    match args.output {
        Output::Json => ui.print(&format!(
            "{:#}\n",
            json!({"environment": wish.environment, "changed": !patch.is_empty(), "dryRun": true,
                   "files": wish.edit.paths(), "message": args.said(&wish.message).to_string(), "patch": patch})
        )),
        Output::Text if patch.is_empty() => ui.print(&format!("{}\n", wish.idle)),
        Output::Text => {
            ui.story("dry run: this is what would change; nothing was written");
            ui.print(&patch)
        }
    }
}

fn answer(
    ui: &mut Ui,
    args: &EditArgs,
    wish: &Wish,
    changed: bool,
    revision: Option<&str>,
) -> Result<Answer, Failure> {
    let text = match args.output {
        Output::Json => format!(
            "{:#}\n",
            json!({"environment": wish.environment, "changed": changed,
                   "files": if changed { wish.edit.paths() } else { Vec::new() }, "revision": revision})
        ),
        Output::Text if changed => format!("{}\n", wish.done),
        Output::Text => format!("{}\n", wish.idle),
    };
    ui.print(&text)
}

// === impl EditArgs ===

impl EditArgs {
    /// The commit message with the subject that was asked for.
    fn said(&self, message: &CommitMessage) -> CommitMessage {
        CommitMessage {
            subject: self.message.clone().unwrap_or_else(|| message.subject.clone()),
            ..message.clone()
        }
    }
}

// === impl Failure ===

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        super::context::git_failure(error)
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        push_failure(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        OrderError::Wrong(problems).into()
    }
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        let hint = error.hint();
        let failure = match error {
            OrderError::Git(error) => return error.into(),
            OrderError::Push(error) => return error.into(),
            OrderError::Head(error) => return super::context::head_failure(error),
            OrderError::Connect(error) => return super::context::connect_failure(error),
            OrderError::Cluster(error) => return super::context::cluster_failure(error),
            error @ OrderError::Refused(_) => Self::new(Kind::Refused, error),
            error @ OrderError::Nobody => Self::unreachable(error),
            error @ OrderError::Wrong(_) => Self::usage(error),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
