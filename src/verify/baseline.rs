//! Baseline: a percentile as a multiple of what another service has under the same load, `p(90)<1.10*baseline`.
//!
//! Nothing is assumed about how latencies are distributed. Each side's percentile has a confidence interval between two
//! order statistics (exact binomial, on as many samples as the seconds are worth); the two are joined by the method of
//! variance estimates recovery (Zou and Donner, 2008), which uses that both are unlikely to be at their worst ends at
//! once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::proportion::{Block, design_effect};
use super::stats;
use super::trend::Trend;
use crate::config::load_check::threshold::Operator;

/// What a rule that compares with a baseline saw of one side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Times of requests with a usable answer, in milliseconds.
    answered: Trend,
    /// Requests that failed, were cut off or dropped: slower than any answer.
    failed: u64,
    /// How many requests of each second fell into each step of [`step`].
    seconds: Vec<BTreeMap<u16, u32>>,
}

/// How one side's percentile compares with the other's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The target's percentile in milliseconds; `None` when so many requests failed that it has none.
    pub target: Option<f64>,
    /// The baseline's, over its answered requests.
    pub baseline: f64,
    /// The confidence interval of their ratio; `None` for an end that the samples do not give.
    pub interval: [Option<f64>; 2],
    /// Requests to the target.
    pub samples: u64,
    /// Requests to the baseline that were answered.
    pub baseline_samples: u64,
    /// Whether the bound holds, as far as can be told.
    #[serde(skip)]
    pub holds: Option<bool>,
}

/// A percentile with the ends of its confidence interval, in milliseconds; infinite where failures are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Estimate {
    low: f64,
    point: f64,
    high: f64,
}

/// The step of requests that have no time.
const FAILED: u16 = u16::MAX;

/// A baseline of which more fails is no measure.
const MOST_FAILED: f64 = 0.01;

/// The largest ratio that is looked for.
const LARGEST_RATIO: f64 = 1e6;

// === impl Spread ===

impl Spread {
    /// Notes a request of the second `at` after the start; without a time it failed.
    pub fn note(&mut self, at: Duration, millis: Option<f64>) {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, BTreeMap::new());
        }
        *self.seconds[second]
            .entry(millis.map_or(FAILED, step))
            .or_default() += 1;
        match millis {
            Some(millis) => self.answered.add(millis),
            None => self.failed += 1,
        }
    }

    /// Adds what another one saw that began `after` later.
    pub fn merge(&mut self, other: Self, after: Duration) {
        let Self {
            answered,
            failed,
            seconds,
        } = other;
        self.answered.merge(&answered);
        self.failed += failed;
        let shift = usize::try_from(after.as_secs_f64().ceil() as u64).unwrap_or(usize::MAX);
        if seconds.is_empty() {
            return;
        }
        self.seconds
            .resize(self.seconds.len().max(shift + seconds.len()), BTreeMap::new());
        for (sum, other) in self.seconds[shift..].iter_mut().zip(seconds) {
            for (step, count) in other {
                *sum.entry(step).or_default() += count;
            }
        }
    }

    /// Why this cannot serve as a baseline, if it cannot.
    #[must_use]
    pub fn unfit(&self) -> Option<String> {
        let all = self.answered.count() + self.failed;
        (all == 0 || self.failed as f64 > MOST_FAILED * all as f64).then(|| {
            format!(
                "the baseline itself fails: {} of {all} requests to it were not answered as they should",
                self.failed
            )
        })
    }

    /// The percentile of rank `share` (0 to 1) with its interval, each end wrong with probability `alpha` at most.
    /// Failures count as slower than anything where `with_failures` says so, else not at all.
    fn estimate(&self, share: f64, alpha: f64, with_failures: bool) -> Option<Estimate> {
        let count = self.answered.count() + if with_failures { self.failed } else { 0 };
        if count == 0 {
            return None;
        }
        let at = |index: u64| {
            let last = self.answered.count().checked_sub(1)?;
            let rank = if last == 0 {
                0.0
            } else {
                100.0 * index as f64 / last as f64
            };
            (index <= last).then(|| self.answered.percentile(rank)).flatten()
        };
        let middle = (share * (count - 1) as f64).round() as u64;
        let point = at(middle).unwrap_or(f64::INFINITY);
        let effective = count as f64 / design_effect(&self.blocks(point, with_failures));
        // Order statistic number j of the effective samples lies below the percentile as often as fewer than j of
        // them do.
        let below = |j: f64| stats::binomial_at_most(j - 1.0, effective, share);
        let index = |j: f64| (j / effective * count as f64).ceil() as u64;
        let high = first_above(effective, |j| below(j) >= 1.0 - alpha);
        let low = first_above(effective, |j| below(j) > alpha).map_or(effective.floor(), |j| j - 1.0);
        Some(Estimate {
            low: if low < 1.0 {
                0.0
            } else {
                at(index(low).saturating_sub(1)).unwrap_or(f64::INFINITY)
            },
            point,
            high: high
                .and_then(|j| at(index(j).saturating_sub(1)))
                .unwrap_or(f64::INFINITY),
        })
    }

    /// How many requests of each second were slower than `millis`, as near as the steps tell.
    fn blocks(&self, millis: f64, with_failures: bool) -> Vec<Block> {
        let limit = if millis.is_finite() {
            step(millis)
        } else {
            FAILED - 1
        };
        let block = |second: &BTreeMap<u16, u32>| {
            let counted = second
                .iter()
                .filter(|(step, _)| with_failures || **step != FAILED);
            counted.fold(Block::default(), |mut block, (step, count)| {
                block.all += count;
                block.broken += if *step > limit { *count } else { 0 };
                block
            })
        };
        self.seconds.iter().map(block).collect()
    }
}

