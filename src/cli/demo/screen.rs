//! Screen: how the demo's story is drawn. One line at a time; where the terminal allows it, the last line moves.

use std::io;
use std::time::{Duration, Instant};

use super::Stop;
use crate::cli::ui::{Ui, wrap};
use crate::report::paint::{Paint, Tone};

/// The widest that lines of prose get, in columns.
const WIDEST: usize = 100;

/// The columns of the environment's name, of what happens to it, and of a bar.
const WHERE: usize = 8;
const WHAT: usize = 10;
const BAR: usize = 24;

/// What took less was there already.
const SHORTEST: Duration = Duration::from_millis(50);

/// The pictures of what goes on, one after the other.
const SPINNER: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Something that happens, as one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The environment, or `git`.
    pub place: String,
    /// What happens to it.
    pub what: &'static str,
    /// How much of it is done, from 0 to 1; none draws no bar.
    pub share: Option<f64>,
    /// What there is to know of it now.
    pub text: String,
}

/// The standard output of the demo.
pub struct Screen<'a> {
    ui: &'a mut Ui,
    paint: Paint,
    live: bool,
    width: usize,
    started: Instant,
    moving: bool,
}

// === impl Row ===

impl Row {
    /// A row without a bar.
    pub fn new(place: &str, what: &'static str, text: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            what,
            share: None,
            text: text.into(),
        }
    }

    /// The line in `width` columns: a mark, the columns of the row, and how long it took.
    fn line(&self, mark: (Tone, &str), took: Option<Duration>, width: usize, paint: Paint) -> String {
        let bar = self.share.map(|share| bar(share, BAR)).unwrap_or_default();
        let gap = if bar.is_empty() { "" } else { "  " };
        let took = took
            .filter(|took| *took >= SHORTEST)
            .map(|took| format!("  {:.1} s", took.as_secs_f64()))
            .unwrap_or_default();
        // Two columns each before and after the mark, two after each of the others.
        let used = 4 + WHERE + 2 + WHAT + 2 + bar.chars().count() + gap.len() + took.chars().count();
        let room = width.saturating_sub(used + 1);
        let text = cut(&self.text, room);
        let blank = " ".repeat(room - text.chars().count());
        let line = format!(
            "  {} {}  {}  {}{gap}{text}{blank}{}",
            paint.tone(mark.0, mark.1),
            paint.tone(Tone::Strong, &format!("{:WHERE$}", self.place)),
            paint.tone(Tone::Dim, &format!("{:WHAT$}", self.what)),
            paint.tone(mark.0, &bar),
            paint.tone(Tone::Dim, &took),
        );
        line.trim_end().to_owned()
    }
}

// === impl Screen ===

impl<'a> Screen<'a> {
    /// The process's standard output; `plain` without colours and without lines that move.
    pub fn new(ui: &'a mut Ui, plain: bool) -> Self {
        Self {
            paint: if plain { Paint::default() } else { ui.paint() },
            live: ui.is_screen() && !plain,
            width: ui.width().min(WIDEST),
            started: Instant::now(),
            moving: false,
            ui,
        }
    }

    /// Colours, as far as there are any.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// How long the demo has been running.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A heading.
    pub fn heading(&mut self, number: usize, title: &str) -> Result<(), Stop> {
        let clock = format!("{:.0} s", self.elapsed().as_secs_f64());
        let head = format!("{number}  {title} ");
        let rule = self
            .width
            .saturating_sub(head.chars().count() + clock.chars().count() + 2);
        let line = format!(
            "\n{}{} {}\n",
            self.paint.tone(Tone::Strong, &head),
            self.paint.tone(Tone::Dim, &"─".repeat(rule)),
            self.paint.tone(Tone::Dim, &clock)
        );
        self.put(&line)
    }

    /// A paragraph of the story.
    pub fn prose(&mut self, text: &str) -> Result<(), Stop> {
        let lines = wrap(text, self.width.saturating_sub(3));
        let lines: String = lines.iter().map(|line| format!("   {line}\n")).collect();
        self.put(&lines)
    }

    /// A command, as it would be typed; a long one goes on in a second line.
    pub fn command(&mut self, line: &str) -> Result<(), Stop> {
        let lines = wrap(line, self.width.saturating_sub(9));
        let shown = lines.join(" \\\n       ");
        let shown = self.paint.tone(Tone::Hunk, &shown);
        self.put(&format!("\n   $ {shown}\n"))
    }

    /// What a command said. A line that is too long goes on below itself, a little further in.
    pub fn output(&mut self, text: &str) -> Result<(), Stop> {
        let width = self.width.saturating_sub(5);
        let lines = text.lines().flat_map(|line| folded(line, width));
        let lines: String = lines.map(|line| format!("     {line}\n")).collect();
        self.put(&lines)
    }

