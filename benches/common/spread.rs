//! Spread: what some runs of a benchmark took.

use std::fmt;
use std::time::Duration;

/// The shortest, the middle and the longest of some times, in milliseconds; shown as two cells of a row.
pub struct Spread {
    least: f64,
    /// The middle one.
    pub median: f64,
    most: f64,
}

impl From<Vec<Duration>> for Spread {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let ms = |at: usize| times[at].as_secs_f64() * 1000.0;
        Self {
            least: ms(0),
            median: ms(times.len() / 2),
            most: ms(times.len() - 1),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, median, most } = self;
        write!(f, "{median:.1} ms | {least:.1} to {most:.1} ms")
    }
}
