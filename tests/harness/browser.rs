//! A browser: Chromium without a window, with a profile of its own, that only asks the page it is given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::output::Output;

/// How long a page may take.
const DEADLINE: Duration = Duration::from_secs(90);

/// How long a page may settle, in milliseconds. A page that follows the server never ends loading by itself.
const SETTLE: &str = "--timeout=4000";

/// Chromium.
pub struct Browser {
    program: PathBuf,
}

// === impl Browser ===

impl Browser {
    /// The Chromium of this machine.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|name| dir.join(name)))
            .find(|program| program.is_file())
            .expect("Chromium; install it with: apt-get install chromium");
        Self { program }
    }

    /// The document as it is after its script ran.
    #[track_caller]
    pub fn dom(&self, url: &str) -> String {
        self.run(&[SETTLE, "--dump-dom", url]).ok()
    }

    /// A picture of a page.
    #[track_caller]
    pub fn screenshot(&self, url: &str, file: &Path, (width, height): (u32, u32), dark: bool) {
        let file = format!("--screenshot={}", file.display());
        let size = format!("--window-size={width},{height}");
        let scheme = if dark {
            "--blink-settings=preferredColorScheme=0"
        } else {
            "--blink-settings=preferredColorScheme=1"
        };
        self.run(&["--hide-scrollbars", SETTLE, &size, scheme, &file, url])
            .ok();
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.program);
        command
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(args);
        Output::of(command, DEADLINE)
    }
}
