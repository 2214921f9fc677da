//! Files: the tree that a build reads, wherever it is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Dir,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilesError {
    /// Nothing is at the path.
    #[error("no such file")]
    NotFound,
    /// A directory is at the path.
    #[error("is a directory")]
    NotAFile,
    /// The path, or a symlink on it, leads out of the tree.
    #[error("leads out of the tree")]
    Outside,
    /// The file is over the size limit.
    #[error("{size} bytes are over the limit of {limit}")]
    TooLarge {
        /// Size in bytes.
        size: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// The file system says no.
    #[error("{0}")]
    Io(String),
}

/// A tree of files: a git tree, a directory, memory.
///
/// Paths are relative to the root of the tree, with slashes, without `.` and `..` segments; `""` is the
/// root. Nothing outside the root can be named. A build may ask from several threads.
pub trait Files: Sync {
    /// The bytes of a file.
    ///
    /// # Errors
    ///
    /// When the path is no file or cannot be read.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError>;

    /// What is at a path; symlinks inside the tree are followed. `None` when nothing is there.
    fn kind(&self, path: &str) -> Option<Kind>;

    /// The path without symlinks, for the check that a file is inside its kustomization's directory.
    /// A tree without symlinks returns the path itself.
    ///
    /// # Errors
    ///
    /// When a symlink leads out of the tree or nowhere.
    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        Ok(path.to_owned())
    }
}

/// A tree in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryFiles {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file; `path` has slashes and is relative to the root.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), content.into());
    }
}

impl<P: Into<String>, C: Into<Vec<u8>>> FromIterator<(P, C)> for MemoryFiles {
    fn from_iter<I: IntoIterator<Item = (P, C)>>(files: I) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, content)| (path.into(), content.into()))
                .collect(),
        }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        match self.files.get(path) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None if self.kind(path).is_some() => Err(FilesError::NotAFile),
            None => Err(FilesError::NotFound),
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if self.files.contains_key(path) {
            return Some(Kind::File);
        }
        let below = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let (first, _) = self.files.range(below.clone()..).next()?;
        first.starts_with(&below).then_some(Kind::Dir)
    }
}

/// A directory on disk.
///
/// Symlinks are followed inside the directory; one that leads out of it is refused.
#[derive(Clone, Debug)]
pub struct DirFiles {
    root: PathBuf,
    limit: u64,
    known: Arc<Mutex<Known>>,
}

/// Paths that are remembered, enough for the threads of a build.
const RECENT: usize = 16;

/// What was found out about paths. Asking a file system the same again for every file is most of what a build of
/// many small files would do.
#[derive(Debug, Default)]
struct Known {
    /// Directories without their symlinks.
    directories: HashMap<String, PathBuf>,
    /// The paths that were asked for last, some for each thread: what is at one, where it is and what it holds are
    /// asked in this order.
    recent: VecDeque<(String, Found)>,
}

/// What is at a path.
#[derive(Clone, Debug)]
struct Found {
    /// The absolute path, without symlinks.
    full: PathBuf,
    meta: fs::Metadata,
}

impl DirFiles {
    /// Files over this many bytes are refused, unless [`DirFiles::with_limit`] says otherwise.
    pub const LIMIT: u64 = 64 << 20;

    /// The tree below a directory.
    ///
    /// # Errors
    ///
    /// When there is no such directory.
    pub fn new(root: impl AsRef<Path>) -> Result<Self, FilesError> {
        let root = fs::canonicalize(root).map_err(|error| io_error(&error))?;
        if !root.is_dir() {
            return Err(FilesError::Io(format!("{} is not a directory", root.display())));
        }
        Ok(Self {
            root,
            limit: Self::LIMIT,
            known: Arc::default(),
        })
    }

    /// The same tree with another size limit, in bytes.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The absolute path of the root, without symlinks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at a path, if it is inside the root.
    fn find(&self, path: &str) -> Result<Found, FilesError> {
        let found = self.ask(path)?;
        let recent = &mut self.known().recent;
        recent.retain(|(other, _)| other != path);
        recent.truncate(RECENT - 1);
        recent.push_front((path.to_owned(), found.clone()));
        Ok(found)
    }

    /// What was at a path when it was asked for a moment ago, else what is there now.
    fn find_again(&self, path: &str) -> Result<Found, FilesError> {
        let recent = self
            .known()
            .recent
            .iter()
            .find(|(other, _)| other == path)
            .cloned();
        match recent {
            Some((_, found)) => Ok(found),
            None => self.find(path),
        }
    }

