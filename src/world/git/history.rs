//! History: commits and how they descend from each other.

use std::time::{Duration, SystemTime};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;

use super::error::GitError;
use crate::model::Revision;

/// A commit, as far as the audit trail is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub revision: Revision,
    /// Who wrote it: `name <email>`.
    pub author: String,
    /// When it was committed.
    pub time: SystemTime,
    /// The first line of its message.
    pub subject: String,
    /// The `Key: value` lines at the end of its message, in order.
    pub trailers: Vec<(String, String)>,
}

/// The newest `limit` commits that `from` contains and `stop_at` does not, newest first.
pub(super) fn history(
    repository: &gix::Repository,
    from: &Revision,
    stop_at: Option<&Revision>,
    limit: usize,
) -> Result<Vec<Commit>, GitError> {
    let wrong = |error: gix::Error| unreadable(from, &error);
    let newest_first = gix::revision::walk::Sorting::ByCommitTime(Default::default());
    let mut walk = repository.rev_walk([object_id(from)?]).sorting(newest_first);
    if let Some(stop_at) = stop_at {
        walk = walk.with_hidden([object_id(stop_at)?]);
    }
    let mut commits = Vec::new();
    for info in walk.all().map_err(wrong)?.take(limit) {
        let info = info.map_err(|error| unreadable(from, &error))?;
        commits.push(read(repository, info.id)?);
    }
    Ok(commits)
}

/// Whether `ancestor` is `descendant` or one of the commits below it.
pub(super) fn is_ancestor(
    repository: &gix::Repository,
    ancestor: &Revision,
    descendant: &Revision,
) -> Result<bool, GitError> {
    let (one, two) = (object_id(ancestor)?, object_id(descendant)?);
    for (id, revision) in [(one, ancestor), (two, descendant)] {
        repository
            .find_commit(id)
            .map_err(|error| unreadable(revision, &error))?;
    }
    match repository.merge_base(one, two) {
        Ok(base) => Ok(base.is_some_and(|base| base.detach() == one)),
        Err(error) => Err(unreadable(descendant, &error)),
    }
}

fn read(repository: &gix::Repository, id: ObjectId) -> Result<Commit, GitError> {
    let revision = revision(id);
    let damaged = |error: &dyn std::fmt::Display| unreadable(&revision, error);
    let commit = repository.find_commit(id).map_err(|error| damaged(&error))?;
    let decoded = commit.decode().map_err(|error| damaged(&error))?;
    let author = decoded.author().map_err(|error| damaged(&error))?;
    let time = commit.time().map_err(|error| damaged(&error))?.seconds;
    let message = decoded.message();
    let text = |bytes: &gix::bstr::BStr| bytes.trim().to_str_lossy().into_owned();
    let trailers = message.body().map(|body| {
        body.trailers()
            .map(|trailer| (text(trailer.token), text(&trailer.value)))
            .collect()
    });
    Ok(Commit {
        author: format!("{} <{}>", text(author.name), text(author.email)),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0)),
        subject: text(&message.summary()),
        trailers: trailers.unwrap_or_default(),
        revision,
    })
}

/// The tree of a commit.
pub(super) fn root(repository: &gix::Repository, revision: &Revision) -> Result<ObjectId, GitError> {
    let wrong = |error: gix::Error| unreadable(revision, &error);
    let commit = repository.find_commit(object_id(revision)?).map_err(wrong)?;
    Ok(commit.tree_id().map_err(wrong)?.detach())
}

/// The id of a revision in gix's terms.
pub(super) fn object_id(revision: &Revision) -> Result<ObjectId, GitError> {
    ObjectId::from_hex(revision.as_str().as_bytes()).map_err(|error| unreadable(revision, &error))
}

/// The revision that an id names.
pub(super) fn revision(id: ObjectId) -> Revision {
    id.to_string().parse().expect("because git's ids are hexadecimal")
}

pub(super) fn unreadable(revision: &Revision, error: &(impl std::fmt::Display + ?Sized)) -> GitError {
    GitError::Object {
        what: format!("commit {}", revision.short()),
        detail: error.to_string(),
    }
}
