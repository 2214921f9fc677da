//! Files: a tree of files that is only read, wherever it is kept.

use std::borrow::Cow;

/// A tree of files. Paths are slash-separated and relative to the root, which is the empty path.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it cannot be read.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FilesError>;

    /// What is at a path, if anything is.
    fn kind(&self, path: &str) -> Option<Kind>;
}

/// What can be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Dir,
}

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilesError {
    /// Nothing is there.
    #[error("{path}: no such file")]
    NotFound {
        /// The path.
        path: String,
    },
    /// Something is there, but its content cannot be had.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
}
