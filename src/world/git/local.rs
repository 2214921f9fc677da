//! Working copy: the checkout that a person stands in, for commands that are run by hand.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::bstr::ByteSlice as _;
use kustomize::{DirFiles, Files, FilesError, Kind};

use super::commit::Identity;
use super::error::GitError;
use super::history::Commit;
use super::{history, tree};
use crate::model::Revision;
use crate::source::{Snapshot, Tree};

/// A checkout with what its configuration says.
#[derive(Clone)]
pub struct WorkingCopy {
    /// The top directory.
    pub root: PathBuf,
    /// The URL that the current branch is fetched from, or `origin`'s.
    pub origin: Option<String>,
    /// The current branch; `None` when a commit is checked out by itself.
    pub branch: Option<String>,
    /// The commit that is checked out; `None` before the first one.
    pub head: Option<Revision>,
    /// `user.name` and `user.email`, when both are set.
    pub identity: Option<Identity>,
    /// Opened once: that reads configuration and references, and takes as long as a small commit.
    repository: Arc<gix::ThreadSafeRepository>,
}

/// The files of a working copy as they are on disk, uncommitted changes included.
#[derive(Debug, Clone)]
pub struct WorkTree(DirFiles);

/// Finds the working copy that a directory belongs to.
pub(super) fn discover(dir: &Path) -> Result<WorkingCopy, GitError> {
    let wrong = |reason: String| GitError::Local {
        dir: dir.to_owned(),
        reason,
    };
    let repository = gix::discover(dir).map_err(|error| {
        wrong(format!(
            "it is not inside a git repository ({error}); run `git init`, or name the repository's url"
        ))
    })?;
    let root = repository
        .workdir()
        .ok_or_else(|| wrong("the repository has no working copy".to_owned()))?;
    let root = root.canonicalize().map_err(|error| wrong(error.to_string()))?;
    let head_name = repository.head_name().map_err(|error| wrong(error.to_string()))?;
    let remote = repository.find_fetch_remote(None).ok();
    let url = remote
        .as_ref()
        .and_then(|remote| remote.url(gix::remote::Direction::Fetch));
    let config = repository.config_snapshot();
    let value = |key: &str| {
        config
            .string(key)
            .map(|value| value.to_str_lossy().trim().to_owned())
    };
    let origin = url.map(|url| url.to_bstring().to_string());
    let identity = value("user.name")
        .zip(value("user.email"))
        .map(|(name, email)| Identity { name, email });
    Ok(WorkingCopy {
        root,
        origin,
        branch: head_name.map(|name| name.shorten().to_str_lossy().into_owned()),
        head: repository.head_id().ok().map(|id| history::revision(id.detach())),
        identity,
        repository: Arc::new(repository.into_sync()),
    })
}

// === impl WorkingCopy ===

impl WorkingCopy {
    /// The files as they are on disk, uncommitted changes included.
    ///
    /// # Errors
    ///
    /// When the directory has gone.
    pub fn files(&self) -> Result<WorkTree, FilesError> {
        DirFiles::new(&self.root).map(WorkTree)
    }

    /// The commit that a name stands for, as `git rev-parse` takes it: a branch, a tag, `HEAD~1`, the beginning of an id.
    ///
    /// # Errors
    ///
    /// When it stands for none.
    pub fn resolve(&self, name: &str) -> Result<Revision, GitError> {
        let wrong = |reason: String| GitError::Local {
            dir: self.root.clone(),
            reason,
        };
        let repository = self.repository.to_thread_local();
        // `rev^{commit}` is the commit that a tag is about.
        let found = repository.rev_parse_single(format!("{name}^{{commit}}").as_str());
        let id = found.map_err(|error| wrong(format!("`{name}` stands for no commit: {error}")))?;
        Ok(history::revision(id.detach()))
    }

    /// The commit at which two names' histories part.
    ///
    /// # Errors
    ///
    /// When one of them stands for no commit, or they have nothing in common.
    pub fn merge_base(&self, one: &str, two: &str) -> Result<Revision, GitError> {
        let wrong = |reason: String| GitError::Local {
            dir: self.root.clone(),
            reason,
        };
        let ids = (self.resolve(one)?, self.resolve(two)?);
        let repository = self.repository.to_thread_local();
        let base = repository.merge_base(history::object_id(&ids.0)?, history::object_id(&ids.1)?);
        let base = base.map_err(|error| wrong(error.to_string()))?;
        let none = || {
            wrong(format!(
                "`{one}` and `{two}` have no commit in common here; a shallow clone needs git fetch --unshallow"
            ))
        };
        Ok(history::revision(base.ok_or_else(none)?.detach()))
    }

    /// The newest `limit` commits that `from` contains, newest first.
    ///
    /// # Errors
    ///
    /// When the checkout's repository does not have them.
    pub fn history(&self, from: &Revision, limit: usize) -> Result<Vec<Commit>, GitError> {
        history::history(&self.repository.to_thread_local(), from, None, limit)
    }

    /// The files of a commit that the checkout's repository has.
    ///
    /// # Errors
    ///
    /// When it has no such commit.
    pub fn snapshot(&self, revision: &Revision) -> Result<Snapshot, GitError> {
        tree::snapshot(self.repository.to_thread_local(), revision)
    }
}

// === impl WorkTree ===

impl Files for WorkTree {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        self.0.read(path)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.0.kind(path)
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        self.0.resolve(path)
    }
}

impl Tree for WorkTree {
    /// Files on disk may change at any time, so that nothing can be said of them.
    fn tree_id(&self, _path: &str) -> Option<String> {
        None
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let Ok(inside) = self.0.resolve(directory) else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(self.0.root().join(inside));
        let names = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            // What git keeps there is no part of the tree.
            .filter(|name| name != ".git")
            .collect();
        names.sort_unstable();
        names
    }
}
