//! Git: a branch of a repository, read without a checkout and written by compare-and-swap.
//!
//! All calls block, and are meant for `spawn_blocking`; each takes [`Bounds`] and ends by them, whatever the
//! other side does. Reading goes through a bare clone that is only a cache. Writing makes one commit out of an
//! edit, proves what it touches, and asks the remote to move the branch from the commit that the edit was decided
//! on; nothing is ever forced.
//!
//! ```text
//!   poll ──▶ one ls-refs        fetch ──▶ cache ──▶ Snapshot (files from the object database)
//!   commit_and_push ──▶ blob, trees, commit ──▶ "from <base> to <new>" ──▶ Pushed
//!                                                          └─ Moved / Rejected / Denied / Unreachable
//! ```

mod bounds;
mod cache;
mod commit;
mod credentials;
mod error;
mod fetch;
mod history;
mod http;
mod link;
mod local;
mod process;
mod push;
mod seed;
#[cfg(test)]
mod tests;
mod tree;
mod url;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gix::ObjectId;
use tokio_util::sync::CancellationToken;

pub use bounds::Bounds;
pub use commit::Identity;
pub use credentials::{Basic, Credentials, SecretSource, SshKey};
pub use error::{GitError, PushError};
pub use history::Commit;
pub use local::{WorkTree, WorkingCopy};
pub use url::RepositoryUrl;

use crate::model::{CommitMessage, Edit, Revision};
use crate::source::Snapshot;
use cache::{Cache, Lock};
use link::{Endpoint, Session};
use push::Attempt;

/// After a push that got no answer, the remote is asked what became of it; this may take so much longer than
/// the deadline.
const ASKING: Duration = Duration::from_secs(10);

/// Which branch of which repository, and how to get at it.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The repository.
    pub url: RepositoryUrl,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The directory that holds the clones; by default `$XDG_CACHE_HOME/gitsync`, else `~/.cache/gitsync`.
    pub cache: Option<PathBuf>,
    /// What to authenticate with.
    pub read: Credentials,
    /// What to authenticate with for pushing, if that is another account.
    pub write: Option<Credentials>,
    /// Certificates, in PEM, of authorities that are trusted besides the system's own.
    pub ca_file: Option<PathBuf>,
    /// The ssh command line, as in `GIT_SSH_COMMAND`; by default `ssh`.
    pub ssh_command: Option<OsString>,
    /// Whether passwords may be sent over plain http to other machines than this one.
    pub insecure_http: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
}

/// One branch of one repository.
pub struct Git {
    read: Endpoint,
    write: Endpoint,
    branch: String,
    cache: Cache,
    /// Whether this process has seen that the clone is whole, and nothing since that speaks against it.
    checked: AtomicBool,
}

/// What a fetch found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The tip of the branch.
    pub revision: Revision,
    /// The tip at the fetch before, by this or another process with the same cache.
    pub previous: Option<Revision>,
    /// Whether somebody rewrote the history: the new tip does not contain the previous one.
    pub rewritten: bool,
}

/// A commit that is on the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The commit.
    pub revision: Revision,
    /// What the remote's hooks said, line by line.
    pub messages: Vec<String>,
}

// === impl GitOptions ===

impl GitOptions {
    /// The branch of a repository that needs no credentials but ssh's own; `GIT_SSH_COMMAND` is honoured.
    #[must_use]
    pub fn new(url: RepositoryUrl, branch: impl Into<String>) -> Self {
        Self {
            url,
            branch: branch.into(),
            cache: None,
            read: Credentials::default(),
            write: None,
            ca_file: None,
            ssh_command: std::env::var_os("GIT_SSH_COMMAND").filter(|command| !command.is_empty()),
            insecure_http: false,
            connect_timeout: Duration::from_secs(10),
        }
    }

