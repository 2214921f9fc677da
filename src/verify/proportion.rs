//! Proportion: a threshold read as a bound on the share of requests that may break it.
//!
//! `p(90)<600` says that fewer than 10 % of requests take 600 ms or longer. Counting the requests that do is enough
//! to judge it, needs no assumption about the distribution, and tells how far the sample speaks for the service. A
//! request that failed took longer than any bound.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exchange::{SeriesKey, TIMED};
use super::samples::{check_matches, scenario_matches};
use super::stats;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::{Plan, Rule};
use crate::config::load_check::threshold::{Method, Operator};

/// A rule that bounds a share, for one kind of sample that it applies to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Index of [`Plan::rules`].
    pub rule: usize,
    broken: Broken,
}

/// What breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Broken {
    /// A failure.
    Failed,
    /// A failure, or a time (index of [`TIMED`]) that does not compare so with the bound.
    Slow(usize, Operator, f64),
}

/// A rule that compares a time (index of [`TIMED`]) with the baseline's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Index of [`Plan::rules`].
    pub rule: usize,
    /// Index of [`TIMED`].
    pub time: usize,
}

/// How many samples of one second broke a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Samples.
    pub all: u32,
    /// Those that broke it.
    pub broken: u32,
}

/// What a sample says about a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Samples.
    pub samples: u64,
    /// Those that broke the rule.
    pub broken: u64,
    /// The share that must not be reached.
    pub limit: f64,
    /// How many independent samples these are worth: fewer when slow ones come together, as in a stall.
    pub effective: f64,
    /// The lower end of the confidence interval of the true share.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The samples that a pass needs at least.
    pub needed: f64,
    /// Whether the true share is below the limit, as far as can be told.
    pub holds: Option<bool>,
}

/// The share that a rule bounds, if it bounds one.
#[must_use]
pub fn limit(rule: &Rule) -> Option<f64> {
    if rule.threshold.relative {
        return None;
    }
    let below = matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual);
    let above = matches!(
        rule.threshold.operator,
        Operator::Greater | Operator::GreaterOrEqual
    );
    let bound = rule.threshold.bound;
    let share = match (rule.selection.metric, rule.threshold.method) {
        (metric, Method::P(rank)) if below && TIMED.contains(&metric) => 1.0 - rank / 100.0,
        (metric, Method::Med) if below && TIMED.contains(&metric) => 0.5,
        (Metric::HttpReqFailed, Method::Rate) if below => bound,
        (Metric::Checks, Method::Rate) if above => 1.0 - bound,
        _ => return None,
    };
    (share > 0.0 && share < 1.0).then_some(share)
}

// === impl Watch ===

impl Watch {
    /// The rules that bound a share of requests like `key`.
    #[must_use]
    pub fn of_request(plan: &Plan, key: SeriesKey) -> Vec<Self> {
        let fits = |metric: Metric| metric != Metric::HttpReqFailed || !key.cut();
        let matching = |rule: &Rule| fits(rule.selection.metric) && key.matches(plan, &rule.selection.tags);
        watches(plan)
            .filter(|(_, rule)| matching(rule))
            .filter_map(|(index, rule)| Self::new(index, rule))
            .collect()
    }

    /// The rules that bound a share of a check.
    pub fn of_check(plan: &Plan, scenario: u16, check: u16) -> impl Iterator<Item = Self> {
        watches(plan)
            .filter(move |(_, rule)| {
                rule.selection.metric == Metric::Checks
                    && check_matches(plan, scenario, check, &rule.selection.tags)
            })
            .map(|(rule, _)| Self {
                rule,
                broken: Broken::Failed,
            })
    }

    /// The rules that an iteration of `scenario` breaks when it is dropped.
    pub fn of_dropped(plan: &Plan, scenario: u16) -> impl Iterator<Item = Self> {
        watches(plan)
            .filter(move |(_, rule)| {
                rule.selection.metric == Metric::HttpReqDuration
                    && scenario_matches(plan, usize::from(scenario), &rule.selection.tags)
            })
            .map(|(rule, _)| Self {
                rule,
                broken: Broken::Failed,
            })
    }

    /// Whether a request breaks the rule, given its times in milliseconds.
    #[must_use]
    pub fn broken_by(&self, failed: bool, times: Option<[f64; TIMED.len()]>) -> bool {
        match (self.broken, times) {
            (Broken::Failed, _) => failed,
            (Broken::Slow(index, operator, bound), Some(times)) => {
                failed || !operator.holds(times[index], bound)
            }
            (Broken::Slow(..), None) => true,
        }
    }

    fn new(index: usize, rule: &Rule) -> Option<Self> {
        let broken = match rule.selection.metric {
            Metric::HttpReqFailed => Broken::Failed,
            metric => {
                let time = TIMED.iter().position(|timed| *timed == metric)?;
                Broken::Slow(time, rule.threshold.operator, rule.threshold.bound)
            }
        };
        Some(Self { rule: index, broken })
    }
}

