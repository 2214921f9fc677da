//! Commit: an edit made into a commit of the object database, and the proof of what it touches.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind;

use super::error::{GitError, PushError};
use super::history::{object_id, root, unreadable};
use crate::model::{CommitMessage, Edit, Revision};
use crate::source::is_below;

/// Who a commit is by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name, as in `git config user.name`.
    pub name: String,
    /// The e-mail address, as in `git config user.email`.
    pub email: String,
}

/// A commit that the remote has not seen.
pub(super) struct NewCommit {
    pub(super) id: ObjectId,
    /// The paths that it changes.
    pub(super) paths: Vec<String>,
    /// Every object that it needs and its parent lacks, itself included.
    pub(super) objects: Vec<ObjectId>,
}

/// The difference of two trees.
#[derive(Default)]
struct Changes {
    paths: Vec<String>,
    objects: Vec<ObjectId>,
}

/// Makes the commit that lays `edit` over `base`; `None` when that would change nothing.
pub(super) fn make(
    repository: &gix::Repository,
    base: &Revision,
    edit: &Edit,
    message: &CommitMessage,
    identity: &Identity,
) -> Result<Option<NewCommit>, GitError> {
    let parent = object_id(base)?;
    let wrong = |error: gix::Error| unreadable(base, &error);
    let old = root(repository, base)?;
    let new = edited_tree(repository, base, old, edit)?;
    if new == old {
        return Ok(None);
    }
    let id = write_commit(repository, Some(parent), new, message, identity).map_err(wrong)?;
    let mut changes = Changes::default();
    changes
        .collect(repository, Some(old), Some(new), "")
        .map_err(wrong)?;
    changes.objects.push(id);
    Ok(Some(NewCommit {
        id,
        paths: changes.paths,
        objects: changes.objects,
    }))
}

impl NewCommit {
    /// Checks, on the commit itself, that it changes nothing outside a directory.
    pub(super) fn stays_below(&self, allowed: &str) -> Result<(), PushError> {
        let allowed = allowed.trim_matches('/');
        let outside = |path: &&String| !is_below(allowed, path) || path.as_str() == allowed;
        let paths: Vec<String> = self.paths.iter().filter(outside).cloned().collect();
        if paths.is_empty() {
            return Ok(());
        }
        Err(PushError::Outside {
            paths,
            allowed: allowed.to_owned(),
        })
    }
}

fn edited_tree(
    repository: &gix::Repository,
    base: &Revision,
    root: ObjectId,
    edit: &Edit,
) -> Result<ObjectId, GitError> {
    let wrong = |error: gix::Error| unreadable(base, &error);
    let mut editor = repository.edit_tree(root).map_err(wrong)?;
    for (path, content) in &edit.files {
        let refused = |reason: &str| GitError::Edit {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        check_path(path).map_err(refused)?;
        let mode = file_mode(repository, root, path)
            .map_err(wrong)?
            .map_err(refused)?;
        let blob = repository.write_blob(content).map_err(wrong)?;
        editor.upsert(path.as_str(), mode, blob.detach()).map_err(wrong)?;
    }
    for path in &edit.removed {
        editor.remove(path.as_str()).map_err(wrong)?;
    }
    Ok(editor.write().map_err(wrong)?.detach())
}

/// Refuses what git itself would not check out.
fn check_path(path: &str) -> Result<(), &'static str> {
    let bad = |name: &str| matches!(name, "" | "." | "..") || name.eq_ignore_ascii_case(".git");
    if path.split('/').any(bad) || path.contains(['\0', '\\']) {
        return Err("it is no path inside a repository");
    }
    Ok(())
}

/// The mode that a file keeps, or gets when it is new; the inner error says what stands in its place.
fn file_mode(
    repository: &gix::Repository,
    root: ObjectId,
    path: &str,
) -> gix::Result<Result<EntryKind, &'static str>> {
    let mut id = root;
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        let tree = repository.find_tree(id)?;
        let Some(entry) = tree.find_entry(name) else {
            return Ok(Ok(EntryKind::Blob));
        };
        let kind = entry.mode().kind();
        let last = names.peek().is_none();
        match kind {
            EntryKind::Tree if last => return Ok(Err("it is a directory")),
            EntryKind::Tree => id = entry.object_id(),
            EntryKind::Blob | EntryKind::BlobExecutable if last => return Ok(Ok(kind)),
            EntryKind::Blob | EntryKind::BlobExecutable => {
                return Ok(Err("a file stands where a directory would be"));
            }
            EntryKind::Link => return Ok(Err("a symbolic link is on the way; name the real file")),
            EntryKind::Commit => {
                return Ok(Err(
                    "a submodule is on the way; its content belongs to another repository",
                ));
            }
        }
    }
    Ok(Err("it is no path inside a repository"))
}

pub(super) fn write_commit(
    repository: &gix::Repository,
    parent: Option<ObjectId>,
    tree: ObjectId,
    message: &CommitMessage,
    identity: &Identity,
) -> gix::Result<ObjectId> {
    // git's own format ends a name at `<` and a header at the line's end.
    let clean = |text: &str| text.replace(['<', '>', '\n', '\r', '\0'], " ").trim().to_owned();
    let signature = gix::actor::Signature {
        name: clean(&identity.name).into(),
        email: clean(&identity.email).into(),
        time: gix::date::Time::now_utc(),
    };
    let mut buffer = gix::date::parse::TimeBuf::default();
    let signature = signature.to_ref(&mut buffer);
    let commit = repository.new_commit_as(signature, signature, message.to_string(), tree, parent)?;
    Ok(commit.id)
}

// === impl Changes ===

impl Changes {
    /// Descends only where ids differ.
    fn collect(
        &mut self,
        repository: &gix::Repository,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        above: &str,
    ) -> gix::Result {
        self.objects.extend(new);
        let (old, new) = (entries(repository, old)?, entries(repository, new)?);
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            if before == after {
                continue;
            }
            let path = if above.is_empty() {
                name.clone()
            } else {
                format!("{above}/{name}")
            };
            let directory = |entry: Option<&(EntryKind, ObjectId)>| {
                entry
                    .filter(|(kind, _)| *kind == EntryKind::Tree)
                    .map(|(_, id)| *id)
            };
            let (below_old, below_new) = (directory(before), directory(after));
            if below_old.is_some() || below_new.is_some() {
                self.collect(repository, below_old, below_new, &path)?;
            }
            let is_file = |entry: Option<&(EntryKind, ObjectId)>| {
                entry.is_some_and(|(kind, _)| *kind != EntryKind::Tree)
            };
            if is_file(before) || is_file(after) {
                self.paths.push(path);
            }
            self.objects.extend(
                after
                    .filter(|(kind, _)| *kind != EntryKind::Tree)
                    .map(|(_, id)| *id),
            );
        }
        Ok(())
    }
}

fn entries(
    repository: &gix::Repository,
    tree: Option<ObjectId>,
) -> gix::Result<BTreeMap<String, (EntryKind, ObjectId)>> {
    let Some(id) = tree else {
        return Ok(BTreeMap::new());
    };
    let tree = repository.find_tree(id)?;
    let mut entries = BTreeMap::new();
    for entry in tree.iter() {
        let entry = entry?;
        let name = entry.filename().to_str_lossy().into_owned();
        entries.insert(name, (entry.mode().kind(), entry.object_id()));
    }
    Ok(entries)
}
