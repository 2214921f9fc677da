//! Source: a repository's files at one commit, and the ways in which such trees are combined.
//!
//! A [`Snapshot`] is what the rest of the program knows of git. It is never a checkout: reading goes to
//! wherever the tree is kept, and two trees are compared by the ids of their directories.
//!
//! ```text
//!   Snapshot at HEAD ──────┐
//!                          ├─▶ Layered: environments/prod from HEAD, all else from the verified revision
//!   Snapshot at verified ──┘
//!   Snapshot + Edit ─────────▶ Edited: what the commit would hold, before it exists
//! ```

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kustomize::{Files, FilesError, Kind};

use crate::model::{Edit, Revision};

/// A tree whose files and directories have ids that are equal when their contents are.
pub trait Tree: Files + Send + Sync {
    /// The object id of a file or directory (`""` is the root), if there is one.
    ///
    /// Equal ids mean equal contents, all the way down.
    fn tree_id(&self, path: &str) -> Option<String>;

    /// The names in a directory, sorted; none when there is no such directory.
    fn list(&self, directory: &str) -> Vec<String>;

    /// A file as text; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read as UTF-8 text; the sentence says why.
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        if self.kind(path) != Some(Kind::File) {
            return Ok(None);
        }
        let bytes = self.read(path).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes.into_owned());
        text.map(Some)
            .map_err(|_| "the file is not UTF-8 text".to_owned())
    }
}

/// A repository at one commit. Cloning it costs nothing.
#[derive(Clone)]
pub struct Snapshot {
    revision: Revision,
    tree: Arc<dyn Tree>,
}

/// One directory from one tree, everything else from another.
///
/// This is how prod is read: its own overlay as it is at HEAD, over the shared files as they were proved.
pub struct Layered<'a> {
    directory: String,
    inside: &'a (dyn Files + Send + Sync),
    outside: &'a (dyn Files + Send + Sync),
}

/// An edit laid over a tree: the files that it names have its contents, or are gone.
pub struct Edited<'a> {
    tree: &'a (dyn Files + Send + Sync),
    edit: &'a Edit,
}

/// A tree with an edit over it, which no commit has yet.
struct Draft {
    tree: Arc<dyn Tree>,
    edit: Edit,
}

// === impl Snapshot ===

impl Snapshot {
    /// A tree that belongs to a commit.
    #[must_use]
    pub fn new(revision: Revision, tree: Arc<dyn Tree>) -> Self {
        Self { revision, tree }
    }

    /// The commit.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// The tree of the commit.
    #[must_use]
    pub fn tree(&self) -> &dyn Tree {
        &*self.tree
    }

    /// The files of the commit.
    #[must_use]
    pub fn files(&self) -> &(dyn Files + Send + Sync) {
        &*self.tree
    }

    /// The object id of a file or directory (`""` is the root), so that an unchanged one can be skipped.
    #[must_use]
    pub fn tree_id(&self, path: &str) -> Option<String> {
        self.tree.tree_id(path)
    }
}

impl Snapshot {
    /// The same commit with an edit laid over its tree, which no longer has ids.
    #[must_use]
    pub fn edited(&self, edit: Edit) -> Self {
        let tree = Arc::clone(&self.tree);
        Self::new(self.revision.clone(), Arc::new(Draft { tree, edit }))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.revision.short()).finish()
    }
}

// === impl Layered ===

impl<'a> Layered<'a> {
    /// Takes paths at or below `directory` from `inside`, and all others from `outside`.
    #[must_use]
    pub fn new(
        directory: &str,
        inside: &'a (dyn Files + Send + Sync),
        outside: &'a (dyn Files + Send + Sync),
    ) -> Self {
        Self {
            directory: directory.trim_matches('/').to_owned(),
            inside,
            outside,
        }
    }

    /// The tree that a path belongs to.
    fn layer(&self, path: &str) -> &'a (dyn Files + Send + Sync) {
        if is_below(&self.directory, path) {
            self.inside
        } else {
            self.outside
        }
    }

    /// A link from one layer into the other would be followed at the wrong revision, so it is an error.
    fn check(&self, path: &str, real: &str) -> Result<(), FilesError> {
        if is_below(&self.directory, path) == is_below(&self.directory, real) {
            return Ok(());
        }
        let directory = &self.directory;
        let reason = format!(
            "a symbolic link crosses the border of `{directory}` to `{real}`, which is read at another revision; \
             name the real path where it is used"
        );
        Err(FilesError::Io(reason))
    }
}

