//! Rollback by itself: a promotion whose rollout failed is taken back, as a person would do it.

use super::Shared;
use super::board::last_change;
use super::orders::{Back, OrderError, back, evidence_of, now};
use crate::model::{EnvName, Revision};
use crate::source::Snapshot;
use crate::world::git::{GitError, PushError};
use crate::world::remote::Remote;
use crate::world::write_back::{Draft, Plan, Written};

/// How far back the last change is looked for.
const HISTORY_LIMIT: usize = 10_000;

/// What becomes of the wish to roll back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolledBack {
    /// It is on the branch, as this commit.
    Pushed(Revision),
    /// Nothing is to be taken back; the text says why.
    Left(String),
}

/// Takes the last promotion to an environment back, because its rollout failed for `why`.
///
/// It is taken back only if it is what last changed the environment's directory: what a person committed since is theirs
/// to mend.
///
/// # Errors
///
/// When there is nothing to go back to, git cannot be read, or the push is refused.
pub async fn take_back(
    shared: &Shared,
    name: &EnvName,
    dir: &str,
    why: &str,
    on_conflict: impl Fn(&PushError),
) -> Result<RolledBack, OrderError> {
    let reason = &format!("the rollout failed: {why}");
    let plan = |tip: Snapshot| async move {
        if !is_promotion_last(&shared.remote, &tip, dir).await? {
            let left = format!("somebody changed {dir} since the promotion");
            return Ok::<_, OrderError>(Plan::Leave(left));
        }
        let wanted = Back {
            environment: name,
            to: None,
            reason,
            by: &shared.identity.name,
            now: now(),
        };
        let wish = back(&shared.remote, &tip, wanted).await?;
        Ok(Plan::Commit(Draft {
            dir: wish.dir,
            edit: wish.edit,
            message: wish.message,
        }))
    };
    Ok(match shared.writer().write_back(on_conflict, plan).await? {
        Written::Pushed(revision) => RolledBack::Pushed(revision),
        Written::Unchanged => RolledBack::Left("it is as it was before the promotion".to_owned()),
        Written::Left(why) => RolledBack::Left(why),
    })
}

/// Whether the last commit that changed a directory was a promotion.
async fn is_promotion_last(remote: &Remote, tip: &Snapshot, dir: &str) -> Result<bool, GitError> {
    let history = remote.history(tip.revision(), None, HISTORY_LIMIT).await?;
    let last = last_change(remote, &history, dir, HISTORY_LIMIT).await?;
    Ok(last.and_then(evidence_of).is_some())
}
