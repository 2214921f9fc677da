//! A terminal: a pseudo-terminal with a program on it and somebody who reads and types.
//!
//! `setsid --ctty` of util-linux makes it the program's controlling terminal, which is what turns a typed Ctrl-C into a signal
//! and which a pager opens as /dev/tty; to do so here would need unsafe code.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::wait::wait_for;

/// How long the program may take for what is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a person types to interrupt.
pub const CTRL_C: &str = "\x03";

/// A program on a terminal; it is killed at drop.
#[derive(Debug)]
pub struct Terminal {
    /// The person's side.
    hand: File,
    /// The program's side, which keeps the terminal alive after the program's end.
    screen: OwnedFd,
    columns: usize,
    program: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// Ends when the program's side is closed.
    eye: Option<JoinHandle<()>>,
}

/// What a program left.
#[derive(Debug)]
pub struct Left {
    /// Its exit code.
    pub code: i32,
    /// All that it wrote, as it wrote it, but for the carriage returns before line feeds.
    pub written: String,
    /// The lines that a person sees at the end.
    pub lines: Vec<String>,
    /// Whether what is typed next is echoed and read by line, as a shell needs it.
    pub is_sane: bool,
}

/// The command line of a program that [`Terminal::start`] will start; arguments and environment may be added.
pub fn on_terminal(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(program);
    command
}

// === impl Terminal ===

impl Terminal {
    /// Starts what [`on_terminal`] describes on a terminal of that size.
    ///
    /// # Panics
    ///
    /// When the system has no pseudo-terminals, or no `setsid` that knows `--ctty`.
    #[track_caller]
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let hand =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal: is /dev/pts mounted?");
        grantpt(&hand).expect("a terminal of our own");
        unlockpt(&hand).expect("a terminal of our own");
        let name = ptsname(&hand, Vec::new()).expect("the name of a terminal");
        let name = name.to_str().expect("because it is below /dev/pts");
        let screen = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("the other side of the terminal");
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&screen, size).expect("because a terminal has a size");
        let side = || Stdio::from(screen.try_clone().expect("one more handle"));
        let program = command.stdin(side()).stdout(side()).stderr(side()).spawn();
        let program =
            program.unwrap_or_else(|error| panic!("setsid of util-linux is needed for this test: {error}"));
        let hand = File::from(hand);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let eye = read(hand.try_clone().expect("one more handle"), shown.clone());
        Self {
            hand,
            screen: screen.into(),
            columns: usize::from(columns),
            program,
            shown,
            eye: Some(eye),
        }
    }

    /// Types some keys.
    pub fn type_keys(&mut self, keys: &str) {
        self.hand
            .write_all(keys.as_bytes())
            .expect("because the terminal is open");
    }

    /// Waits until a text was written.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_for(DEADLINE, text, || match self.written() {
            written if written.contains(text) => Ok(()),
            written => Err(written),
        });
    }

    /// All that was written until now.
    pub fn written(&self) -> String {
        let bytes = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub fn end(mut self) -> Left {
        let status = wait_for(DEADLINE, "the program ends", || {
            let status = self.program.try_wait().expect("the state of a child");
            status.ok_or_else(|| self.written())
        });
        let modes = tcgetattr(&self.screen)
            .expect("because it is a terminal")
            .local_modes;
        // A mark of our own is the last thing to come through.
        let mark = "\u{1}the end\u{1}";
        let mut screen = File::from(self.screen.try_clone().expect("one more handle"));
        screen
            .write_all(mark.as_bytes())
            .expect("because the terminal is open");
        self.wait_for(mark);
        let written = self.written().replace(mark, "");
        Left {
            code: status.code().unwrap_or(-1),
            lines: lines(&written, self.columns),
            written,
            is_sane: modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
        // The thread ends with the process: it reads for as long as anybody holds the other side.
        drop(self.eye.take());
    }
}

fn read(mut hand: File, shown: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Without a program's side, reading fails.
        while let Ok(length @ 1..) = hand.read(&mut bytes) {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.extend_from_slice(&bytes[..length]);
        }
    })
}

/// What a terminal shows after a text: lines are rewritten and cleared as the text says, and those that are too long go on
/// in the next one.
///
/// # Panics
///
/// When the text has a control that no output of ours should have.
#[track_caller]
pub fn lines(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let mut column = 0;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let line = lines.last_mut().expect("because there is one at the beginning");
        match character {
            '\r' => column = 0,
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            '\x1b' => {
                let mut escape = String::new();
                while !escape.ends_with(char::is_alphabetic) {
                    escape.extend(Some(rest.next().expect("because a control has an end")));
                }
                match escape.as_str() {
                    "[2K" => line.clear(),
                    style if style.starts_with('[') && style.ends_with('m') => {}
                    other => panic!("the control ESC {other} in {text:?}"),
                }
            }
            character => {
                if column == columns {
                    lines.push(Vec::new());
                    column = 0;
                }
                let line = lines.last_mut().expect("because there is one at the beginning");
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                column += 1;
            }
        }
    }
    let mut lines: Vec<String> = lines.into_iter().map(|line| line.into_iter().collect()).collect();
    lines.pop_if(|line| line.is_empty());
    lines
}

#[test]
fn a_line_that_is_rewritten_is_seen_once_and_a_long_one_goes_on_below() {
    assert_eq!(lines("a\nbcd\r\x1b[2Ke\x1b[31mf\x1b[0m\n", 80), ["a", "ef"]);
    assert_eq!(lines("abcde\rx", 4), ["abcd", "x"]);
}