    fn endpoint(&self, credentials: &Credentials) -> Endpoint {
        Endpoint {
            url: self.url.clone(),
            credentials: credentials.clone(),
            ca_file: self.ca_file.clone(),
            ssh_command: self.ssh_command.clone(),
            insecure_http: self.insecure_http,
            connect_timeout: self.connect_timeout,
        }
    }

    /// Refuses a branch that is none, and an ssh command that turns the check of host keys off.
    fn check(&self) -> Result<(), GitError> {
        let wrong = |reason: String| GitError::Url {
            url: self.url.to_string(),
            reason,
        };
        let name = fetch::full_name(&self.branch);
        if gix::refs::FullName::try_from(name.as_str()).is_err() {
            return Err(wrong(format!("`{}` is not the name of a branch", self.branch)));
        }
        let command = self
            .ssh_command
            .as_ref()
            .map(|command| command.to_string_lossy().to_lowercase());
        if command.is_some_and(|command| command.contains("stricthostkeychecking")) {
            let reason =
                "the ssh command sets StrictHostKeyChecking; host keys are always checked, so leave it out";
            return Err(wrong(reason.to_owned()));
        }
        Ok(())
    }
}

// === impl Git ===

impl Git {
    /// Opens the branch's clone in the cache, and makes an empty one if there is none. Asks the remote nothing.
    ///
    /// # Errors
    ///
    /// When the options cannot be used or the cache directory cannot be written.
    pub fn open(options: &GitOptions) -> Result<Self, GitError> {
        options.check()?;
        Ok(Self {
            read: options.endpoint(&options.read),
            write: options.endpoint(options.write.as_ref().unwrap_or(&options.read)),
            branch: options.branch.clone(),
            cache: Cache::open(options.cache.as_deref(), &options.url)?,
            checked: AtomicBool::new(false),
        })
    }

    /// Finds the working copy that a directory belongs to, for commands that are run by hand.
    ///
    /// # Errors
    ///
    /// When the directory is in none.
    pub fn discover(dir: &Path) -> Result<WorkingCopy, GitError> {
        local::discover(dir)
    }

    /// Makes a bare repository of one branch with one commit, which holds the files of an edit.
    ///
    /// # Errors
    ///
    /// When the directory exists and is not empty, or cannot be written.
    pub fn seed(
        dir: &Path,
        branch: &str,
        edit: &Edit,
        message: &CommitMessage,
        identity: &Identity,
    ) -> Result<Revision, GitError> {
        seed::seed(dir, branch, edit, message, identity)
    }

    /// The repository, without secrets.
    #[must_use]
    pub fn url(&self) -> &RepositoryUrl {
        &self.read.url
    }

    /// The branch.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The tip of the branch if it is another than at the last [`fetch`](Self::fetch), by one `ls-refs`.
    ///
    /// # Errors
    ///
    /// When the remote cannot be asked or has no such branch.
    pub fn poll(&self, bounds: &Bounds) -> Result<Option<Revision>, GitError> {
        let session = Session::start(&self.read, bounds)?;
        let Some(tip) = fetch::tip(&session, &self.branch)? else {
            return Err(fetch::no_branch(&session, &self.branch));
        };
        let repository = self.cache.repository();
        let known = self.known_tip(&repository) == Some(tip) && repository.has_object(tip);
        Ok((!known).then(|| history::revision(tip)))
    }

    /// The tip at the last fetch, by this or another process with the same cache. Nothing is asked for it.
    #[must_use]
    pub fn fetched(&self) -> Option<Revision> {
        self.known_tip(&self.cache.repository()).map(history::revision)
    }

