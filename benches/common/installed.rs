//! Installed: programs in a directory of their own, copied as an installation does.
//!
//! A linker writes its file here and there, which leaves the kernel with smaller pieces to map; what people run was copied.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The directory, which is removed in the end.
pub struct Installed {
    dir: TempDir,
}

impl Installed {
    /// A directory without programs.
    ///
    /// # Panics
    ///
    /// When there is no place for one.
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("because a temporary directory can be made"),
        }
    }

    /// The copy of a program.
    ///
    /// # Panics
    ///
    /// When it cannot be copied.
    pub fn program(&self, built: &Path) -> PathBuf {
        let name = built.file_name().expect("because a program has a name");
        let copy = self.dir.path().join(name);
        fs::copy(built, &copy).unwrap_or_else(|error| panic!("cannot copy {}: {error}", built.display()));
        copy
    }
}
