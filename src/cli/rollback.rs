//! `gitsync rollback`: an environment as it was before its last promotion, as a commit.

use jiff::Timestamp;

use super::context::{Context, env_name};
use super::edit::{self, EditArgs, Tip, Wish};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::verified;
use crate::model::{CommitMessage, EnvName, Revision};
use crate::promote::propose::EVIDENCE_TRAILER;
use crate::promote::rollback::{Request, Rollback, has_rejected, roll_back};
use crate::source::Snapshot;
use crate::world::git::Commit;
use crate::world::remote::Remote;

/// Arguments of `gitsync rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// Environment to roll back
    #[arg(value_name = "ENV")]
    pub env: String,
    /// Commit whose images and proof come back, by the beginning of its id; by default the promotion before the last
    #[arg(long, value_name = "REV")]
    pub to: Option<String>,
    /// Why; it stands in the commit and in the quarantine
    #[arg(long, value_name = "TEXT", default_value = "rolled back")]
    pub reason: String,
    #[command(flatten)]
    edit: EditArgs,
}

/// How far back a state is looked for.
const HISTORY_LIMIT: usize = 10_000;

/// Where an environment goes back to.
struct Target {
    revision: Revision,
    snapshot: Snapshot,
    /// The evidence of the promotion that is taken back.
    evidence: Option<String>,
}

/// Commits the images and the proof of an earlier state, and puts what it leaves into quarantine, so that promotion
/// does not bring it back. Needs neither a cluster nor a working staging.
///
/// # Errors
///
/// When there is nothing to go back to, an overlay cannot be edited safely, or the push is refused.
pub async fn rollback(ui: &mut Ui, context: &Context, args: &RollbackArgs) -> Result<Answer, Failure> {
    let name = env_name(&args.env)?;
    let remote = context.remote()?;
    let by = context.identity().name;
    let (name, remote, by) = (&name, &remote, by.as_str());
    edit::push(ui, context, &args.edit, |tip| async move {
        let dir = tip.environment_dir(&args.env)?;
        let target = match &args.to {
            Some(text) => named(remote, &tip, text).await?,
            None => before_the_last(remote, &tip, name, &dir).await?,
        };
        let done = roll_back(Request {
            environment: name,
            dir: &dir,
            tip: &tip.snapshot,
            to: &target.snapshot,
            evidence: target.evidence.as_deref(),
            reason: &args.reason,
            by,
            now: now(),
        });
        Ok(wish(args, dir, &target, done.map_err(Failure::usage)?))
    })
    .await
}

/// The present time, in whole seconds: more says nothing to people.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The commit that a person named.
async fn named(remote: &Remote, tip: &Tip, text: &str) -> Result<Target, Failure> {
    let history = remote
        .history(tip.snapshot.revision(), None, HISTORY_LIMIT)
        .await?;
    let begins = |commit: &&Commit| text.len() >= 4 && commit.revision.as_str().starts_with(text);
    let found: Vec<&Commit> = history.iter().filter(begins).collect();
    match found[..] {
        [commit] => Ok(Target {
            revision: commit.revision.clone(),
            snapshot: remote.snapshot(&commit.revision).await?,
            evidence: None,
        }),
        [] => Err(
            Failure::usage(format!("no commit of the branch begins with `{text}`"))
                .hint("git log --oneline lists them; four digits at least"),
        ),
        [..] => Err(Failure::usage(format!(
            "`{text}` is the beginning of {} commits; write more of it",
            found.len()
        ))),
    }
}

/// The state before the promotion that the environment has now; states with a rejected image are passed over.
async fn before_the_last(remote: &Remote, tip: &Tip, name: &EnvName, dir: &str) -> Result<Target, Failure> {
    let path = format!("{dir}/{}", verified::FILE_NAME);
    let nothing = |why: &str| {
        Failure::usage(format!("{name} {why}")).hint(format!(
            "name the commit to go back to: gitsync rollback {name} --to REV"
        ))
    };
    let present = tip
        .snapshot
        .tree_id(&path)
        .ok_or_else(|| nothing("has never received a promotion"))?;
    let history = remote
        .history(tip.snapshot.revision(), None, HISTORY_LIMIT)
        .await?;
    let mut evidence = None;
    let mut last_with_it = None;
    for (index, commit) in history.iter().enumerate() {
        let Some(trailer) = evidence_of(commit) else {
            continue;
        };
        let snapshot = remote.snapshot(&commit.revision).await?;
        if snapshot.tree_id(&path).as_deref() == Some(present.as_str()) {
            (evidence, last_with_it) = (Some(trailer), Some(index));
        } else if last_with_it.is_some()
            && !has_rejected(&snapshot, &tip.snapshot, dir).map_err(Failure::usage)?
        {
            let revision = commit.revision.clone();
            return Ok(Target {
                revision,
                snapshot,
                evidence,
            });
        }
    }
    // Before its first promotion, the environment was as its overlay says there.
    let parent = last_with_it.and_then(|index| history.get(index + 1));
    let parent = parent.ok_or_else(|| nothing("has no earlier state"))?;
    let snapshot = remote.snapshot(&parent.revision).await?;
    if has_rejected(&snapshot, &tip.snapshot, dir).map_err(Failure::usage)? {
        return Err(nothing("has no earlier state that is not in quarantine"));
    }
    Ok(Target {
        revision: parent.revision.clone(),
        snapshot,
        evidence,
    })
}

fn evidence_of(commit: &Commit) -> Option<String> {
    let mut trailers = commit.trailers.iter();
    trailers
        .find(|(key, _)| key == EVIDENCE_TRAILER)
        .map(|(_, value)| value.clone())
}

fn wish(args: &RollbackArgs, dir: String, target: &Target, done: Rollback) -> Wish {
    let what = if done.restored.is_empty() {
        target.revision.short().to_owned()
    } else {
        done.restored.join(", ")
    };
    let mut trailers = vec![
        ("Gitsync-Rollback".to_owned(), args.env.clone()),
        ("Gitsync-Restored".to_owned(), target.revision.to_string()),
    ];
    let list = |key: &str, values: &[String]| {
        let pairs = values.iter().map(|value| (key.to_owned(), value.clone()));
        pairs.collect::<Vec<_>>()
    };
    trailers.extend(list("Gitsync-Image", &done.restored));
    trailers.extend(list("Gitsync-Quarantine", &done.rejected));
    let left = if done.rejected.is_empty() {
        String::new()
    } else {
        format!("; {} is in quarantine now", done.rejected.join(", "))
    };
    Wish {
        environment: args.env.clone(),
        dir,
        edit: done.edit,
        message: CommitMessage {
            subject: format!("Roll {} back to {what}", args.env),
            body: args.reason.clone(),
            trailers,
        },
        done: format!("{} goes back to {what}{left}", args.env),
        idle: format!(
            "{} is as it was at {}; nothing changed",
            args.env,
            target.revision.short()
        ),
    }
}
