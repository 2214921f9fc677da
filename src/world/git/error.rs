//! Git errors: what can go wrong between this process and a repository, and what a person does next.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Revision;
use crate::world::lease::Deposed;

/// A git operation that did not come to an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The text is not the URL of a repository that can be used.
    #[error("repository url `{url}` cannot be used: {reason}")]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// A file that credentials come from cannot be used.
    #[error("git credentials cannot be read from {from}: {reason}")]
    Credentials {
        /// The file or environment variable.
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The remote does not let us in.
    #[error("access to {url} is denied ({with}): {detail}")]
    Denied {
        /// The repository.
        url: String,
        /// Which credentials were presented, and where they came from.
        with: String,
        /// What the remote said.
        detail: String,
    },
    /// The remote says that there is no such repository.
    #[error("repository {url} is not found ({with}): {detail}")]
    NotFound {
        /// The repository.
        url: String,
        /// Which credentials were presented: hosts answer "not found" to those who may not look.
        with: String,
        /// What the remote said.
        detail: String,
    },
    /// The host's key is unknown, or not the one that is known.
    #[error("host key of {host} is not trusted: {detail}; {next}")]
    HostKey {
        /// The host.
        host: String,
        /// What ssh said.
        detail: String,
        /// The command that mends it.
        next: String,
    },
    /// No connection, or one that broke.
    #[error("{url} cannot be reached: {detail}")]
    Unreachable {
        /// The repository.
        url: String,
        /// What failed, from the name lookup to the last byte.
        detail: String,
    },
    /// The deadline came first, or the remote fell silent for so long.
    #[error("{url} gave no complete answer within {} s", .after.as_secs_f32().ceil())]
    TimedOut {
        /// The repository.
        url: String,
        /// How long the operation was given.
        after: Duration,
    },
    /// The caller cancelled.
    #[error("the git operation was cancelled")]
    Cancelled,
    /// The remote answered, but not in git's protocol, or with damaged data.
    #[error("{url} gave an answer that cannot be understood: {detail}")]
    Protocol {
        /// The repository.
        url: String,
        /// What was wrong with it.
        detail: String,
    },
    /// The remote has branches, but not this one.
    #[error("branch `{branch}` does not exist in {url}; it has {}", names(.existing))]
    NoBranch {
        /// The repository.
        url: String,
        /// The branch that was asked for.
        branch: String,
        /// Branches that do exist (at most ten).
        existing: Vec<String>,
    },
    /// The remote has no commit at all.
    #[error("repository {url} is empty; push a first commit to branch `{branch}`")]
    Empty {
        /// The repository.
        url: String,
        /// The branch that was asked for.
        branch: String,
    },
    /// The local clone, a cache, cannot be made or used.
    #[error("git cache {} cannot be used: {detail}", .path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What failed.
        detail: String,
    },
    /// The local clone takes no more: the disk or a quota is full, or it is read only.
    #[error("what {url} sent cannot be kept: {detail}; make room, or name another directory by --cache-dir")]
    NoRoom {
        /// The repository.
        url: String,
        /// The file and what the system said.
        detail: String,
    },
    /// Another process kept the local clone locked until the deadline.
    #[error("git cache {} is in use by another process", .path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// An object of the repository cannot be read from the local clone.
    #[error("{what} cannot be read: {detail}")]
    Object {
        /// The commit or tree.
        what: String,
        /// Why.
        detail: String,
    },
    /// The edit cannot be laid over the commit.
    #[error("`{path}` cannot be written: {reason}")]
    Edit {
        /// The path in the repository.
        path: String,
        /// What stands in the way.
        reason: String,
    },
    /// The directory is no git working copy, or one without what is needed.
    #[error("{}: {reason}", .dir.display())]
    Local {
        /// The directory.
        dir: PathBuf,
        /// What is missing, and how to add it.
        reason: String,
    },
}

/// A push that did not move the branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Somebody else moved the branch: fetch, decide again, and push on top of the new tip.
    #[error("the branch moved to {} since it was read", tip_name(.tip.as_ref()))]
    Moved {
        /// Where the branch stands now; `None` when it is gone.
        tip: Option<Revision>,
    },
    /// The remote refused this very commit: a hook, a protected branch, a quota.
    #[error("the push was refused: {reason}{}", said(.messages))]
    Rejected {
        /// The reason of git's status report, with advice where we know any.
        reason: String,
        /// What hooks printed, line by line.
        messages: Vec<String>,
    },
    /// The credentials do not allow writing.
    #[error("the push was denied")]
    Denied(#[source] GitError),
    /// The remote could not be asked, or not asked again after the connection broke. The push may still take
    /// effect: whoever retries must fetch first, and will then find either state.
    #[error("the push was not confirmed")]
    Unreachable(#[source] GitError),
    /// The commit would have touched paths that it must not touch. Nothing was sent.
    #[error("refusing to push: {} outside `{allowed}`", names(.paths))]
    Outside {
        /// The paths.
        paths: Vec<String>,
        /// The directory that may be written.
        allowed: String,
    },
    /// This process does not lead any more. Nothing was sent.
    #[error(transparent)]
    Deposed(#[from] Deposed),
    /// The commit could not be made. Nothing was sent.
    #[error("the commit could not be made")]
    Commit(#[source] GitError),
}

// === impl GitError ===

impl GitError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Protocol { .. }
            | Self::NoRoom { .. }
            | Self::Busy { .. } => true,
            Self::Url { .. }
            | Self::Credentials { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::HostKey { .. }
            | Self::Cancelled
            | Self::NoBranch { .. }
            | Self::Empty { .. }
            | Self::Cache { .. }
            | Self::Object { .. }
            | Self::Edit { .. }
            | Self::Local { .. } => false,
        }
    }
}

// === impl PushError ===

impl PushError {
    /// Whether a new attempt, on a freshly fetched tip, may succeed without anybody doing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Moved { .. } | Self::Unreachable(_) => true,
            Self::Rejected { .. } | Self::Denied(_) | Self::Outside { .. } | Self::Deposed(_) => false,
            Self::Commit(error) => error.retryable(),
        }
    }

    /// Sorts an error of the connection into the two kinds a caller tells apart.
    pub(super) fn of_connection(error: GitError) -> Self {
        match error {
            GitError::Denied { .. } | GitError::NotFound { .. } | GitError::HostKey { .. } => {
                Self::Denied(error)
            }
            GitError::Url { .. } | GitError::Credentials { .. } => Self::Denied(error),
            other => Self::Unreachable(other),
        }
    }
}

fn names(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn tip_name(tip: Option<&Revision>) -> &str {
    tip.map_or("nowhere (it was deleted)", Revision::short)
}

fn said(messages: &[String]) -> String {
    if messages.is_empty() {
        String::new()
    } else {
        format!(" (the remote says: {})", messages.join(" / "))
    }
}

/// Whether an error, or one of its causes, is that a file takes no more.
pub(super) fn is_of_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let is_full = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        kind.is_some_and(|kind| {
            matches!(
                kind,
                FileTooLarge | QuotaExceeded | ReadOnlyFilesystem | StorageFull
            )
        })
    };
    std::iter::successors(Some(error), |error| error.source()).any(is_full)
}

/// An error and its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Wrappers often repeat what they wrap.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
