//! Write-back: an edit of the branch's tip, pushed; when somebody else was faster, it is made again on the new tip.
//!
//! Whoever writes to git, a promotion or a person's command, writes through here. A plan is asked what it wants of a
//! tip, never of the file that it saw before: so a concurrent commit survives, and trying again is safe.

use std::time::Duration;

use super::git::{GitError, Identity, PushError};
use super::lease::Leader;
use super::remote::Remote;
use crate::model::{CommitMessage, Edit, Revision};
use crate::source::Snapshot;

/// How often a moved branch is tried again.
const TRIES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is wanted of a tip.
#[derive(Debug, Clone)]
pub enum Plan<T> {
    /// A commit; an edit that changes nothing makes none.
    Commit(Draft),
    /// No commit, for a reason of the planner's own.
    Leave(T),
}

/// A commit that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The directory below which alone it may change anything, for example `environments/prod`.
    pub dir: String,
    /// What it changes.
    pub edit: Edit,
    /// What it says.
    pub message: CommitMessage,
}

/// How writing back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<T> {
    /// The commit is on the branch.
    Pushed(Revision),
    /// The tip already is what was wanted.
    Unchanged,
    /// The planner wanted no commit.
    Left(T),
}

/// Who writes to a branch.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The branch.
    pub remote: &'a Remote,
    /// Who commits.
    pub identity: &'a Identity,
    /// The proof that this replica may.
    pub leader: &'a Leader,
}

impl Writer<'_> {
    /// Fetches the tip, asks `plan` what to make of it, pushes that if the leader still leads, and begins again when the branch
    /// moved, which `on_conflict` is told of each time.
    ///
    /// # Errors
    ///
    /// Those of the plan; when the remote cannot be fetched from; when the push is refused, or not confirmed in ten tries.
    pub async fn write_back<T, E, F>(
        self,
        on_conflict: impl Fn(&PushError),
        plan: impl Fn(Snapshot) -> F,
    ) -> Result<Written<T>, E>
    where
        F: Future<Output = Result<Plan<T>, E>>,
        E: From<GitError> + From<PushError>,
    {
        let Self {
            remote,
            identity,
            leader,
        } = self;
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let tip = remote.fetch().await?.revision;
            let draft = match plan(remote.snapshot(&tip).await?).await? {
                Plan::Commit(draft) => draft,
                Plan::Leave(why) => return Ok(Written::Left(why)),
            };
            let Draft { dir, edit, message } = draft;
            match remote
                .commit_and_push(leader, &tip, &edit, &message, identity, &dir)
                .await
            {
                Ok(Some(pushed)) => return Ok(Written::Pushed(pushed.revision)),
                Ok(None) => return Ok(Written::Unchanged),
                Err(error) if error.retryable() && attempt < TRIES => {
                    tracing::info!(%error, attempt, "the commit is tried again on the new tip");
                    if matches!(error, PushError::Moved { .. }) {
                        on_conflict(&error);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
