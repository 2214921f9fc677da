//! Pass error: why a pass did not come to an end, and what a person can do about it.

use crate::model::EnvName;
use crate::problem::{Problem, Problems, chain, plural};
use crate::reconcile::feed::HeadError;
use crate::reconcile::gate::GateError;
use crate::world::cluster::ClusterError;
use crate::world::cluster::connect::ConnectError;
use crate::world::git::GitError;

/// Why a pass did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No client can be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster did not do what was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Git did not give what was asked.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A commit cannot be used.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The overlay is wrong, and there is no earlier state to go on from.
    #[error("{0}")]
    Render(Problems),
    /// A gate did not come to an end.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Git does not hold the environment.
    #[error("git holds no environment `{0}`")]
    Unknown(EnvName),
}

// === impl PassError ===

impl PassError {
    /// Whether the same pass may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cluster(error) => error.is_transient(),
            Self::Git(error) | Self::Head(HeadError::Git(error)) => error.retryable(),
            Self::Gate(_) => true,
            Self::Connect(_) | Self::Head(_) | Self::Render(_) | Self::Unknown(_) => false,
        }
    }

    /// What to do next, where that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect(error) => Some(error.hint()),
            Self::Cluster(error) => error.hint(),
            _ => None,
        }
    }
}

/// Everything that is wrong, as far as the error holds single problems.
#[must_use]
pub fn problems_of(error: &PassError) -> Vec<Problem> {
    match error {
        PassError::Render(problems)
        | PassError::Cluster(ClusterError::Objects(problems))
        | PassError::Head(HeadError::Config { problems, .. }) => problems.0.clone(),
        _ => Vec::new(),
    }
}

/// One sentence for an error whose problems are told beside it.
#[must_use]
pub fn summary(error: &PassError) -> String {
    let problems = problems_of(error);
    match (error, problems.len()) {
        (_, 0) => chain(error),
        (PassError::Cluster(_), count) => format!(
            "the cluster refuses {}; nothing was applied",
            plural(count, "object field")
        ),
        (_, count) => format!("git holds {}; nothing was applied", plural(count, "problem")),
    }
}
