//! Loader: the files that one kustomization may read, and the way to its bases.

use std::borrow::Cow;

use crate::build::LoadRestrictor;
use crate::error::{BuildError, Result};
use crate::files::{FilesError, Kind, is_inside, join};
use crate::tree::Tree;

/// Reads the files of one kustomization.
#[derive(Clone)]
pub(crate) struct Loader<'t, 'f> {
    pub tree: &'t Tree<'f>,
    /// The directory of the kustomization, without symlinks.
    pub dir: String,
    /// The directories of the kustomizations that led here, outermost first.
    parents: Vec<String>,
}

impl<'t, 'f> Loader<'t, 'f> {
    pub(crate) fn open(tree: &'t Tree<'f>, dir: &str) -> Result<Self> {
        match tree.files.kind(dir) {
            Some(Kind::Dir) => {}
            Some(Kind::File) => return Err(format!("{dir} is a file, a kustomization is a directory").into()),
            None => return Err(format!("no directory {dir:?}").into()),
        }
        let dir = tree
            .files
            .resolve(dir)
            .map_err(|error| format!("{dir}: {error}"))?;
        Ok(Self {
            tree,
            dir,
            parents: Vec::new(),
        })
    }

    /// The loader of a base or component.
    ///
    /// # Errors
    ///
    /// When the path is remote, no directory, or leads to a directory that holds one on the way here.
    pub(crate) fn enter(&self, path: &str) -> Result<Self> {
        if path.is_empty() {
            return Err("a path cannot be empty".into());
        }
        if is_remote(path) {
            return Err(remote(path).into());
        }
        if path.starts_with('/') {
            return Err(format!("base {path:?} cannot be an absolute path").into());
        }
        if path.split('/').any(|part| part.contains("..") && part != "..") {
            let message = format!("path {path:?} is ambiguous: a segment holds '..' beside other characters");
            return Err(BuildError::new(message)
                .hint("check the indentation of the list")
                .into());
        }
        let outside = || BuildError::new(format!("{path} leads out of the tree"));
        let dir = join(&self.dir, path).ok_or_else(outside)?;
        match self.tree.files.kind(&dir) {
            Some(Kind::Dir) => {}
            Some(Kind::File) => return Err(format!("{path} is a file, but must be a directory").into()),
            None => return Err(missing(path).into()),
        }
        let dir = self
            .tree
            .files
            .resolve(&dir)
            .map_err(|error| format!("{path}: {error}"))?;
        let mut parents = self.parents.clone();
        parents.push(self.dir.clone());
        if let Some(visited) = parents.iter().rev().find(|visited| is_inside(visited, &dir)) {
            return Err(format!("cycle detected: {dir:?} contains {visited:?}, which leads to it").into());
        }
        if parents.len() > self.tree.options.max_layers {
            return Err(format!("more than {} layers", self.tree.options.max_layers).into());
        }
        Ok(Self {
            tree: self.tree,
            dir,
            parents,
        })
    }

    /// The path of a file of this kustomization, if it may read it.
    pub(crate) fn locate(&self, path: &str) -> Result<String> {
        if is_remote_file(path) {
            return Err(remote(path).into());
        }
        let outside = || BuildError::new(format!("{path} leads out of the tree"));
        let full = join(&self.dir, path).ok_or_else(outside)?;
        if self.tree.options.load_restrictor == LoadRestrictor::None {
            return Ok(full);
        }
        let real = self
            .tree
            .files
            .resolve(&full)
            .map_err(|error| read_error(path, &error))?;
        if is_inside(&real, &self.dir) && real != self.dir {
            return Ok(full);
        }
        let message =
            format!("security; file {path:?} is not in or below the directory of the kustomization");
        let hint = "move the file below the kustomization, make its directory a base, or lift the restriction \
                    with --load-restrictor LoadRestrictionsNone";
        Err(BuildError::new(message).hint(hint).into())
    }

    /// The bytes of a file.
    pub(crate) fn load(&self, path: &str) -> Result<Cow<'f, [u8]>> {
        let full = self.locate(path)?;
        self.read(path, &full)
    }

    /// The text of a file, and its full path.
    pub(crate) fn load_text(&self, path: &str) -> Result<(String, String)> {
        let full = self.locate(path)?;
        match String::from_utf8(self.read(path, &full)?.into_owned()) {
            Ok(text) => Ok((text, full)),
            Err(_) => Err(BuildError::new("file is not UTF-8").at(&full, 0).into()),
        }
    }

    fn read(&self, path: &str, full: &str) -> Result<Cow<'f, [u8]>> {
        let content = self
            .tree
            .files
            .read(full)
            .map_err(|error| read_error(path, &error))?;
        self.tree.source(full);
        Ok(content)
    }
}

fn read_error(path: &str, error: &FilesError) -> BuildError {
    match error {
        FilesError::NotFound => missing(path),
        other => BuildError::new(format!("{path}: {other}")),
    }
}

fn missing(path: &str) -> BuildError {
    BuildError::new(format!("no such file or directory: {path}"))
        .hint("paths are relative to the directory of the kustomization file")
}

fn is_remote_file(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// Whether the reference would clone a path with git.
fn is_remote(path: &str) -> bool {
    let host_like = |path: &str| path.split_once(':').is_some_and(|(host, _)| host.contains('@'));
    is_remote_file(path)
        || path.contains("://")
        || path.starts_with("git::")
        || path.starts_with("github.com/")
        || path.starts_with("gh:")
        || host_like(path)
}

fn remote(path: &str) -> BuildError {
    BuildError::new(format!("remote resource {path:?} is not fetched while building")).hint(
        "copy it into the repository, or add the other repository as a submodule, and refer to the copy",
    )
}
