//! Remote: the repository's branch, awaited. Git's calls block, so each runs on a thread of its own, with a deadline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::git::{Bounds, Commit, Fetched, Git, GitError, Identity, PushError, Pushed};
use super::lease::Leader;
use crate::model::{CommitMessage, Edit, Revision};
use crate::report::metrics::GitRequests;
use crate::source::Snapshot;

/// How long one exchange with the remote may take; of a fetch, how long the remote may be silent.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One branch of one repository. Cloning it costs nothing.
#[derive(Clone)]
pub struct Remote {
    git: Arc<Git>,
    cancel: CancellationToken,
    requests: Requests,
}

/// How often the remote was asked what, how long that took, and how often it came to nothing.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<GitRequests>>);

// === impl Remote ===

impl Remote {
    /// The branch behind `git`; `cancel` ends what is under way, except a push that was sent.
    #[must_use]
    pub fn new(git: Git, cancel: CancellationToken) -> Self {
        Self {
            git: Arc::new(git),
            cancel,
            requests: Requests::default(),
        }
    }

    /// The branch itself.
    #[must_use]
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// What was asked of the remote.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Whether the tip is another than at the last fetch, by one `ls-refs`.
    ///
    /// # Errors
    ///
    /// As [`Git::poll`].
    pub async fn poll(&self) -> Result<Option<Revision>, GitError> {
        let begun = Instant::now();
        let polled = self.blocking(|git, bounds| git.poll(&bounds)).await?;
        self.requests.add("poll", begun, polled.is_err());
        polled
    }

    /// The tip at the last fetch, by this or another process with the same cache.
    ///
    /// # Errors
    ///
    /// When the process shuts down.
    pub async fn fetched(&self) -> Result<Option<Revision>, GitError> {
        self.blocking(|git, _| git.fetched()).await
    }

    /// Brings the tip into the cache.
    ///
    /// # Errors
    ///
    /// As [`Git::fetch`].
    pub async fn fetch(&self) -> Result<Fetched, GitError> {
        let begun = Instant::now();
        let fetched = self.blocking(|git, bounds| git.fetch(&bounds)).await?;
        self.requests.add("fetch", begun, fetched.is_err());
        fetched
    }

    /// The files of a commit.
    ///
    /// # Errors
    ///
    /// As [`Git::snapshot`].
    pub async fn snapshot(&self, revision: &Revision) -> Result<Snapshot, GitError> {
        let revision = revision.clone();
        self.blocking(move |git, _| git.snapshot(&revision)).await?
    }

    /// The commits that `from` contains and `stop_at` does not, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Git::history`].
    pub async fn history(
        &self,
        from: &Revision,
        stop_at: Option<&Revision>,
        limit: usize,
    ) -> Result<Vec<Commit>, GitError> {
        let (from, stop_at) = (from.clone(), stop_at.cloned());
        self.blocking(move |git, _| git.history(&from, stop_at.as_ref(), limit))
            .await?
    }

    /// Whether `ancestor` is `descendant` or a commit below it; both were fetched.
    ///
    /// # Errors
    ///
    /// As [`Git::is_ancestor`].
    pub async fn is_ancestor(&self, ancestor: &Revision, descendant: &Revision) -> Result<bool, GitError> {
        let (ancestor, descendant) = (ancestor.clone(), descendant.clone());
        self.blocking(move |git, _| git.is_ancestor(&ancestor, &descendant))
            .await?
    }

    /// Commits an edit on top of `base` and moves the branch, if it is still there.
    ///
    /// # Errors
    ///
    /// As [`Git::commit_and_push`]; and when `leader` does not lead any more, before anything is sent.
    pub async fn commit_and_push(
        &self,
        leader: &Leader,
        base: &Revision,
        edit: &Edit,
        message: &CommitMessage,
        identity: &Identity,
        allowed: &str,
    ) -> Result<Option<Pushed>, PushError> {
        let (base, edit, message) = (base.clone(), edit.clone(), message.clone());
        let (identity, allowed) = (identity.clone(), allowed.to_owned());
        let push = move |git: &Git, bounds: Bounds| {
            git.commit_and_push(&base, &edit, &message, &identity, &allowed, &bounds)
        };
        // A push that outlives the lease is given up; if it went through all the same, the branch says so.
        let limit = leader.check()?.map_or(TIMEOUT, |left| left.min(TIMEOUT));
        let begun = Instant::now();
        let pushed = self.within(limit, push).await.map_err(PushError::Unreachable)?;
        // An edit that changes nothing is no request.
        if !matches!(pushed, Ok(None)) {
            self.requests.add("push", begun, pushed.is_err());
        }
        if matches!(pushed, Err(PushError::Moved { .. } | PushError::Rejected { .. })) {
            self.requests.lock().rejected += 1;
        }
        pushed
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Git, Bounds) -> T + Send + 'static,
    ) -> Result<T, GitError> {
        self.within(TIMEOUT, work).await
    }

    async fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&Git, Bounds) -> T + Send + 'static,
    ) -> Result<T, GitError> {
        let git = Arc::clone(&self.git);
        let bounds = Bounds::new(limit, self.cancel.clone());
        // The only way to fail is that the process shuts down.
        tokio::task::spawn_blocking(move || work(&git, bounds))
            .await
            .map_err(|_| GitError::Cancelled)
    }
}

// === impl Requests ===

impl Requests {
    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> GitRequests {
        self.lock().clone()
    }

    fn add(&self, operation: &'static str, begun: Instant, failed: bool) {
        let mut counted = self.lock();
        let entry = counted.operations.entry(operation).or_default();
        entry.took.add(begun.elapsed());
        entry.failed += u64::from(failed);
    }

    fn lock(&self) -> MutexGuard<'_, GitRequests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
