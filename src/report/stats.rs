//! Stats: how quickly and how surely changes reach an environment, from what git remembers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::history::Promoted;
use super::paint::{Paint, Tone};
use crate::problem::plural;

/// What git knows of one environment in a span of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The environment.
    pub env: String,
    /// The promotions to it.
    pub promotions: Vec<Promoted>,
    /// When it was rolled back.
    pub rollbacks: Vec<Timestamp>,
    /// Images that were set where its promotions begin, and never promoted to it.
    pub left: usize,
    /// The span, in seconds.
    pub span: f64,
}

/// Seconds that several things took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many things.
    pub count: usize,
    /// Half of them took no longer.
    pub median: f64,
    /// Nine of ten took no longer.
    pub p90: f64,
    /// The longest.
    pub max: f64,
}

const WEEK: f64 = 7.0 * 86_400.0;

// === impl Spread ===

impl Spread {
    /// The spread of some seconds; `None` of nothing. Percentiles are the nearest rank.
    #[must_use]
    pub fn of(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        let count = seconds.len();
        let rank = |share: usize| seconds.get((count * share).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            count,
            median: rank(50)?,
            p90: rank(90)?,
            max: *seconds.last()?,
        })
    }

    fn json(spread: Option<Self>) -> Value {
        spread.map_or(Value::Null, |spread| {
            json!({"count": spread.count, "median": spread.median, "p90": spread.p90, "max": spread.max})
        })
    }
}

// === impl Past ===

impl Past {
    /// Promotions a week.
    #[must_use]
    pub fn per_week(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "git holds far fewer commits than 2^52")]
        let count = self.promotions.len() as f64;
        if self.span > 0.0 {
            count * WEEK / self.span
        } else {
            0.0
        }
    }

    /// From the commit that asked for an image to the one that promoted it.
    #[must_use]
    pub fn lead(&self) -> Option<Spread> {
        Spread::of(self.spans(Promoted::time))
    }

    /// From the commit that asked for an image to the passed gates.
    #[must_use]
    pub fn proof(&self) -> Option<Spread> {
        Spread::of(self.spans(Promoted::verified_at))
    }

    fn spans(&self, end: impl Fn(&Promoted) -> Option<Timestamp>) -> Vec<f64> {
        let span = |promoted: &Promoted| {
            let begin: Timestamp = promoted.introduced.as_ref()?.time.parse().ok()?;
            Some(seconds(begin, end(promoted)?))
        };
        self.promotions.iter().filter_map(span).collect()
    }

    /// From each rollback back to the promotion before it: how long something that was taken back was there.
    #[must_use]
    pub fn exposed(&self) -> Option<Spread> {
        let span = |rollback: &Timestamp| {
            let times = self.promotions.iter().filter_map(Promoted::time);
            let before = times.filter(|time| time <= rollback).max()?;
            Some(seconds(before, *rollback))
        };
        Spread::of(self.rollbacks.iter().filter_map(span).collect())
    }

    /// All of it for programs; times are in seconds.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "environment": self.env,
            "spanSeconds": self.span,
            "promotions": self.promotions.len(),
            "promotionsPerWeek": self.per_week(),
            "leadTime": Spread::json(self.lead()),
            "proof": Spread::json(self.proof()),
            "rollbacks": self.rollbacks.len(),
            "exposed": Spread::json(self.exposed()),
            "neverPromoted": self.left,
        })
    }

    /// All of it for a terminal.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let head = format!("{}, the last {}", self.env, span(self.span));
        let spread = |spread: Option<Spread>, what: &str| match spread {
            None => "-".to_owned(),
            Some(Spread {
                count,
                median,
                p90,
                max,
            }) => format!(
                "median {}, p90 {}, longest {}  ({what}; {count})",
                span(median),
                span(p90),
                span(max)
            ),
        };
        let promotions = format!("{}  ({:.1} a week)", self.promotions.len(), self.per_week());
        let rows = [
            ("promotions", promotions),
            ("lead time", spread(self.lead(), "set to promoted")),
            ("proof", spread(self.proof(), "set to proved")),
            ("rollbacks", self.rollbacks.len().to_string()),
            ("exposed", spread(self.exposed(), "promoted to rolled back")),
            (
                "not promoted",
                format!(
                    "{} set: a gate failed, or something newer came",
                    plural(self.left, "image")
                ),
            ),
        ];
        let rows = rows
            .map(|(name, value)| format!("  {}  {value}\n", paint.tone(Tone::Dim, &format!("{name:12}"))));
        format!("{}\n{}", paint.tone(Tone::Strong, &head), rows.concat())
    }
}

fn seconds(begin: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(begin).as_secs_f64().max(0.0)
}

/// A span in the two largest units that it has: `45s`, `3m 20s`, `2h 5m`, `90d`.
fn span(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number that there is"
    )]
    let seconds = seconds.round() as u64;
    let pair = |large: u64, one: &str, small: u64, two: &str| {
        if small == 0 {
            format!("{large}{one}")
        } else {
            format!("{large}{one} {small}{two}")
        }
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::board::{CommitView, TrailerView};

    fn mk_promoted(set: &str, verified: &str, promoted: &str) -> Promoted {
        let commit = |time: &str| CommitView {
            time: time.into(),
            ..CommitView::default()
        };
        Promoted {
            commit: commit(promoted),
            introduced: Some(commit(set)),
            trailers: vec![TrailerView {
                key: "Gitsync-Verified-At".into(),
                value: verified.into(),
            }],
            ..Promoted::default()
        }
    }

    #[test]
    fn the_past_is_summed_up() {
        let past = Past {
            env: "prod".into(),
            promotions: vec![
                mk_promoted(
                    "2026-01-01T00:00:00Z",
                    "2026-01-01T00:02:00Z",
                    "2026-01-01T00:03:20Z",
                ),
                mk_promoted(
                    "2026-01-02T00:00:00Z",
                    "2026-01-02T01:00:00Z",
                    "2026-01-02T02:05:00Z",
                ),
            ],
            rollbacks: vec!["2026-01-02T02:10:00Z".parse().unwrap()],
            left: 3,
            span: 14.0 * 86_400.0,
        };
        let expected = "\
prod, the last 14d
  promotions    2  (1.0 a week)
  lead time     median 3m 20s, p90 2h 5m, longest 2h 5m  (set to promoted; 2)
  proof         median 2m, p90 1h, longest 1h  (set to proved; 2)
  rollbacks     1
  exposed       median 5m, p90 5m, longest 5m  (promoted to rolled back; 1)
  not promoted  3 images set: a gate failed, or something newer came
";
        assert_eq!(past.text(Paint::default()), expected);
        assert_eq!(past.json()["leadTime"]["max"], 7500.0);
        let nothing = Past::default();
        assert_eq!(nothing.lead(), None);
        assert!(nothing.text(Paint::default()).contains("lead time     -\n"));
    }

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let spread = Spread::of((1..=10).rev().map(f64::from).collect()).unwrap();
        assert_eq!((spread.median, spread.p90, spread.max), (5.0, 9.0, 10.0));
        assert_eq!(Spread::of(vec![7.0]).unwrap().median, 7.0);
    }
}
