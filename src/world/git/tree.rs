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

use super::error::GitError;
use super::history;
use crate::model::Revision;
use crate::source::{Snapshot, Tree};

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

/// What a path leads to, and its path without links.
struct Found {
    path: String,
    entry: Entry,
}

#[derive(Clone, Copy)]
struct Entry {
    kind: EntryKind,
    id: ObjectId,
}

/// The files of a commit that a repository has.
pub(super) fn snapshot(repository: gix::Repository, revision: &Revision) -> Result<Snapshot, GitError> {
    let root = history::root(&repository, revision)?;
    let tree = GitTree::new(repository, root);
    Ok(Snapshot::new(revision.clone(), Arc::new(tree)))
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
        let found = self.store().find(self.root, path).ok()?;
        Some(found.entry.id.to_string())
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let mut store = self.store();
        let Ok(found) = store.find(self.root, directory) else {
            return Vec::new();
        };
        if found.entry.kind != EntryKind::Tree {
            return Vec::new();
        }
        let entries = store.directory(found.entry.id);
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
        let Entry { kind, id } = store.find(self.root, path)?.entry;
        match kind {
            EntryKind::Blob | EntryKind::BlobExecutable => store.blob(id).map(Cow::Owned),
            EntryKind::Tree => Err(FilesError::NotAFile),
            EntryKind::Commit => Err(submodule()),
            EntryKind::Link => Err(FilesError::NotFound),
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        match self.store().find(self.root, path).ok()?.entry.kind {
            EntryKind::Tree => Some(Kind::Dir),
            EntryKind::Blob | EntryKind::BlobExecutable => Some(Kind::File),
            // Reading it says that it is a submodule, which "not found" would hide.
            EntryKind::Commit => Some(Kind::File),
            EntryKind::Link => None,
        }
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        Ok(self.store().find(self.root, path)?.path)
    }
}

// === impl Store ===

impl Store {
    /// Walks down from the root, following links.
    fn find(&mut self, root: ObjectId, path: &str) -> Result<Found, FilesError> {
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        // The way so far, so that `..` in a link leads back up.
        let mut trail: Vec<(String, Entry)> = Vec::new();
        let root = Entry {
            kind: EntryKind::Tree,
            id: root,
        };
        let mut links = 0;
        while let Some(name) = todo.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    trail.pop().ok_or(FilesError::Outside)?;
                    continue;
                }
                _ => {}
            }
            let parent = trail.last().map_or(root, |(_, entry)| *entry);
            let entry = self.child(parent, &name)?;
            if entry.kind != EntryKind::Link {
                trail.push((name, entry));
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(failed("its symbolic links lead in circles"));
            }
            let target = self.link_target(&name, entry.id)?;
            todo.extend(target.split('/').rev().map(str::to_owned));
        }
        let names: Vec<&str> = trail.iter().map(|(name, _)| name.as_str()).collect();
        let path = names.join("/");
        let entry = trail.last().map_or(root, |(_, entry)| *entry);
        Ok(Found { path, entry })
    }

    fn child(&mut self, parent: Entry, name: &str) -> Result<Entry, FilesError> {
        match parent.kind {
            EntryKind::Tree => {
                let directory = self.directory(parent.id)?;
                directory.get(name).copied().ok_or(FilesError::NotFound)
            }
            EntryKind::Commit => Err(submodule()),
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => Err(FilesError::NotFound),
        }
    }

    fn directory(&mut self, id: ObjectId) -> Result<Arc<HashMap<String, Entry>>, FilesError> {
        if let Some(known) = self.directories.get(&id) {
            return Ok(Arc::clone(known));
        }
        let unreadable = |error| failed(format!("tree {id} cannot be read: {error}"));
        let tree = self.repository.find_tree(id).map_err(unreadable)?;
        let mut entries = HashMap::new();
        for entry in tree.iter() {
            let entry = entry.map_err(|error| failed(format!("tree {id} is damaged: {error}")))?;
            // A name that is not UTF-8 cannot be asked for.
            if let Ok(name) = entry.filename().to_str() {
                let (kind, id) = (entry.mode().kind(), entry.object_id());
                entries.insert(name.to_owned(), Entry { kind, id });
            }
        }
        let entries = Arc::new(entries);
        self.directories.insert(id, Arc::clone(&entries));
        Ok(entries)
    }

    fn link_target(&self, name: &str, id: ObjectId) -> Result<String, FilesError> {
        let target = String::from_utf8(self.blob(id)?);
        let target =
            target.map_err(|_| failed(format!("the target of the symbolic link `{name}` is not UTF-8")))?;
        if target.starts_with('/') {
            return Err(FilesError::Outside);
        }
        Ok(target)
    }

    fn blob(&self, id: ObjectId) -> Result<Vec<u8>, FilesError> {
        let unreadable = |error| failed(format!("object {id} cannot be read: {error}"));
        let size = self.repository.find_header(id).map_err(unreadable)?.size();
        if size > LARGEST_FILE {
            return Err(FilesError::TooLarge {
                size,
                limit: LARGEST_FILE,
            });
        }
        let mut blob = self.repository.find_blob(id).map_err(unreadable)?;
        Ok(blob.take_data())
    }
}

fn submodule() -> FilesError {
    failed("it is a git submodule, whose content belongs to another repository; add the files themselves")
}

fn failed(reason: impl Into<String>) -> FilesError {
    FilesError::Io(reason.into())
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
