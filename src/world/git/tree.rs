//! Git tree: the files of one commit, read straight from the object database.
//!
//! There is no checkout that a symbolic link could lead out of: links are followed here, name by name, and only
//! inside the tree.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind;
use kustomize::{Files, FilesError, Kind};

use crate::source::Tree;

/// A larger file is not configuration, but a mistake.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// As many symbolic links as Linux follows in one path.
const LINKS: usize = 40;

/// The tree of one commit.
pub(super) struct GitTree {
    root: ObjectId,
    store: Mutex<Store>,
}

/// The object database with the directories that were read already.
struct Store {
    repository: gix::Repository,
    directories: HashMap<ObjectId, Arc<HashMap<String, Entry>>>,
}

#[derive(Clone, Copy)]
struct Entry {
    kind: EntryKind,
    id: ObjectId,
}

// === impl GitTree ===

impl GitTree {
    pub(super) fn new(repository: gix::Repository, root: ObjectId) -> Self {
        Self {
            root,
            store: Mutex::new(Store {
                repository,
                directories: HashMap::new(),
            }),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree for GitTree {
    fn tree_id(&self, path: &str) -> Option<String> {
        let entry = self.store().find(self.root, path).ok()?;
        Some(entry.id.to_string())
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let mut store = self.store();
        let found = store.find(self.root, directory).ok();
        let entries = found
            .filter(|entry| entry.kind == EntryKind::Tree)
            .and_then(|entry| store.directory(directory, entry.id).ok());
        let mut names: Vec<String> = entries
            .iter()
            .flat_map(|entries| entries.keys().cloned())
            .collect();
        names.sort_unstable();
        names
    }
}

impl Files for GitTree {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        let mut store = self.store();
        let entry = store.find(self.root, path)?;
        match entry.kind {
            EntryKind::Blob | EntryKind::BlobExecutable => store.blob(path, entry.id).map(Cow::Owned),
            EntryKind::Tree => Err(unreadable(path, "it is a directory")),
            EntryKind::Commit => Err(submodule(path)),
            EntryKind::Link => Err(unreadable(path, "it is a symbolic link")),
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        let entry = self.store().find(self.root, path).ok()?;
        match entry.kind {
            EntryKind::Tree => Some(Kind::Dir),
            EntryKind::Blob | EntryKind::BlobExecutable => Some(Kind::File),
            // Reading it says that it is a submodule, which "not found" would hide.
            EntryKind::Commit => Some(Kind::File),
            EntryKind::Link => None,
        }
    }
}

// === impl Store ===

impl Store {
    /// Walks down from the root, following links.
    fn find(&mut self, root: ObjectId, path: &str) -> Result<Entry, FilesError> {
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        // The directories on the way, so that `..` in a link leads back up.
        let mut trail = vec![Entry {
            kind: EntryKind::Tree,
            id: root,
        }];
        let mut links = 0;
        while let Some(name) = todo.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." if trail.len() > 1 => {
                    trail.pop();
                    continue;
                }
                ".." => return Err(unreadable(path, "it leads out of the repository")),
                _ => {}
            }
            let entry = self.child(path, trail.last().copied(), &name)?;
            if entry.kind != EntryKind::Link {
                trail.push(entry);
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(unreadable(path, "its symbolic links lead in circles"));
            }
            let target = self.link_target(path, &name, entry.id)?;
            todo.extend(target.split('/').rev().map(str::to_owned));
        }
        trail.pop().ok_or_else(|| missing(path))
    }

    fn child(&mut self, path: &str, parent: Option<Entry>, name: &str) -> Result<Entry, FilesError> {
        let parent = parent.ok_or_else(|| missing(path))?;
        match parent.kind {
            EntryKind::Tree => self
                .directory(path, parent.id)?
                .get(name)
                .copied()
                .ok_or_else(|| missing(path)),
            EntryKind::Commit => Err(submodule(path)),
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => Err(missing(path)),
        }
    }

    fn directory(&mut self, path: &str, id: ObjectId) -> Result<Arc<HashMap<String, Entry>>, FilesError> {
        if let Some(known) = self.directories.get(&id) {
            return Ok(Arc::clone(known));
        }
        let damaged = |error: gix::Error| unreadable(path, &format!("tree {id} cannot be read: {error}"));
        let tree = self.repository.find_tree(id).map_err(damaged)?;
        let mut entries = HashMap::new();
        for entry in tree.iter() {
            let entry = entry.map_err(|error| unreadable(path, &format!("tree {id} is damaged: {error}")))?;
            // A name that is not UTF-8 cannot be asked for.
            if let Ok(name) = entry.filename().to_str() {
                entries.insert(
                    name.to_owned(),
                    Entry {
                        kind: entry.mode().kind(),
                        id: entry.object_id(),
                    },
                );
            }
        }
        let entries = Arc::new(entries);
        self.directories.insert(id, Arc::clone(&entries));
        Ok(entries)
    }

    fn link_target(&self, path: &str, name: &str, id: ObjectId) -> Result<String, FilesError> {
        let target = String::from_utf8(self.blob(path, id)?).map_err(|_| {
            unreadable(
                path,
                &format!("the target of the symbolic link `{name}` is not UTF-8"),
            )
        })?;
        if target.starts_with('/') {
            let reason = format!("the symbolic link `{name}` leads out of the repository, to `{target}`");
            return Err(unreadable(path, &reason));
        }
        Ok(target)
    }

    fn blob(&self, path: &str, id: ObjectId) -> Result<Vec<u8>, FilesError> {
        let damaged = |error: gix::Error| unreadable(path, &format!("object {id} cannot be read: {error}"));
        let size = self.repository.find_header(id).map_err(damaged)?.size();
        if size > LARGEST_FILE {
            let reason = format!("it has {size} bytes; files of more than {LARGEST_FILE} bytes are not read");
            return Err(unreadable(path, &reason));
        }
        let mut blob = self.repository.find_blob(id).map_err(damaged)?;
        Ok(blob.take_data())
    }
}

fn missing(path: &str) -> FilesError {
    FilesError::NotFound {
        path: path.to_owned(),
    }
}

fn submodule(path: &str) -> FilesError {
    unreadable(
        path,
        "it is a git submodule, whose content belongs to another repository; add the files themselves",
    )
}

fn unreadable(path: &str, reason: &str) -> FilesError {
    FilesError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Whether a commit and everything below its tree can be read.
pub(super) fn is_whole(repository: &gix::Repository, commit: ObjectId) -> bool {
    let root = repository
        .find_commit(commit)
        .and_then(|commit| commit.tree_id().map(gix::Id::detach));
    let Ok(root) = root else { return false };
    let mut todo = vec![root];
    let mut seen = HashSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Ok(tree) = repository.find_tree(id) else {
            return false;
        };
        for entry in tree.iter() {
            match entry {
                Ok(entry) if entry.mode().is_tree() => todo.push(entry.object_id()),
                Ok(entry) if entry.mode().is_commit() => {}
                Ok(entry) if repository.find_header(entry.object_id()).is_ok() => {}
                Ok(_) | Err(_) => return false,
            }
        }
    }
    true
}
