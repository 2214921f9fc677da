//! A state directory: where a cluster or a scenario keeps its files while it runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::{Janitor, remove_at_exit};

/// A temporary directory that goes when it is dropped or the test process ends, unless it is to be kept.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    _janitor: Janitor,
}

// === impl StateDirectory ===

impl StateDirectory {
    /// Creates the directory; `name` is part of its own.
    pub fn create(name: &str) -> Self {
        let path = tempfile::Builder::new()
            .prefix(&format!("gitsync-test-{name}-"))
            .tempdir()
            .expect("a temporary directory")
            .keep();
        Self {
            _janitor: remove_at_exit(&path),
            path,
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// The log file of a program.
    pub fn log(&self, program: &str) -> PathBuf {
        self.path.join(format!("{program}.log"))
    }

    /// Leaves the directory in place for somebody to look at.
    pub fn keep(&self) {
        self.write("keep", "a test failed; this directory may be removed\n");
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // At once where that is possible; what cannot go yet is left to the janitor.
        if !self.path.join("keep").exists() {
            fs::remove_dir_all(&self.path).ok();
        }
    }
}
