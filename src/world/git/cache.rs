//! Cache: the bare clone of a repository that this machine keeps. It may vanish at any time.
//!
//! Several processes may use one clone. Whoever writes to it holds a lock file beside it, which the system
//! releases when a process dies; so a lock file of git's own that is found inside while holding it is a leftover.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::bounds::Bounds;
use super::error::GitError;
use super::url::RepositoryUrl;

/// How often a lock that another process holds is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The place of a clone.
pub(super) struct Cache {
    dir: PathBuf,
    repository: Mutex<gix::ThreadSafeRepository>,
}

/// The right to write to a clone, for as long as it lives.
pub(super) struct Lock(#[expect(dead_code, reason = "dropping the file releases the lock")] File);

// === impl Cache ===

impl Cache {
    /// Opens the clone of a repository, and makes an empty one when there is none or none that can be used.
    pub(super) fn open(root: Option<&Path>, url: &RepositoryUrl) -> Result<Self, GitError> {
        let root = root.map_or_else(default_root, |root| Ok(root.to_owned()))?;
        let dir = root.join(directory_name(url));
        std::fs::create_dir_all(&root).map_err(|error| unusable(&root, &error))?;
        let repository = open(&dir).or_else(|_| rebuild(&dir))?;
        Ok(Self {
            dir,
            repository: Mutex::new(repository.into_sync()),
        })
    }

    /// A handle of this thread's own.
    pub(super) fn repository(&self) -> gix::Repository {
        self.shared().to_thread_local()
    }

    /// Waits for the right to write.
    pub(super) fn lock(&self, url: &RepositoryUrl, bounds: &Bounds) -> Result<Lock, GitError> {
        loop {
            if let Some(lock) = try_lock(&self.dir)? {
                remove_leftovers(&self.dir.join("refs"), &|name| name.ends_with(".lock"));
                remove_leftovers(&self.dir.join("objects/pack"), &|name| name.starts_with(".tmp"));
                return Ok(lock);
            }
            bounds.check(url).map_err(|error| match error {
                GitError::TimedOut { .. } => GitError::Busy {
                    path: self.dir.clone(),
                },
                other => other,
            })?;
            std::thread::sleep(RETRY);
        }
    }

    /// Throws a damaged clone away and begins an empty one. The caller holds the lock.
    pub(super) fn rebuild(&self, _lock: &Lock) -> Result<gix::Repository, GitError> {
        let repository = replace(&self.dir)?;
        *self.shared() = repository.clone().into_sync();
        Ok(repository)
    }

    /// Looks at the disk afresh. A handle has room for the packs that were there when it was opened, and a few
    /// more.
    pub(super) fn reopen(&self) -> Result<gix::Repository, GitError> {
        let repository = open(&self.dir)?;
        *self.shared() = repository.clone().into_sync();
        Ok(repository)
    }

    fn shared(&self) -> MutexGuard<'_, gix::ThreadSafeRepository> {
        self.repository.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `$XDG_CACHE_HOME/gitsync`, or `~/.cache/gitsync`.
fn default_root() -> Result<PathBuf, GitError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("gitsync"))
        .ok_or_else(|| GitError::Cache {
            path: PathBuf::from("gitsync"),
            detail: "neither XDG_CACHE_HOME nor HOME names a directory; name one for the cache".to_owned(),
        })
}

/// A name that a person recognises, and that no two URLs share.
fn directory_name(url: &RepositoryUrl) -> String {
    let shown = url.to_string();
    let digest = Sha256::digest(shown.as_bytes());
    let word = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' || c == '-' {
            c
        } else {
            '_'
        }
    };
    let tail: String = shown
        .rsplit(['/', ':'])
        .find(|part| !part.is_empty())
        .unwrap_or("repository")
        .to_owned();
    let tail: String = tail.trim_end_matches(".git").chars().take(40).map(word).collect();
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{tail}-{hash}.git")
}

fn open(dir: &Path) -> Result<gix::Repository, GitError> {
    // The user's configuration is for the user's repositories; this one is ours.
    let options = gix::open::Options::isolated().with(gix::sec::Trust::Full);
    gix::open_opts(dir, options).map_err(|error| unusable(dir, &error))
}

/// Makes the clone, unless another process is quicker.
fn rebuild(dir: &Path) -> Result<gix::Repository, GitError> {
    // A process that holds the lock for longer than this is fetching into a clone that works.
    for _ in 0..250 {
        if let Some(_lock) = try_lock(dir)? {
            return open(dir).or_else(|_| replace(dir));
        }
        std::thread::sleep(RETRY);
    }
    open(dir)
}

fn replace(dir: &Path) -> Result<gix::Repository, GitError> {
    if dir.exists() {
        // Renamed first: whoever has files of it open keeps them, and nobody sees a half-removed clone.
        let broken = dir.with_extension(format!("broken-{}", std::process::id()));
        std::fs::rename(dir, &broken).map_err(|error| unusable(dir, &error))?;
        std::fs::remove_dir_all(&broken).ok();
    }
    let fresh = dir.with_extension(format!("new-{}", std::process::id()));
    std::fs::remove_dir_all(&fresh).ok();
    gix::init_bare(&fresh).map_err(|error| unusable(dir, &error))?;
    std::fs::rename(&fresh, dir).map_err(|error| unusable(dir, &error))?;
    open(dir)
}

fn try_lock(dir: &Path) -> Result<Option<Lock>, GitError> {
    let path = dir.with_extension("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(|error| unusable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(unusable(&path, &error)),
    }
}

/// Removes lock and temporary files of a process that was killed while it wrote.
fn remove_leftovers(dir: &Path, is_leftover: &dyn Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.filter_map(io::Result::ok) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_leftovers(&entry.path(), is_leftover);
        } else if entry.file_name().to_str().is_some_and(is_leftover) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

fn unusable(path: &Path, detail: &impl ToString) -> GitError {
    GitError::Cache {
        path: path.to_owned(),
        detail: detail.to_string(),
    }
}
