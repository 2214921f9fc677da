//! gitsync itself: the built binary, run to its end or as a daemon, with an environment that holds nothing of the machine's.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::binaries;
use super::git::hermetic;
use super::output::Output;
use super::process::{Process, guarded};
use super::state::StateDirectory;
use super::terminal::{Terminal, on_terminal};
use super::wait::wait_for;

/// How long a command that is not a daemon may take; more than the longest wait of the example's configuration.
const DEADLINE: Duration = Duration::from_secs(400);

/// How long a daemon may take to listen.
const LISTENS: Duration = Duration::from_secs(180);

/// How long a daemon may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(30);

/// The binary, with a home directory of its own and what was added to its environment.
#[derive(Debug)]
pub struct Gitsync {
    home: StateDirectory,
    environment: Vec<(OsString, OsString)>,
    daemons: AtomicU32,
}

/// A running daemon; it is killed at drop, and its last lines are shown when the test has failed.
#[must_use = "the daemon is killed when this value is dropped"]
#[derive(Debug)]
pub struct Daemon {
    process: Process,
}

// === impl Gitsync ===

impl Gitsync {
    /// The binary with an empty home directory and no way to a cluster.
    pub fn new() -> Self {
        Self {
            home: StateDirectory::create("home"),
            environment: Vec::new(),
            daemons: AtomicU32::new(0),
        }
    }

    /// Adds a variable to its environment.
    #[must_use = "the variable is added to the value that is returned"]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Its home directory, which is also where it runs.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs a command to its end, in its home directory.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_in(self.home(), args)
    }

    /// Runs a command to its end, in another directory such as a clone.
    #[track_caller]
    pub fn run_in(&self, directory: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(binaries::gitsync());
        self.prepare(&mut command);
        command.current_dir(directory).args(args);
        Output::of(command, DEADLINE)
    }

    /// Starts a command on a terminal of that many columns and rows, in a directory.
    #[track_caller]
    pub fn on_terminal(&self, directory: &Path, args: &[&str], size: (u16, u16)) -> Terminal {
        let mut command = on_terminal(binaries::gitsync());
        self.prepare(&mut command);
        if command.get_envs().all(|(name, _)| name != "TERM") {
            command.env("TERM", "xterm-256color");
        }
        command.current_dir(directory).args(args);
        Terminal::start(command, size.0, size.1)
    }

    /// Starts a daemon; everything that it writes goes to one log.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        let number = self.daemons.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("gitsync-{number}");
        let log = self.home.log(&name);
        let mut command = guarded(binaries::gitsync(), &log);
        self.prepare(&mut command);
        // As in the image: what is freed is given back at once, so that what a daemon holds is what it needs.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        command.current_dir(self.home()).args(args);
        Daemon {
            process: Process::start(&name, &log, command),
        }
    }

    fn prepare(&self, command: &mut Command) {
        hermetic(command);
        command
            .env("HOME", self.home())
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
}

// === impl Daemon ===

impl Daemon {
    /// All that it has written.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Where its dashboard listens, once it says so.
    pub fn address(&self) -> String {
        wait_for(LISTENS, "the daemon says where it listens", || {
            let log = self.log();
            let told = log.split("dashboard at http://").nth(1);
            told.and_then(|rest| rest.split('/').next())
                .map(str::to_owned)
                .ok_or(log)
        })
    }

    /// Its exit code, if it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops it in the middle of whatever it does (SIGSTOP), until [`Self::resume`].
    pub fn pause(&mut self) {
        self.process.signal("STOP");
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&mut self) {
        self.process.signal("CONT");
    }

    /// Kills it, as `kill -9` does, and waits for its end.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Asks it to end, as an orchestrator does (SIGTERM), and returns its exit code.
    #[track_caller]
    pub fn terminate(mut self) -> i32 {
        self.process.terminate(GRACE)
    }

    /// Asks it to end as Ctrl-C does (SIGINT), and returns its exit code.
    #[track_caller]
    pub fn interrupt(mut self) -> i32 {
        self.process.interrupt(GRACE)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&self.process.tail(60));
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner shows it with the test that failed"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}
