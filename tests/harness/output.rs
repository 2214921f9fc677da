//! Output: what a finished command left, printed whole when an assertion about it fails.

use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What a command wrote and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
}

// === impl Output ===

impl Output {
    /// Runs a command to its end, with no standard input.
    ///
    /// # Panics
    ///
    /// When it cannot be started or is not done after `deadline`; it is killed then.
    #[track_caller]
    pub fn of(mut command: Command, deadline: Duration) -> Self {
        let line = command_line(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{line}`: {error}"));
        let stdout = collect(child.stdout.take().expect("because it is piped"));
        let stderr = collect(child.stderr.take().expect("because it is piped"));
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("the state of a child") {
                Some(status) => break Some(status),
                None if start.elapsed() >= deadline => {
                    child.kill().expect("because the child has not been waited for");
                    child.wait().expect("the end of a killed child");
                    break None;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let output = Self {
            command: line,
            stdout: stdout.join().expect("because reading does not panic"),
            stderr: stderr.join().expect("because reading does not panic"),
            code: status.and_then(|status| status.code()).unwrap_or(-1),
        };
        assert!(status.is_some(), "not done after {deadline:?}\n{output}");
        output
    }

    /// The output itself, if the command ended with `code`.
    ///
    /// # Panics
    ///
    /// When it ended otherwise, with all that it wrote.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "another exit code was expected\n{self}");
        self
    }

    /// The standard output of a command that succeeded.
    ///
    /// # Panics
    ///
    /// When it did not, with all that it wrote.
    #[track_caller]
    pub fn ok(self) -> String {
        self.expect_code(0).stdout
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            stdout,
            stderr,
            code,
        } = self;
        write!(
            f,
            "$ {command}\n--- stdout\n{stdout}--- stderr\n{stderr}--- exit code {code}\n"
        )
    }
}

fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks leaves what was read until then, which is what there is to show.
        drop(pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
