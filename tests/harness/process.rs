//! A guarded process: a child that never outlives the test process, however that one ends.
//!
//! `PR_SET_PDEATHSIG` needs unsafe code, so a shell stands between. It starts the program and waits for it; beside, it
//! reads from a pipe whose other end only the test process holds. The kernel closes that end when the test process
//! ends, be it by `kill -9`, and then the program is killed. The group of its own keeps a Ctrl-C in the terminal from
//! ending the shell before the program.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Beyond a limit on the size of files, a program that it starts gets the error of a full disk, and no signal.
const GUARD: &str = r#"
trap '' XFSZ
log=$1; shift
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
child=$!
echo "$child"
exec >/dev/null
{ read -r _ <&3; kill -9 "$child"; } &
guard=$!
exec 3<&-
wait "$child"
code=$?
kill "$guard"
exit "$code"
"#;

/// The end of a state directory: removed once the test process is gone; if it is marked to be kept, only its 64 MB of
/// etcd's data are.
///
/// The processes that write there die at the same time, hence the second attempt.
const JANITOR: &str = r#"
dir=$1
read -r _
[ -e "$dir/keep" ] && dir=$dir/etcd
[ -e "$dir" ] || exit 0
rm -rf "$dir"
[ -e "$dir" ] && sleep 1 && rm -rf "$dir"
exit 0
"#;

/// A running program that is killed at drop, and when the test process ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    guard: Child,
    pid: u32,
}

/// The command line of a program that [`Process::start`] will guard; arguments and environment may be added.
pub fn guarded(program: impl AsRef<std::ffi::OsStr>, log: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GUARD, "guard"]).arg(log).arg(program);
    command
}

/// Lets `dir` be removed when the test process has ended. Create a file `keep` in it to keep it.
pub fn remove_at_exit(dir: &Path) -> Janitor {
    let child = Command::new("/bin/sh")
        .args(["-c", JANITOR, "janitor"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell");
    Janitor(child)
}

/// The shell that removes a directory at the end; at drop it does so at once.
#[derive(Debug)]
pub struct Janitor(Child);

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

// === impl Process ===

impl Process {
    /// Starts what [`guarded`] describes.
    ///
    /// # Panics
    ///
    /// When there is no shell.
    pub fn start(name: &str, log: &Path, mut command: Command) -> Self {
        let mut guard = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start the guard of {name}: {error}"));
        let mut line = String::new();
        BufReader::new(guard.stdout.take().expect("because it is piped"))
            .read_line(&mut line)
            .expect("the guard's first line");
        let pid = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("the guard of {name} said {line:?} instead of a process id"));
        Self {
            name: name.to_owned(),
            log: log.to_owned(),
            guard,
            pid,
        }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The program's exit code, if it has ended; 128 and the number of the signal that ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        let status = self.guard.try_wait().expect("the state of a child")?;
        Some(status.code().unwrap_or(-1))
    }

    /// Asks the program to end (SIGTERM) and returns its exit code.
    ///
    /// # Panics
    ///
    /// When it is still there after `deadline`.
    #[track_caller]
    pub fn terminate(&mut self, deadline: Duration) -> i32 {
        self.end_by("TERM", deadline)
    }

    /// Asks the program to end as Ctrl-C does (SIGINT) and returns its exit code.
    ///
    /// # Panics
    ///
    /// When it is still there after `deadline`.
    #[track_caller]
    pub fn interrupt(&mut self, deadline: Duration) -> i32 {
        self.end_by("INT", deadline)
    }

    #[track_caller]
    fn end_by(&mut self, signal: &str, deadline: Duration) -> i32 {
        self.signal(signal);
        let start = Instant::now();
        loop {
            if let Some(code) = self.exit_code() {
                return code;
            }
            assert!(
                start.elapsed() < deadline,
                "{} did not end within {deadline:?} of SIG{signal}\n{}",
                self.name,
                self.tail(40)
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the program (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        // The guard kills its program when its pipe closes: there is no moment in which another process has the id.
        drop(self.guard.stdin.take());
        drop(self.guard.wait());
    }

    /// All that the program has written.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines that the program has written, under its name.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.name, &self.log, lines)
    }

    /// Sends the program a signal, for example `STOP`, if it still runs.
    pub fn signal(&mut self, signal: &str) {
        if self.exit_code().is_some() {
            return;
        }
        send(signal, self.pid);
    }
}

/// Sends a signal to a program by the id of its process, which the caller's [`Process`] still guards.
pub fn send(signal: &str, pid: u32) {
    drop(
        Command::new("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "kill", signal, &pid.to_string()])
            .stderr(Stdio::null())
            .status(),
    );
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log, under a heading.
pub fn tail(name: &str, log: &Path, lines: usize) -> String {
    last_lines(name, log, lines, |_| true)
}

/// The last lines of a log that tell of an error, in the forms of klog and of JSON, under a heading.
pub fn errors(name: &str, log: &Path, lines: usize) -> String {
    last_lines(name, log, lines, |line| {
        let line = line.to_lowercase();
        line.starts_with(['e', 'f']) || line.contains("\"level\":\"error\"") || line.contains("panic")
    })
}

fn last_lines(name: &str, log: &Path, lines: usize, wanted: impl Fn(&str) -> bool) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().filter(|line| wanted(line)).collect();
    let shown = all[all.len().saturating_sub(lines)..].join("\n");
    format!("--- {name}, the end of {}\n{shown}\n", log.display())
}
