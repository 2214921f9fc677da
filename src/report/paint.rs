//! Paint: colour by meaning. The one place that knows which colour a meaning has, and whether there is colour at all.

use anstyle::{AnsiColor, Style};

/// What a piece of text means; the colour follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something new, or a good state.
    Good,
    /// Something gone, or a bad state.
    Bad,
    /// The words of a new line that are new.
    GoodWord,
    /// The words of a line that goes which go.
    BadWord,
    /// Something to look at.
    Warn,
    /// A heading, or the name of a thing.
    Strong,
    /// A position or context.
    Hunk,
    /// Less important than what is around it.
    Dim,
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    enabled: bool,
}

// === impl Paint ===

impl Paint {
    /// Paint that colours when `enabled`.
    #[must_use]
    pub fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// Whether colours are on.
    #[must_use]
    pub fn enabled(self) -> bool {
        self.enabled
    }

    /// `text` in the colour of `tone`.
    #[must_use]
    pub fn tone(self, tone: Tone, text: &str) -> String {
        if !self.enabled || text.is_empty() {
            return text.to_owned();
        }
        let style = style_of(tone);
        format!("{style}{text}{style:#}")
    }
}

fn style_of(tone: Tone) -> Style {
    match tone {
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::GoodWord => AnsiColor::Green.on_default().invert(),
        Tone::BadWord => AnsiColor::Red.on_default().invert(),
        // Yellow, which many use here, cannot be read on a white background.
        Tone::Warn => AnsiColor::Magenta.on_default(),
        Tone::Strong => Style::new().bold(),
        Tone::Hunk => AnsiColor::Cyan.on_default(),
        Tone::Dim => Style::new().dimmed(),
    }
}