    fn ask(&self, path: &str) -> Result<Found, FilesError> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let full = self.directory(directory)?.join(name);
        let meta = fs::symlink_metadata(&full).map_err(|error| io_error(&error))?;
        let is_plain = !meta.is_symlink() && !matches!(name, "" | "." | "..");
        if is_plain {
            return Ok(Found { full, meta });
        }
        let full = fs::canonicalize(full).map_err(|error| io_error(&error))?;
        if !full.starts_with(&self.root) {
            return Err(FilesError::Outside);
        }
        let meta = fs::metadata(&full).map_err(|error| io_error(&error))?;
        Ok(Found { full, meta })
    }

    fn directory(&self, path: &str) -> Result<PathBuf, FilesError> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(full) = self.known().directories.get(path) {
            return Ok(full.clone());
        }
        let full = self.ask(path)?.full;
        self.known().directories.insert(path.to_owned(), full.clone());
        Ok(full)
    }
}

fn io_error(error: &std::io::Error) -> FilesError {
    match error.kind() {
        // A path below a file is not there either.
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => FilesError::NotFound,
        _ => FilesError::Io(error.to_string()),
    }
}

impl Files for DirFiles {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        let Found { full, meta } = self.find_again(path)?;
        self.known().recent.retain(|(other, _)| other != path);
        if meta.is_dir() {
            return Err(FilesError::NotAFile);
        }
        if !meta.is_file() {
            // Reading a pipe or a device might never end.
            return Err(FilesError::Io("not a regular file".to_owned()));
        }
        if meta.len() > self.limit {
            return Err(FilesError::TooLarge {
                size: meta.len(),
                limit: self.limit,
            });
        }
        let mut content = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default());
        fs::File::open(&full)
            // No more than was there a moment ago, also if the file grows.
            .and_then(|file| file.take(meta.len()).read_to_end(&mut content))
            .map_err(|error| io_error(&error))?;
        Ok(Cow::Owned(content))
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let meta = self.find(path).ok()?.meta;
        Some(if meta.is_dir() { Kind::Dir } else { Kind::File })
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        let full = self.find_again(path)?.full;
        let inside = full.strip_prefix(&self.root).map_err(|_| FilesError::Outside)?;
        inside
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| FilesError::Io("path is not UTF-8".to_owned()))
    }
}

/// Joins a path of a kustomization to its directory. `None` when it leads above the root.
///
/// An absolute path is one from the root of the tree.
pub(crate) fn join(dir: &str, path: &str) -> Option<String> {
    let mut segments: Vec<&str> = if path.starts_with('/') {
        Vec::new()
    } else {
        split(dir).collect()
    };
    for segment in split(path) {
        match segment {
            "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    Some(segments.join("/"))
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// Whether a path is a directory or anything below it.
pub(crate) fn is_inside(path: &str, dir: &str) -> bool {
    dir.is_empty()
        || path
            .strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_join_inside_the_tree() {
        let rows = [
            (("a/b", "c.yaml"), Some("a/b/c.yaml")),
            (("a/b", "../c"), Some("a/c")),
            (("a", "./././b/"), Some("a/b")),
            (("a", "../../x"), None),
            (("a", "/x/y"), Some("x/y")),
            (("", "."), Some("")),
        ];
        for ((dir, path), joined) in rows {
            assert_eq!(join(dir, path).as_deref(), joined, "{dir} {path}");
        }
        assert!(is_inside("a/b", "a") && is_inside("a", "a") && is_inside("a", "") && !is_inside("ab", "a"));
    }

    #[test]
    fn memory_knows_its_directories() {
        let files: MemoryFiles = [("a/b/c.yaml", "x"), ("a-b", "y")].into_iter().collect();
        let rows = [
            ("", Some(Kind::Dir)),
            ("a", Some(Kind::Dir)),
            ("a/b", Some(Kind::Dir)),
            ("a/c", None),
            ("a-b", Some(Kind::File)),
        ];
        for (path, kind) in rows {
            assert_eq!(files.kind(path), kind, "{path}");
        }
        assert_eq!(files.read("a"), Err(FilesError::NotAFile));
        assert_eq!(files.read("none"), Err(FilesError::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_that_leave_the_directory_are_refused() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "12345").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("in")).unwrap();
        let files = DirFiles::new(dir.path()).unwrap();
        assert_eq!(files.read("out"), Err(FilesError::Outside));
        assert_eq!(files.kind("out"), None);
        assert_eq!(files.resolve("in").unwrap(), "real");
        assert_eq!(files.read("in").unwrap().as_ref(), b"12345");
        let small = files.with_limit(4);
        assert_eq!(
            small.read("real"),
            Err(FilesError::TooLarge { size: 5, limit: 4 })
        );
    }
}
