//! Working copy: the checkout that a person stands in, for commands that are run by hand.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;
use kustomize::{Files, FilesError, Kind};

use super::commit::Identity;
use super::error::GitError;
use super::history;
use crate::model::Revision;
use crate::source::Tree;

/// A checkout with what its configuration says.
#[derive(Debug, Clone)]
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
}

/// The files of a working copy as they are on disk, uncommitted changes included.
#[derive(Debug, Clone)]
pub struct WorkTree {
    root: PathBuf,
}

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
    Ok(WorkingCopy {
        root,
        origin: url.map(|url| url.to_bstring().to_string()),
        branch: head_name.map(|name| name.shorten().to_str_lossy().into_owned()),
        head: repository.head_id().ok().map(|id| history::revision(id.detach())),
        identity: value("user.name")
            .zip(value("user.email"))
            .map(|(name, email)| Identity { name, email }),
    })
}

// === impl WorkingCopy ===

impl WorkingCopy {
    /// The files on disk.
    #[must_use]
    pub fn files(&self) -> WorkTree {
        WorkTree {
            root: self.root.clone(),
        }
    }
}

// === impl WorkTree ===

impl WorkTree {
    /// The files below a directory.
    ///
    /// # Errors
    ///
    /// When there is no such directory.
    pub fn new(root: &Path) -> std::io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    /// The real place of a path, if it is inside the tree.
    fn resolve(&self, path: &str) -> Result<PathBuf, FilesError> {
        let unreadable = |reason: String| FilesError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let full = self
            .root
            .join(path.trim_matches('/'))
            .canonicalize()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => FilesError::NotFound {
                    path: path.to_owned(),
                },
                _ => unreadable(error.to_string()),
            })?;
        match full.strip_prefix(&self.root) {
            Ok(inside) if inside.starts_with(".git") => Err(FilesError::NotFound {
                path: path.to_owned(),
            }),
            Ok(_) => Ok(full),
            Err(_) => Err(unreadable("it leads out of the repository".to_owned())),
        }
    }
}

impl Tree for WorkTree {
    /// Files on disk may change at any time, so that nothing can be said of them.
    fn tree_id(&self, _path: &str) -> Option<String> {
        None
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let entries = self.resolve(directory).and_then(|full| {
            std::fs::read_dir(full).map_err(|error| FilesError::Unreadable {
                path: directory.to_owned(),
                reason: error.to_string(),
            })
        });
        let names = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }
}

impl Files for WorkTree {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        let full = self.resolve(path)?;
        let content = std::fs::read(full);
        content.map(Cow::Owned).map_err(|error| FilesError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let full = self.resolve(path).ok()?;
        Some(if full.is_dir() { Kind::Dir } else { Kind::File })
    }
}