    /// Brings the branch's tip, and what it needs, into the cache. The time of the bounds is that of each silence of the
    /// remote; the whole may take an hour.
    ///
    /// # Errors
    ///
    /// When the remote cannot be asked, has no such branch, or gives damaged data.
    pub fn fetch(&self, bounds: &Bounds) -> Result<Fetched, GitError> {
        let session = Session::start(&self.read, &bounds.patient())?;
        let lock = self.cache.lock(&self.read.url, bounds)?;
        let repository = self.cache.repository();
        let previous = self.known_tip(&repository);
        match self.fetch_into(&repository, &session) {
            Ok(tip) if self.is_whole(&repository, tip) => Ok(fetched(&repository, tip, previous)),
            // A cache is no evidence: what is damaged is thrown away and fetched anew, once.
            Ok(_) => self.fetch_anew(&session, &lock, previous),
            Err(GitError::Protocol { .. }) if !self.is_sound(&repository, previous) => {
                self.fetch_anew(&session, &lock, previous)
            }
            Err(error) => Err(error),
        }
    }

    /// The files of a commit that was fetched or pushed.
    ///
    /// # Errors
    ///
    /// When the cache has no such commit: fetch first; if that brings it not, nobody refers to it any more.
    pub fn snapshot(&self, revision: &Revision) -> Result<Snapshot, GitError> {
        tree::snapshot(self.cache.repository(), revision).inspect_err(|_| {
            self.checked.store(false, Ordering::Relaxed);
        })
    }

    /// Commits an edit on top of `base` and moves the remote branch from `base` to the new commit.
    ///
    /// `None` means that the edit changes nothing, and nothing was sent. `allowed` is the directory below which
    /// alone the commit may change anything, for example `environments/prod`. Once the request is sent it cannot
    /// be cancelled; when no answer comes until the deadline, the remote is asked what became of it, for at most
    /// ten seconds more.
    ///
    /// # Errors
    ///
    /// When the branch does not contain the commit afterwards, or that is not known.
    pub fn commit_and_push(
        &self,
        base: &Revision,
        edit: &Edit,
        message: &CommitMessage,
        identity: &Identity,
        allowed: &str,
        bounds: &Bounds,
    ) -> Result<Option<Pushed>, PushError> {
        let repository = self.cache.repository();
        let made = commit::make(&repository, base, edit, message, identity).map_err(PushError::Commit)?;
        let Some(commit) = made else { return Ok(None) };
        commit.stays_below(allowed)?;
        let expected = history::object_id(base).map_err(PushError::Commit)?;
        let session = Session::start(&self.write, bounds).map_err(PushError::Unreachable)?;
        let attempt = push::attempt(&session, &repository, &self.branch, expected, &commit);
        let revision = history::revision(commit.id);
        match attempt.map_err(PushError::of_connection)? {
            Attempt::Accepted(messages) => Ok(Some(Pushed { revision, messages })),
            Attempt::Stale(tip) => Err(PushError::Moved {
                tip: tip.map(history::revision),
            }),
            Attempt::Refused { reason, messages } => Err(self.after_refusal(expected, reason, messages)),
            Attempt::Unanswered(error) => self.after_silence(expected, revision, error).map(Some),
        }
    }

    /// The newest `limit` commits that `from` contains and `stop_at` does not, newest first.
    ///
    /// # Errors
    ///
    /// When a commit is not in the cache.
    pub fn history(
        &self,
        from: &Revision,
        stop_at: Option<&Revision>,
        limit: usize,
    ) -> Result<Vec<Commit>, GitError> {
        history::history(&self.cache.repository(), from, stop_at, limit)
    }

    /// Whether `ancestor` is `descendant` or a commit below it.
    ///
    /// # Errors
    ///
    /// When one of them is not in the cache.
    pub fn is_ancestor(&self, ancestor: &Revision, descendant: &Revision) -> Result<bool, GitError> {
        history::is_ancestor(&self.cache.repository(), ancestor, descendant)
    }

    fn fetch_into(&self, repository: &gix::Repository, session: &Session<'_>) -> Result<ObjectId, GitError> {
        let tip = fetch::receive(repository, session, &self.branch)?;
        self.cache.reopen()?;
        tip.ok_or_else(|| fetch::no_branch(session, &self.branch))
    }