/// Whether the target's percentile of rank `share` compares so with `factor` times the baseline's, each answer wrong
/// with probability `alpha` at most. `None` where one of them has no samples.
#[must_use]
pub fn compare(
    target: &Spread,
    baseline: &Spread,
    share: f64,
    (operator, factor): (Operator, f64),
    alpha: f64,
) -> Option<Comparison> {
    let mine = target.estimate(share, alpha, true)?;
    let theirs = baseline.estimate(share, alpha, false)?;
    let inclusive = operator == Operator::LessOrEqual;
    let passes = |factor| {
        let most = highest(mine, theirs, factor);
        most < 0.0 || inclusive && most == 0.0
    };
    let fails = |factor| {
        let least = lowest(mine, theirs, factor);
        least > 0.0 || !inclusive && least == 0.0
    };
    let holds = match (passes(factor), fails(factor)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let upper = turning(passes);
    let lower = turning(|factor| !fails(factor));
    Some(Comparison {
        target: mine.point.is_finite().then_some(mine.point),
        baseline: theirs.point,
        interval: [lower.filter(|_| fails(0.0)), upper],
        samples: target.answered.count() + target.failed,
        baseline_samples: baseline.answered.count(),
        holds,
    })
}

/// The upper end of the interval of `mine - factor * theirs`.
fn highest(mine: Estimate, theirs: Estimate, factor: f64) -> f64 {
    if !mine.high.is_finite() {
        return f64::INFINITY;
    }
    let point = mine.point - factor * theirs.point;
    point + (mine.high - mine.point).hypot(factor * (theirs.point - theirs.low))
}

/// Its lower end.
fn lowest(mine: Estimate, theirs: Estimate, factor: f64) -> f64 {
    if factor > 0.0 && !theirs.high.is_finite() {
        return f64::NEG_INFINITY;
    }
    // A percentile among failures has no distance to its interval's end: the end alone is compared.
    if !mine.point.is_finite() {
        return mine.low - factor * theirs.high;
    }
    let point = mine.point - factor * theirs.point;
    let theirs_width = if factor > 0.0 {
        factor * (theirs.high - theirs.point)
    } else {
        0.0
    };
    point - (mine.point - mine.low).hypot(theirs_width)
}

/// The whole number up to `most` at which a monotone condition begins to hold.
fn first_above(most: f64, holds_at: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut low, mut high) = (0_u64, most.floor() as u64 + 1);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if holds_at(middle as f64) {
            high = middle;
        } else {
            low = middle;
        }
    }
    (high as f64 <= most).then_some(high as f64)
}

