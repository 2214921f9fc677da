//! Leader: the proof that this process keeps an environment at this moment. Whoever writes asks it first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Times;

/// The proof that a process may write. Only a [`super::Seat`] makes one that can end.
#[derive(Debug, Clone)]
#[must_use = "a proof that nobody asks proves nothing"]
pub struct Leader(Option<Arc<Term>>);

/// This process no longer leads, or cannot be sure of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease was not renewed in time, and another replica may hold it; nothing is written")]
pub struct Deposed;

#[derive(Debug)]
struct Term {
    times: Times,
    /// When the last renewal that went through was sent; `None` after the end.
    renewed: Mutex<Option<Reading>>,
}

/// A moment by two clocks: one that no person sets, and one that goes on while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    monotonic: Instant,
    wall: SystemTime,
}

// === impl Leader ===

impl Leader {
    /// The proof of whoever need not share: a person's command, or a daemon without leader election.
    pub fn alone() -> Self {
        Self(None)
    }

    /// A term that begins with the renewal sent at `sent`.
    pub(super) fn elected(times: Times, sent: Reading) -> Self {
        Self(Some(Arc::new(Term {
            times,
            renewed: Mutex::new(Some(sent)),
        })))
    }

    /// Asks for the right to begin a write, and for how long its answer may be awaited; `None` for as long as one likes.
    ///
    /// # Errors
    ///
    /// When the last renewal is older than the renew deadline, by either clock, or the term has ended.
    pub fn check(&self) -> Result<Option<Duration>, Deposed> {
        let Some(term) = &self.0 else { return Ok(None) };
        let renewed = *term.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let age = renewed.ok_or(Deposed)?.age();
        standing(term.times, age).map(Some)
    }

    pub(super) fn renew(&self, sent: Reading) {
        self.set(Some(sent));
    }

    pub(super) fn end(&self) {
        self.set(None);
    }

    fn set(&self, renewed: Option<Reading>) {
        if let Some(term) = &self.0 {
            *term.renewed.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
        }
    }
}

/// How long the answer of a write that begins now may be awaited, if it may begin.
fn standing(times: Times, age: Duration) -> Result<Duration, Deposed> {
    if age >= times.renew_deadline {
        return Err(Deposed);
    }
    Ok(times.lease - age)
}

// === impl Reading ===

impl Reading {
    pub(super) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The longer one of what both clocks say: a clock that was put back counts nothing, one that was put forward ends
    /// the term early, which only costs a renewal.
    fn age(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or_default();
        self.monotonic.elapsed().max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_write_may_begin_until_the_deadline_and_lasts_no_longer_than_the_lease() {
        let times = Times::default();
        for (age, answer) in [
            (0, Ok(35)),
            (29, Ok(6)),
            (30, Err(Deposed)),
            (35, Err(Deposed)),
            (3600, Err(Deposed)),
        ] {
            assert_eq!(
                standing(times, SECOND * age),
                answer.map(|left| SECOND * left),
                "{age} s"
            );
        }
    }

    #[test]
    fn a_clock_that_jumps_ends_a_term_early_or_not_at_all_and_never_prolongs_it() {
        let times = Times::default();
        let now = Reading::now();
        let at = |monotonic: Option<Instant>, wall: SystemTime| Reading {
            monotonic: monotonic.unwrap(),
            wall,
        };
        let old = now.monotonic.checked_sub(SECOND * 31);
        let cases = [
            ("renewed just now", now, true),
            (
                "the wall clock was put forward by a minute",
                at(Some(now.monotonic), now.wall - SECOND * 60),
                false,
            ),
            (
                "the wall clock was put back by an hour",
                at(Some(now.monotonic), now.wall + SECOND * 3600),
                true,
            ),
            (
                "put back, and not renewed for long",
                at(old, now.wall + SECOND * 3600),
                false,
            ),
            (
                "the machine slept: only the wall clock went on",
                at(Some(now.monotonic), now.wall - SECOND * 31),
                false,
            ),
        ];
        for (name, sent, may) in cases {
            assert_eq!(Leader::elected(times, sent).check().is_ok(), may, "{name}");
        }
        let leader = Leader::elected(times, now);
        leader.end();
        assert_eq!(leader.check(), Err(Deposed));
        assert_eq!(Leader::alone().check(), Ok(None));
    }
}
