//! Ui: the terminal. Answers go to stdout and the story to stderr, so that a pipe gets the answer alone.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::{Answer, Failure};
use crate::report::paint::{Paint, Tone};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams of a command, and what the terminal behind them can show.
pub struct Ui {
    quiet: bool,
    out_paint: Paint,
    err_paint: Paint,
    live: bool,
    screen: bool,
    err_screen: bool,
    paging: Arc<AtomicBool>,
    kept: Option<String>,
}

/// The lines of a terminal that does not say how many it has.
const SCREEN_LINES: usize = 24;

/// A shell's exit codes for a program that cannot be started.
const NOT_STARTED: [i32; 2] = [126, 127];

// === impl Ui ===

impl Ui {
    /// A `Ui` on the process's own stdout and stderr.
    #[must_use]
    pub fn new(color: ColorChoice, quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |terminal: bool| match color {
            ColorChoice::Auto => Paint::new(terminal && !plain && !dumb),
            ColorChoice::Always => Paint::new(true),
            ColorChoice::Never => Paint::new(false),
        };
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            quiet,
            out_paint: paint(out_terminal),
            err_paint: paint(err_terminal),
            live: err_terminal && !dumb && !quiet,
            screen: out_terminal && !dumb,
            err_screen: err_terminal && !dumb,
            paging: Arc::default(),
            kept: None,
        }
    }

    /// A `Ui` that keeps what is written, for [`Ui::kept`], and shows none of it.
    #[must_use]
    pub fn keeping(paint: Paint) -> Self {
        Self {
            quiet: false,
            out_paint: paint,
            err_paint: paint,
            live: false,
            screen: false,
            err_screen: false,
            paging: Arc::default(),
            kept: Some(String::new()),
        }
    }

    /// What was written to either stream, in order.
    #[must_use]
    pub fn kept(self) -> String {
        self.kept.unwrap_or_default()
    }

    /// How to colour an answer.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.out_paint
    }

    /// Whether a line of the story may be rewritten in place: a terminal, and not quiet.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether a line of the answer may be rewritten in place.
    #[must_use]
    pub fn is_screen(&self) -> bool {
        self.screen
    }

    /// Whether a pager has the keyboard at the moment.
    #[must_use]
    pub fn paging(&self) -> Arc<AtomicBool> {
        self.paging.clone()
    }

    /// Columns of the terminal, or 80 where that is unknown.
    #[must_use]
    pub fn width(&self) -> usize {
        let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let of = |size: rustix::io::Result<rustix::termios::Winsize>| {
            size.ok()
                .map(|size| usize::from(size.ws_col))
                .filter(|columns| *columns > 0)
        };
        let asked = || {
            of(rustix::termios::tcgetwinsize(io::stderr()))
                .or_else(|| of(rustix::termios::tcgetwinsize(io::stdout())))
        };
        told.or_else(asked).filter(|columns| *columns >= 40).unwrap_or(80)
    }

    /// Writes `text` to stdout as it is.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written; a closed pipe is [`io::ErrorKind::BrokenPipe`], which a caller at the top
    /// treats as success: the reader had enough.
    pub fn answer(&mut self, text: &str) -> io::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.push_str(text);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes an answer, as the last thing that a command does.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written. A reader that had enough is no error.
    pub fn print(&mut self, text: &str) -> Result<Answer, Failure> {
        match self.answer(text) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::unreachable(error)),
            _ => Ok(Answer::Yes),
        }
    }

    /// An answer that is made of sentences: for a terminal, long lines break between words and stay indented.
    #[must_use]
    pub fn folded(&self, text: &str) -> String {
        self.folded_for(self.screen, text)
    }

    fn folded_for(&self, terminal: bool, text: &str) -> String {
        if !terminal {
            return text.to_owned();
        }
        let width = self.width();
        text.split_inclusive('\n').map(|line| fold(line, width)).collect()
    }

    /// Writes an answer through a pager, when it goes to a terminal that it would not fit on. Without one that can be
    /// started, it is written as it is.
    ///
    /// # Errors
    ///
    /// As [`Ui::print`].
    pub fn page(&mut self, text: &str) -> Result<Answer, Failure> {
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
        let rows = if rows == 0 { SCREEN_LINES } else { rows };
        if !self.screen || text.lines().count() < rows {
            return self.print(text);
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pager = variable("GITSYNC_PAGER").or_else(|| variable("PAGER"));
        let mut command = Command::new("sh");
        command
            .args(["-c", pager.as_deref().unwrap_or("less")])
            .stdin(Stdio::piped());
        if variable("LESS").is_none() {
            // Colours stay, a short text ends by itself, and the screen is left as it was.
            command.env("LESS", "FRX");
        }
        self.paging.store(true, Ordering::Relaxed);
        let shown = show(command, text);
        self.paging.store(false, Ordering::Relaxed);
        if shown { Ok(Answer::Yes) } else { self.print(text) }
    }

    /// Writes a failure that does not end the command; `what` says which part of it failed.
    pub fn fail(&mut self, what: &str, failure: &Failure) {
        let text = failure.to_string();
        let gap = if text.contains('\n') { "\n" } else { " " };
        self.error(&format!("{what}:{gap}{text}"), &failure.hints);
    }

    /// Writes a line of the story to stderr, unless quiet.
    pub fn story(&mut self, line: &str) {
        if !self.quiet {
            self.write_story(&format!("{line}\n"));
        }
    }

    /// Rewrites the last line of the story in place; call [`Ui::story`] or [`Ui::clear`] when done.
    pub fn live(&mut self, line: &str) {
        if self.live {
            self.write_story(&format!("\r\x1b[2K{line}"));
        }
    }

    /// Removes the line that [`Ui::live`] wrote.
    pub fn clear(&mut self) {
        if self.live {
            self.write_story("\r\x1b[2K");
        }
    }

    /// Writes `warning: …` to stderr, also when quiet.
    pub fn warn(&mut self, text: &str) {
        let label = self.err_paint.tone(Tone::Warn, "warning");
        self.write_sentence(&format!("{label}: {text}\n"));
    }

    /// Writes `error: …` with its causes and hints to stderr, also when quiet.
    pub fn error(&mut self, text: &str, hints: &[String]) {
        let label = self.err_paint.tone(Tone::Bad, "error");
        self.write_sentence(&format!("{label}: {text}\n"));
        for hint in hints {
            let label = self.err_paint.tone(Tone::Hunk, "hint");
            self.write_story(&format!("{label}: {hint}\n"));
        }
    }

    /// How to colour the story.
    #[must_use]
    pub fn story_paint(&self) -> Paint {
        self.err_paint
    }

    fn write_sentence(&mut self, text: &str) {
        let folded = self.folded_for(self.err_screen, text);
        self.write_story(&folded);
    }

    fn write_story(&mut self, text: &str) {
        if let Some(kept) = &mut self.kept {
            kept.push_str(text);
            return;
        }
        // A story that nobody can read any more is no reason to stop the work.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Gives a text to a pager, and waits for its end; whether there was one.
fn show(mut pager: Command, text: &str) -> bool {
    let Ok(mut child) = pager.spawn() else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        // A reader that had enough closes its end.
        let _ = input.write_all(text.as_bytes());
    }
    let code = child.wait().ok().and_then(|status| status.code());
    !code.is_some_and(|code| NOT_STARTED.contains(&code))
}

/// A line, broken between words where it is longer than `width`; what follows is indented a little more than its
/// beginning. Colours have no width; a word that is longer than any line stays where it is.
fn fold(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len() + 2;
    let (mut out, mut column, mut word) = (String::new(), 0, String::new());
    let (mut word_width, mut is_blank) = (0, true);
    let fits = |word: usize| word > 0 && indent + word <= width;
    let mut chars = line.chars();
    loop {
        let next = chars.next();
        if let Some(character) = next.filter(|character| !matches!(character, ' ' | '\n')) {
            word.push(character);
            if character == '\x1b' {
                let escape = chars.by_ref().take_while(|end| *end != 'm');
                word.extend(escape);
                word.push('m');
            } else {
                word_width += 1;
            }
            continue;
        }
        if !is_blank && column + word_width > width && fits(word_width) {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        is_blank &= word_width == 0;
        out.push_str(&word);
        column += word_width + 1;
        (word, word_width) = (String::new(), 0);
        match next {
            Some(character) => out.push(character),
            None => return out,
        }
    }
}

/// The lines of a text, broken between words; a longer word stays whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_breaks_between_words_and_stays_indented() {
        for (line, expected) in [
            ("  short\n", "  short\n"),
            ("  one two three four\n", "  one two\n    three\n    four\n"),
            ("a  b   c\n", "a  b   c\n"),
            (
                "  \x1b[31mone\x1b[0m two three\n",
                "  \x1b[31mone\x1b[0m two\n    three\n",
            ),
            ("0123456789abcdef\n", "0123456789abcdef\n"),
            ("  x 0123456789abcdef y\n", "  x 0123456789abcdef\n    y\n"),
            ("", ""),
            ("one two three", "one two\n  three"),
        ] {
            assert_eq!(fold(line, 10), expected, "{line:?}");
        }
    }
}