impl Compared {
    /// The rules that compare requests like `key`.
    #[must_use]
    pub fn of_request(plan: &Plan, key: SeriesKey) -> Vec<Self> {
        Self::all(plan)
            .filter(|compared| key.matches(plan, &plan.rules[compared.rule].selection.tags))
            .collect()
    }

    /// The rules that an iteration of `scenario` counts for when it is dropped.
    pub fn of_dropped(plan: &Plan, scenario: u16) -> impl Iterator<Item = Self> {
        Self::all(plan).filter(move |compared| {
            let selection = &plan.rules[compared.rule].selection;
            selection.metric == Metric::HttpReqDuration
                && scenario_matches(plan, usize::from(scenario), &selection.tags)
        })
    }

    fn all(plan: &Plan) -> impl Iterator<Item = Self> {
        let relative = plan
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.threshold.relative);
        relative.filter_map(|(rule, found)| {
            let time = TIMED.iter().position(|timed| *timed == found.selection.metric)?;
            Some(Self { rule, time })
        })
    }
}

fn watches(plan: &Plan) -> impl Iterator<Item = (usize, &Rule)> {
    plan.rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| limit(rule).is_some())
}

// === impl Block ===

impl Block {
    /// Notes a sample of the second `at` after the start.
    pub fn note(blocks: &mut Vec<Self>, at: Duration, broken: bool) {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if blocks.len() <= second {
            blocks.resize(second + 1, Self::default());
        }
        blocks[second].all += 1;
        blocks[second].broken += u32::from(broken);
    }

    /// Adds blocks that began `after` later.
    pub fn merge(blocks: &mut Vec<Self>, others: &[Self], after: Duration) {
        let shift = usize::try_from(after.as_secs_f64().ceil() as u64).unwrap_or(usize::MAX);
        if others.is_empty() {
            return;
        }
        blocks.resize(blocks.len().max(shift + others.len()), Self::default());
        for (sum, other) in blocks[shift..].iter_mut().zip(others) {
            sum.all += other.all;
            sum.broken += other.broken;
        }
    }
}

// === impl Evidence ===

impl Evidence {
    /// What `blocks` say about a share that must stay below `limit`, each answer wrong with probability `alpha` at
    /// most.
    ///
    /// The tests are exact binomial ones (Clopper and Pearson, 1934) on the number of samples that are worth as much
    /// as independent ones.
    #[must_use]
    pub fn new(blocks: &[Block], limit: f64, alpha: f64) -> Self {
        let samples: u64 = blocks.iter().map(|block| u64::from(block.all)).sum();
        let broken: u64 = blocks.iter().map(|block| u64::from(block.broken)).sum();
        let effect = design_effect(blocks);
        let (n, k) = (samples as f64 / effect, broken as f64 / effect);
        let at_most = |share: f64| stats::binomial_at_most(k, n, share);
        let at_least = |share: f64| 1.0 - stats::binomial_at_most(k - 1.0, n, share);
        let holds = match samples {
            0 => None,
            _ if at_most(limit) <= alpha => Some(true),
            _ if at_least(limit) <= alpha => Some(false),
            _ => None,
        };
        Self {
            samples,
            broken,
            limit,
            effective: n,
            low: if samples == 0 || broken == 0 {
                0.0
            } else {
                crossing(|share| at_least(share) > alpha)
            },
            high: if samples == 0 || broken == samples {
                1.0
            } else {
                crossing(|share| at_most(share) <= alpha)
            },
            needed: stats::least_trials(limit, 1.0 - alpha),
            holds,
        }
    }

    /// The share that was seen.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.broken as f64 / self.samples as f64)
    }
}

