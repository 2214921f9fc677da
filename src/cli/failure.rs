//! Failure: an error at the edge of the program, with the exit code that it means and hints that are commands.

use std::error::Error;
use std::fmt;

use crate::problem::chain;

/// What a command answers when it did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes, or done: exit code 0.
    Yes,
    /// The answer is no (differences found, a gate failed, a validation failed): exit code 1.
    No,
    /// An exit code of the command's own table (`check` has k6's).
    Code(u8),
}

/// Who has to act on a failure; the exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong usage or configuration: exit code 2.
    Usage,
    /// The world is unreachable; the same call may succeed later: exit code 3.
    Unreachable,
    /// A guard refused: exit code 4.
    Refused,
    /// A newer commit took over: exit code 5.
    Superseded,
    /// A mistake of gitsync itself: exit code 70.
    Bug,
    /// Somebody ended it, as with Ctrl-C: exit code 130.
    Interrupted,
}

/// An error that ends a command.
#[derive(Debug)]
pub struct Failure {
    /// Who has to act.
    pub kind: Kind,
    /// What went wrong, with its causes as sources.
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do next; commands where possible.
    pub hints: Vec<String>,
}

// === impl Answer ===

impl Answer {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Code(code) => code,
        }
    }
}

// === impl Kind ===

impl Kind {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Superseded => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

// === impl Failure ===

impl Failure {
    /// A failure of `kind` because of `error`.
    pub fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            error: error.into(),
            hints: Vec::new(),
        }
    }

    /// Wrong usage or configuration.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Usage, error)
    }

    /// The world is unreachable.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Kind::Unreachable, error)
    }

    /// Somebody ended it.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self.error.as_ref()))
    }
}
