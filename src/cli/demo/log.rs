//! Log: what the daemon of the demo writes goes to a file, and to the terminal only once the story is told.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The daemon's log.
pub struct Log {
    file: File,
    shown: AtomicBool,
}

// === impl Log ===

impl Log {
    /// A log in a new file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create_new(path)?,
            shown: AtomicBool::new(false),
        })
    }

    /// Shows what is written from now on.
    pub fn show(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }
}

impl Write for &Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.file).write_all(bytes)?;
        if self.shown.load(Ordering::Relaxed) {
            // Nobody may be there to read it.
            let _ = io::stderr().lock().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}
