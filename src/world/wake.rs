//! Wake: a signal when a file that credentials come from is replaced.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Wakes when one of its files changes.
pub struct Wake {
    notify: Arc<Notify>,
    _watcher: Option<notify::RecommendedWatcher>,
}

/// Watches files. What cannot be watched is not, which costs only time: errors lead to a new look anyway.
///
/// The directories are watched and not the files, because credentials are rotated by renaming (as kubelet does with
/// mounted Secrets, where a directory above is replaced).
#[must_use]
pub fn on_files(files: Vec<PathBuf>) -> Wake {
    let notify = Arc::new(Notify::new());
    let names: BTreeSet<_> = files
        .iter()
        .filter_map(|file| file.file_name().map(ToOwned::to_owned))
        .collect();
    let wake = Arc::clone(&notify);
    let concerns = move |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        names.contains(name) || name.to_string_lossy().starts_with("..")
    };
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(&concerns)) {
            wake.notify_one();
        }
    });
    let directories: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent().map(ToOwned::to_owned))
        .collect();
    let watcher = watcher.ok().map(|mut watcher| {
        for directory in directories {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, directory = %directory.display(), "not watched");
            }
        }
        watcher
    });
    Wake {
        notify,
        _watcher: watcher,
    }
}

// === impl Wake ===

impl Wake {
    /// Waits for the next change.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}
