//! Litter: temporary directories that must go even when a second signal ends the process at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What is lying about; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Litter(Arc<Mutex<Vec<PathBuf>>>);

// === impl Litter ===

impl Litter {
    /// Remembers a directory.
    pub fn add(&self, directory: PathBuf) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(directory);
    }

    /// Removes every directory that is still there.
    pub fn sweep(&self) {
        for directory in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be gone already, and nothing can be done about what cannot be removed.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
