//! Seed: a bare repository made from files, as a team's git server would hold it after the first push.

use std::error::Error;
use std::path::Path;

use gix::refs::transaction::PreviousValue;

use super::commit::{Identity, write_commit};
use super::error::{GitError, chain};
use super::history;
use crate::model::{CommitMessage, Edit, Revision};

/// Makes the repository and its first commit.
pub(super) fn seed(
    dir: &Path,
    branch: &str,
    edit: &Edit,
    message: &CommitMessage,
    identity: &Identity,
) -> Result<Revision, GitError> {
    let wrong = |reason: String| GitError::Local {
        dir: dir.to_owned(),
        reason,
    };
    let gix_wrong = |error: gix::Error| {
        let error: Box<dyn Error + Send + Sync> = error.into();
        wrong(chain(error.as_ref()))
    };
    let repository = gix::init_bare(dir).map_err(gix_wrong)?;
    let mut editor = repository
        .edit_tree(gix::ObjectId::empty_tree(repository.object_hash()))
        .map_err(gix_wrong)?;
    for (path, content) in &edit.files {
        let blob = repository.write_blob(content).map_err(gix_wrong)?;
        editor
            .upsert(path.as_str(), gix::objs::tree::EntryKind::Blob, blob.detach())
            .map_err(gix_wrong)?;
    }
    let tree = editor.write().map_err(gix_wrong)?.detach();
    let id = write_commit(&repository, None, tree, message, identity).map_err(gix_wrong)?;
    // The user's own configuration may call the first branch otherwise.
    let head = format!("ref: refs/heads/{branch}\n");
    std::fs::write(dir.join("HEAD"), head).map_err(|error| wrong(error.to_string()))?;
    repository
        .reference(
            format!("refs/heads/{branch}"),
            id,
            PreviousValue::MustNotExist,
            "first commit",
        )
        .map_err(gix_wrong)?;
    Ok(history::revision(id))
}