    /// A line below a row that says more of it.
    pub fn detail(&mut self, text: &str, tone: Option<Tone>) -> Result<(), Stop> {
        let indent = 4 + WHERE + 2;
        for line in wrap(text, self.width.saturating_sub(indent)) {
            let line = tone.map_or_else(|| line.clone(), |tone| self.paint.tone(tone, &line));
            self.put(&format!("{:indent$}{line}\n", ""))?;
        }
        Ok(())
    }

    /// A line below a row that is a text of its own, such as a trailer: it is cut and not wrapped.
    pub fn quote(&mut self, text: &str) -> Result<(), Stop> {
        let indent = 4 + WHERE + 2;
        let text = cut(text, self.width.saturating_sub(indent));
        let text = self.paint.tone(Tone::Dim, &text);
        self.put(&format!("{:indent$}{text}\n", ""))
    }

    /// An empty line.
    pub fn gap(&mut self) -> Result<(), Stop> {
        self.put("\n")
    }

    /// Shows a row that goes on; nothing where lines cannot move.
    pub fn moving(&mut self, row: &Row) -> Result<(), Stop> {
        if !self.live {
            return Ok(());
        }
        let frame = self.elapsed().as_millis() / 80 % SPINNER.len() as u128;
        let frame = SPINNER[usize::try_from(frame).unwrap_or_default()];
        let line = row.line((Tone::Hunk, frame), None, self.width, self.paint);
        self.moving = true;
        self.write(&format!("\r\x1b[2K{line}"))
    }

    /// Shows how something ended.
    pub fn ended(&mut self, good: bool, row: &Row, took: Duration) -> Result<(), Stop> {
        let mark = if good {
            (Tone::Good, "✓")
        } else {
            (Tone::Bad, "✗")
        };
        let row = Row {
            share: None,
            ..row.clone()
        };
        let line = row.line(mark, Some(took), self.width, self.paint);
        self.put(&format!("{line}\n"))
    }

    /// Something that was noticed.
    pub fn noticed(&mut self, row: &Row) -> Result<(), Stop> {
        let line = row.line((Tone::Warn, "!"), None, self.width, self.paint);
        self.put(&format!("{line}\n"))
    }

    /// Writes whole lines.
    pub fn put(&mut self, text: &str) -> Result<(), Stop> {
        self.clear()?;
        self.write(text)
    }

    /// Removes a line that moves.
    pub fn clear(&mut self) -> Result<(), Stop> {
        if std::mem::take(&mut self.moving) {
            self.write("\r\x1b[2K")?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.ui.answer(text).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::Failed(crate::cli::failure::Failure::unreachable(error)),
        })
    }
}

/// A bar of `width` columns, filled to `share`.
fn bar(share: f64, width: usize) -> String {
    let halves = (share.clamp(0.0, 1.0) * (width * 2) as f64).round() as usize;
    let (full, half) = (halves / 2, halves % 2);
    let half = if half == 1 { "╸" } else { "" };
    let rest = width - full - half.chars().count();
    format!("{}{half}{}", "━".repeat(full), "─".repeat(rest))
}

/// The beginning of a text, if it has more than `room` characters.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    if room == 0 { kept } else { format!("{kept}…") }
}

/// A line as it is, or broken between words when it has more than `width` characters.
fn folded(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let pieces = wrap(line, width.saturating_sub(indent + 2))
        .into_iter()
        .enumerate();
    pieces
        .map(|(number, piece)| format!("{:1$}{piece}", "", indent + 2 * number.min(1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fills_its_columns_and_never_more() {
        let row = Row {
            share: Some(0.5),
            ..Row::new("staging", "load check", "3210 requests, p(90) 6 ms")
        };
        let line = row.line((Tone::Good, "✓"), None, 80, Paint::default());
        assert_eq!(
            line,
            "  ✓ staging   load check  ━━━━━━━━━━━━────────────  3210 requests, p(90) 6 ms"
        );
        let row = Row::new(
            "git",
            "promoted",
            "8c31fa2 Promote jenkins-flask-app:900d0002 to prod",
        );
        for width in [40, 60, 80, 100] {
            let took = Some(Duration::from_millis(1234));
            let line = row.line((Tone::Good, "✓"), took, width, Paint::default());
            assert!(line.chars().count() < width, "{width}: {line}");
            assert!(line.ends_with("  1.2 s"), "{line}");
        }
    }

    #[test]
    fn bars_are_as_long_as_what_is_done() {
        assert_eq!(bar(0.0, 4), "────");
        assert_eq!(bar(0.37, 4), "━╸──");
        assert_eq!(bar(1.0, 4), "━━━━");
        assert_eq!(bar(7.0, 4), "━━━━");
    }

    #[test]
    fn prose_is_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("a-word-that-is-too-long x", 5),
            ["a-word-that-is-too-long", "x"]
        );
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(folded("A   table's row", 20), ["A   table's row"]);
        assert_eq!(folded("  one two three", 9), ["  one", "    two", "    three"]);
    }
}