/// The ratio at which a monotone condition begins to hold, by bisection on its logarithm.
fn turning(holds_at: impl Fn(f64) -> bool) -> Option<f64> {
    if !holds_at(LARGEST_RATIO) {
        return None;
    }
    let (mut low, mut high) = (1.0 / LARGEST_RATIO, LARGEST_RATIO);
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        if holds_at(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The step of a time in milliseconds: a quarter of an octave, from a microsecond on.
fn step(millis: f64) -> u16 {
    (4.0 * (millis.max(1e-3) * 1e3).log2()).floor() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: (Operator, f64) = (Operator::Less, 1.1);

    /// Numbers that look random (Marsaglia's xorshift).
    fn random(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A run of `seconds` with 50 requests in each, whose times are `scale` times a heavy-tailed number; in each second
    /// all are slower by a factor of up to `swing`.
    fn mk_spread(state: &mut u64, seconds: u64, scale: f64, swing: f64) -> Spread {
        let mut spread = Spread::default();
        for second in 0..seconds {
            let slower = swing.powf(random(state));
            for _ in 0..50 {
                // A Pareto distribution: its 90th percentile is 10^(1/3).
                let time = scale * slower * random(state).max(1e-12).powf(-1.0 / 3.0);
                spread.note(Duration::from_secs(second), Some(time));
            }
        }
        spread
    }

    fn verdicts(scale: f64, swing: f64) -> (u32, u32) {
        let mut state = 0x9E37_79B9_7F4A_7C15;
        let (mut passes, mut fails) = (0, 0);
        for _ in 0..400 {
            let target = mk_spread(&mut state, 10, scale, swing);
            let baseline = mk_spread(&mut state, 10, 1.0, swing);
            match compare(&target, &baseline, 0.9, BOUND, 0.05).unwrap().holds {
                Some(true) => passes += 1,
                Some(false) => fails += 1,
                None => {}
            }
        }
        (passes, fails)
    }

    #[test]
    fn wrong_verdicts_are_as_rare_as_promised() {
        // Exactly at the limit, where each verdict is wrong: 5 % of 400 are 20; 32 is three standard deviations more.
        let (passes, fails) = verdicts(1.1, 1.0);
        assert!(passes <= 32 && fails <= 32, "{passes} {fails}");
        let (passes, fails) = verdicts(1.1, 1.3);
        assert!(
            passes <= 40 && fails <= 40,
            "seconds that differ: {passes} {fails}"
        );
        let (passes, _) = verdicts(0.8, 1.0);
        let (_, fails) = verdicts(1.5, 1.0);
        assert!(
            passes > 360 && fails > 360,
            "a clear case is decided: {passes}, {fails}"
        );
    }

    #[test]
    fn the_interval_holds_the_ratio() {
        let mut state = 7;
        let target = mk_spread(&mut state, 40, 1.2, 1.0);
        let baseline = mk_spread(&mut state, 40, 1.0, 1.0);
        let found = compare(&target, &baseline, 0.9, BOUND, 0.05).unwrap();
        let [Some(low), Some(high)] = found.interval else {
            panic!("{found:?}")
        };
        let ratio = found.target.unwrap() / found.baseline;
        assert!(low < ratio && ratio < high && high / low < 1.4, "{found:?}");
    }

    #[test]
    fn failures_are_slower_than_any_answer() {
        let mut state = 3;
        let mut target = mk_spread(&mut state, 10, 0.5, 1.0);
        let baseline = mk_spread(&mut state, 10, 1.0, 1.0);
        let holds = |target: &Spread| compare(target, &baseline, 0.9, BOUND, 0.05).unwrap().holds;
        assert_eq!(holds(&target), Some(true));
        for second in 0..10 {
            (0..10).for_each(|_| target.note(Duration::from_secs(second), None));
        }
        assert_eq!(holds(&target), Some(false));
        assert!(
            compare(&target, &baseline, 0.9, BOUND, 0.05)
                .unwrap()
                .target
                .is_none()
        );
        assert!(target.unfit().is_some() && baseline.unfit().is_none());
        assert!(Spread::default().unfit().is_some());
    }

    #[test]
    fn too_few_samples_decide_nothing() {
        let mut state = 5;
        let (mut target, mut baseline) = (Spread::default(), Spread::default());
        for _ in 0..20 {
            target.note(Duration::ZERO, Some(random(&mut state)));
            baseline.note(Duration::ZERO, Some(50.0 + random(&mut state)));
        }
        let found = compare(&target, &baseline, 0.9, BOUND, 0.05).unwrap();
        assert_eq!((found.holds, found.interval[1]), (None, None), "{found:?}");
        assert_eq!(compare(&target, &Spread::default(), 0.9, BOUND, 0.05), None);
    }

    #[test]
    fn a_repetition_follows_what_was_before() {
        let mut all = Spread::default();
        all.note(Duration::from_millis(1500), Some(3.0));
        let mut later = Spread::default();
        later.note(Duration::ZERO, None);
        all.merge(later, Duration::from_millis(1900));
        assert_eq!(all.seconds.len(), 3);
        assert_eq!((all.answered.count(), all.failed), (1, 1));
    }
}