/// The share at which a monotone condition begins to hold, by bisection.
fn crossing(holds_at: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if holds_at(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::midpoint(low, high)
}

/// By how much the share varies more between seconds than independent samples would make it: the variance of a
/// ratio estimator over clusters, divided by the binomial variance (Cochran, Sampling Techniques, 3rd edition, 9A).
/// Never below 1: that seconds are more alike than chance is no better evidence.
pub(super) fn design_effect(blocks: &[Block]) -> f64 {
    let filled: Vec<(f64, f64)> = blocks
        .iter()
        .filter(|block| block.all > 0)
        .map(|b| (f64::from(b.all), f64::from(b.broken)))
        .collect();
    let clusters = filled.len() as f64;
    let all: f64 = filled.iter().map(|(all, _)| all).sum();
    let share = filled.iter().map(|(_, broken)| broken).sum::<f64>() / all;
    // Two seconds say next to nothing about how seconds differ.
    if clusters < 3.0 || !(share > 0.0 && share < 1.0) {
        return 1.0;
    }
    let squares: f64 = filled
        .iter()
        .map(|(all, broken)| (broken - share * all).powi(2))
        .sum();
    let between = clusters / (clusters - 1.0) * squares / (all * all);
    (between / (share * (1.0 - share) / all)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_blocks(blocks: &[(u32, u32)]) -> Vec<Block> {
        blocks
            .iter()
            .map(|(all, broken)| Block {
                all: *all,
                broken: *broken,
            })
            .collect()
    }

    #[test]
    fn verdicts_turn_where_the_exact_binomial_test_turns() {
        // The greatest number that passes and the least that fails at a limit of 10 % and 95 % confidence.
        for (samples, passes, fails) in [(29, 0, 7), (100, 4, 16), (500, 38, 62), (2000, 177, 223)] {
            let holds = |broken| Evidence::new(&mk_blocks(&[(samples, broken)]), 0.1, 0.05).holds;
            assert_eq!(holds(passes), Some(true), "{passes} of {samples}");
            assert_eq!(holds(passes + 1), None, "{} of {samples}", passes + 1);
            assert_eq!(holds(fails - 1), None, "{} of {samples}", fails - 1);
            assert_eq!(holds(fails), Some(false), "{fails} of {samples}");
        }
        assert_eq!(Evidence::new(&mk_blocks(&[(28, 0)]), 0.1, 0.05).holds, None);
        assert_eq!(Evidence::new(&[], 0.1, 0.05).holds, None);
        assert_eq!(Evidence::new(&[], 0.1, 0.05).needed, 29.0);
    }

    #[test]
    fn the_interval_holds_what_was_seen() {
        let evidence = Evidence::new(&mk_blocks(&[(200, 20)]), 0.1, 0.05);
        assert!(evidence.low < 0.1 && evidence.high > 0.1, "{evidence:?}");
        assert!(
            (evidence.low - 0.0675).abs() < 0.001 && (evidence.high - 0.1420).abs() < 0.001,
            "{evidence:?}"
        );
        assert_eq!(Evidence::new(&mk_blocks(&[(10, 0)]), 0.1, 0.05).low, 0.0);
        assert_eq!(Evidence::new(&mk_blocks(&[(10, 10)]), 0.1, 0.05).high, 1.0);
    }

    #[test]
    fn a_stall_is_worth_fewer_samples_than_scattered_slow_requests() {
        let scattered = Evidence::new(&mk_blocks(&[(100, 5); 10]), 0.1, 0.05);
        let mut stalled = [(100, 0); 10];
        stalled[4] = (100, 50);
        let stalled = Evidence::new(&mk_blocks(&stalled), 0.1, 0.05);
        assert_eq!(
            (scattered.samples, scattered.broken),
            (stalled.samples, stalled.broken)
        );
        assert_eq!(scattered.effective, 1000.0);
        assert!(stalled.effective < 50.0, "{stalled:?}");
        assert_eq!((scattered.holds, stalled.holds), (Some(true), None));
    }

    #[test]
    fn blocks_of_a_repetition_follow_those_before() {
        let mut blocks = Vec::new();
        Block::note(&mut blocks, Duration::from_millis(200), false);
        Block::note(&mut blocks, Duration::from_millis(1200), true);
        let mut later = Vec::new();
        Block::note(&mut later, Duration::from_millis(100), true);
        Block::merge(&mut blocks, &later, Duration::from_millis(1900));
        assert_eq!(blocks, mk_blocks(&[(1, 0), (1, 1), (1, 1)]));
    }

    /// How many of a thousand runs of `seconds` with 50 requests a second pass and fail, when the share of slow
    /// requests in a second is one of `shares`, each as likely.
    fn simulate(seconds: usize, shares: &[f64], seed: u64) -> (usize, usize) {
        let mut state = seed;
        // Marsaglia's xorshift: the same runs at every test.
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let (mut passes, mut fails) = (0, 0);
        for _ in 0..1000 {
            let mut blocks = Vec::new();
            for _ in 0..seconds {
                let share = shares[(random() * shares.len() as f64) as usize];
                let broken = (0..50).filter(|_| random() < share).count();
                blocks.push(Block {
                    all: 50,
                    broken: broken as u32,
                });
            }
            match Evidence::new(&blocks, 0.1, 0.05).holds {
                Some(true) => passes += 1,
                Some(false) => fails += 1,
                None => {}
            }
        }
        (passes, fails)
    }

    #[test]
    fn wrong_verdicts_are_as_rare_as_promised() {
        for (name, shares, most) in [
            // Exactly at the limit, where each verdict is wrong and both are most likely.
            ("independent", &[0.1][..], 55),
            ("seconds that differ", &[0.05, 0.15], 90),
        ] {
            let (passes, fails) = simulate(10, shares, 0x9E37_79B9_7F4A_7C15);
            assert!(
                passes <= most && fails <= most,
                "{name}: {passes} pass and {fails} fail of 1000"
            );
        }
        let (passes, _) = simulate(10, &[0.05], 1);
        let (_, fails) = simulate(10, &[0.16], 2);
        assert!(
            passes > 900 && fails > 900,
            "a clear case is decided: {passes}, {fails}"
        );
    }
}