    fn fetch_anew(
        &self,
        session: &Session<'_>,
        lock: &Lock,
        previous: Option<ObjectId>,
    ) -> Result<Fetched, GitError> {
        let repository = self.cache.rebuild(lock)?;
        let tip = self.fetch_into(&repository, session)?;
        if !self.is_whole(&repository, tip) {
            let (what, detail) = (
                format!("commit {tip}"),
                "the remote sent no complete copy of it".to_owned(),
            );
            return Err(GitError::Object { what, detail });
        }
        Ok(fetched(&repository, tip, previous))
    }

    /// Whether everything that a tip needs is in the clone: looked at once, and again after a failure to read.
    fn is_whole(&self, repository: &gix::Repository, tip: ObjectId) -> bool {
        if !self.checked.load(Ordering::Relaxed) {
            let whole = tree::is_whole(repository, tip);
            self.checked.store(whole, Ordering::Relaxed);
            return whole;
        }
        true
    }

    fn is_sound(&self, repository: &gix::Repository, previous: Option<ObjectId>) -> bool {
        previous.is_none_or(|tip| tree::is_whole(repository, tip))
    }

    /// The tip of the last fetch.
    fn known_tip(&self, repository: &gix::Repository) -> Option<ObjectId> {
        let name = fetch::tracking_name(&self.branch);
        let reference = repository.try_find_reference(name.as_str()).ok().flatten()?;
        reference.try_id().map(gix::Id::detach)
    }

    /// After a refusal the tip decides what it means, not the text of the reason.
    fn after_refusal(&self, expected: ObjectId, reason: String, messages: Vec<String>) -> PushError {
        match self.ask_tip() {
            Ok(tip) if tip != Some(expected) => PushError::Moved {
                tip: tip.map(history::revision),
            },
            Ok(_) | Err(_) => PushError::Rejected {
                reason: advise(reason, &self.branch),
                messages,
            },
        }
    }

    /// After silence the tip says whether the push took effect.
    fn after_silence(
        &self,
        expected: ObjectId,
        revision: Revision,
        error: GitError,
    ) -> Result<Pushed, PushError> {
        let tip = match self.ask_tip() {
            Ok(Some(tip)) => tip,
            Ok(None) => return Err(PushError::Moved { tip: None }),
            Err(_) => return Err(PushError::Unreachable(error)),
        };
        if tip == expected {
            return Err(PushError::Unreachable(error));
        }
        let tip = history::revision(tip);
        let landed = tip == revision || self.landed_below(&revision, &tip);
        if landed {
            Ok(Pushed {
                revision,
                messages: Vec::new(),
            })
        } else {
            Err(PushError::Moved { tip: Some(tip) })
        }
    }

    /// Whether somebody pushed on top of ours before we could look.
    fn landed_below(&self, revision: &Revision, tip: &Revision) -> bool {
        let bounds = Bounds::new(ASKING, CancellationToken::new());
        self.fetch(&bounds).is_ok() && self.is_ancestor(revision, tip).unwrap_or(false)
    }

    fn ask_tip(&self) -> Result<Option<ObjectId>, GitError> {
        let session = Session::start(&self.write, &Bounds::new(ASKING, CancellationToken::new()))?;
        push::advertised(&session, &self.branch)
    }
}

fn fetched(repository: &gix::Repository, tip: ObjectId, previous: Option<ObjectId>) -> Fetched {
    let revision = history::revision(tip);
    let previous = previous.map(history::revision);
    // A previous tip that cannot be read went with a damaged cache, and says nothing.
    let rewritten = previous
        .as_ref()
        .is_some_and(|previous| !history::is_ancestor(repository, previous, &revision).unwrap_or(true));
    Fetched {
        revision,
        previous,
        rewritten,
    }
}

/// Adds to git's reason what to do, where that is known.
fn advise(reason: String, branch: &str) -> String {
    if reason.contains("currently checked out") {
        return format!(
            "{reason}; the repository has a working copy with `{branch}` in it: push to a bare repository, or run \
             `git config receive.denyCurrentBranch updateInstead` there"
        );
    }
    reason
}