impl Files for Layered<'_> {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        self.resolve(path)?;
        self.layer(path).read(path)
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        // The way down to the directory exists even if the other tree has not got it.
        let leads_there = is_below(path, &self.directory) && self.inside.kind(&self.directory).is_some();
        self.layer(path)
            .kind(path)
            .or_else(|| leads_there.then_some(Kind::Dir))
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        let resolved = self.layer(path).resolve(path);
        if resolved.is_err() && self.kind(path) == Some(Kind::Dir) {
            return Ok(path.to_owned());
        }
        let real = resolved?;
        self.check(path, &real)?;
        Ok(real)
    }
}

/// Whether `path` is `directory` or lies below it; everything lies below the root, `""`.
#[must_use]
pub fn is_below(directory: &str, path: &str) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => directory.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

// === impl Edited ===

impl<'a> Edited<'a> {
    /// Lays an edit over a tree.
    #[must_use]
    pub fn new(tree: &'a (dyn Files + Send + Sync), edit: &'a Edit) -> Self {
        Self { tree, edit }
    }
}

impl Files for Edited<'_> {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        let real = self.resolve(path)?;
        if self.edit.removed.contains(&real) {
            return Err(FilesError::NotFound);
        }
        match self.edit.files.get(&real) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None => self.tree.read(path),
        }
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        if self.edit.files.contains_key(path) {
            return Some(Kind::File);
        }
        if self.edit.removed.contains(path) {
            return None;
        }
        let leads_there = || self.edit.files.keys().any(|file| is_below(path, file));
        self.tree
            .kind(path)
            .or_else(|| leads_there().then_some(Kind::Dir))
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        match self.tree.resolve(path) {
            // A path that only the edit has cannot be a link.
            Err(_) if self.kind(path).is_some() => Ok(path.to_owned()),
            resolved => resolved,
        }
    }
}

// === impl Draft ===

impl Draft {
    fn edited(&self) -> Edited<'_> {
        Edited::new(&*self.tree, &self.edit)
    }
}

impl Files for Draft {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
        let edited = self.edited();
        let read = edited.read(path)?;
        Ok(Cow::Owned(read.into_owned()))
    }

    fn kind(&self, path: &str) -> Option<Kind> {
        self.edited().kind(path)
    }

    fn resolve(&self, path: &str) -> Result<String, FilesError> {
        self.edited().resolve(path)
    }
}

impl Tree for Draft {
    fn tree_id(&self, _: &str) -> Option<String> {
        None
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let mut names = self.tree.list(directory);
        names.retain(|name| !self.edit.removed.contains(&below(directory, name)));
        let below = |path: &String| {
            let rest = path.strip_prefix(directory)?;
            let rest = if directory.is_empty() {
                rest
            } else {
                rest.strip_prefix('/')?
            };
            rest.split('/').next().map(str::to_owned)
        };
        names.extend(self.edit.files.keys().filter_map(below));
        names.sort();
        names.dedup();
        names
    }
}

fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Trees in memory, for the tests of whoever reads trees.
#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeSet;

    use kustomize::MemoryFiles;

    use super::{Cow, Files, FilesError, Kind, Tree, is_below};

    /// Files by path.
    #[derive(Debug, Clone, Default)]
    pub struct MemoryTree {
        files: MemoryFiles,
        paths: BTreeSet<String>,
    }

    impl MemoryTree {
        /// Adds a file, or replaces it.
        pub fn insert(&mut self, path: &str, text: &str) {
            self.files.insert(path, text.as_bytes().to_vec());
            self.paths.insert(path.to_owned());
        }
    }

    impl Files for MemoryTree {
        fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
            self.files.read(path)
        }

        fn kind(&self, path: &str) -> Option<Kind> {
            self.files.kind(path)
        }
    }

    impl Tree for MemoryTree {
        /// The paths and contents themselves: equal exactly when the trees are.
        fn tree_id(&self, path: &str) -> Option<String> {
            let below = self.paths.iter().filter(|file| is_below(path, file));
            let content = |file: &String| {
                self.read(file)
                    .map(|content| content.into_owned())
                    .unwrap_or_default()
            };
            let all: Vec<(&String, Vec<u8>)> = below.map(|file| (file, content(file))).collect();
            (!all.is_empty()).then(|| format!("{all:?}"))
        }

        fn list(&self, directory: &str) -> Vec<String> {
            let below = self.paths.iter().filter_map(|path| match directory {
                "" => Some(path.as_str()),
                directory => path.strip_prefix(directory)?.strip_prefix('/'),
            });
            let names = below.filter_map(|rest| rest.split('/').next()).map(str::to_owned);
            names.collect::<BTreeSet<_>>().into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// A tree of the paths given, each file holding the tree's name; `x -> y` is a link to a directory.
    struct Named(&'static str, &'static [&'static str]);

    impl Files for Named {
        fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError> {
            match self.kind(path) {
                Some(Kind::File) => Ok(Cow::Borrowed(self.0.as_bytes())),
                _ => Err(FilesError::NotFound),
            }
        }

        fn kind(&self, path: &str) -> Option<Kind> {
            let path = self.resolve(path).ok()?;
            if self.1.contains(&path.as_str()) {
                return Some(Kind::File);
            }
            self.1
                .iter()
                .any(|file| is_below(&path, file))
                .then_some(Kind::Dir)
        }

        fn resolve(&self, path: &str) -> Result<String, FilesError> {
            let mut links = self.1.iter().filter_map(|entry| entry.split_once(" -> "));
            Ok(match links.find(|(link, _)| is_below(link, path)) {
                Some((link, target)) => path.replacen(link, target, 1),
                None => path.to_owned(),
            })
        }
    }

    #[test]
    fn layers_meet_exactly_at_the_directory() {
        let head = Named(
            "head",
            &["environments/prod/a", "environments/production/a", "apps/a"],
        );
        let verified = Named("verified", &["environments/production/a", "apps/a"]);
        let layered = Layered::new("environments/prod/", &head, &verified);
        for (path, expected) in [
            ("environments/prod/a", Some("head")),
            ("environments/production/a", Some("verified")),
            ("apps/a", Some("verified")),
            ("apps/b", None),
        ] {
            let content = layered.read(path).ok();
            assert_eq!(content.as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn the_way_to_a_layer_exists_even_where_the_other_tree_lacks_it() {
        let head = Named("head", &["environments/prod/a"]);
        let verified = Named("verified", &["apps/a"]);
        let layered = Layered::new("environments/prod", &head, &verified);
        for (path, expected) in [
            ("", Some(Kind::Dir)),
            ("environments", Some(Kind::Dir)),
            ("environments/prod", Some(Kind::Dir)),
            ("environments/prod/a", Some(Kind::File)),
            ("environments/staging", None),
        ] {
            assert_eq!(layered.kind(path), expected, "{path}");
        }
    }

    #[test]
    fn a_link_does_not_carry_a_layer_over_its_border() {
        let head = Named(
            "head",
            &[
                "environments/prod/shared -> apps",
                "environments/prod/own -> environments/prod/a",
                "environments/prod/a/b",
                "apps/b",
            ],
        );
        let verified = Named(
            "verified",
            &["apps/b", "apps/c -> environments/prod/a", "environments/prod/a/b"],
        );
        let layered = Layered::new("environments/prod", &head, &verified);
        for path in ["environments/prod/shared/b", "apps/c/b"] {
            let error = layered.read(path).unwrap_err().to_string();
            assert!(error.contains("crosses the border"), "{path}: {error}");
        }
        assert_eq!(layered.read("environments/prod/own/b").unwrap().as_ref(), b"head");
    }

    #[test]
    fn an_edit_shows_its_own_files_and_the_rest_of_the_tree() {
        let tree = Named("tree", &["a/b", "a/c", "a/gone"]);
        let edit = Edit {
            files: BTreeMap::from([("a/b".into(), b"new".to_vec()), ("d/e".into(), b"new".to_vec())]),
            removed: BTreeSet::from(["a/gone".to_owned()]),
        };
        let edited = Edited::new(&tree, &edit);
        for (path, kind, content) in [
            ("a/b", Some(Kind::File), Some("new")),
            ("a/c", Some(Kind::File), Some("tree")),
            ("d", Some(Kind::Dir), None),
            ("d/e", Some(Kind::File), Some("new")),
            ("x", None, None),
            ("a/gone", None, None),
        ] {
            assert_eq!(edited.kind(path), kind, "{path}");
            assert_eq!(
                edited.read(path).ok().as_deref(),
                content.map(str::as_bytes),
                "{path}"
            );
        }
    }
}
