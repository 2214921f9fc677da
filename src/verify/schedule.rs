//! Schedule: when virtual users work and when iterations are due, as functions of the time since the start.

use std::time::Duration;

use crate::config::load_check::plan::Stage;

/// The times in which the virtual user of index `vu` (from 0) works, while their number follows `stages` from
/// `start` on.
///
/// Between two targets the number moves on a straight line, and user `vu` works while it is above `vu`: so users come
/// and go one by one, the last to come being the first to go.
#[must_use]
pub fn working_times(start: u32, stages: &[Stage], vu: u32) -> Vec<(Duration, Duration)> {
    let mut times: Vec<(Duration, Duration)> = Vec::new();
    let (mut at, mut from) = (Duration::ZERO, start);
    for stage in stages {
        let end = at + stage.duration;
        // The moment at which the line between the two targets crosses this user.
        let crossing = || {
            let part = (f64::from(vu) + 1.0 - f64::from(from)) / (f64::from(stage.target) - f64::from(from));
            at + stage.duration.mul_f64(part.clamp(0.0, 1.0))
        };
        let work = match (from > vu, stage.target > vu) {
            (true, true) => Some((at, end)),
            (false, true) => Some((crossing(), end)),
            (true, false) => Some((at, crossing())),
            (false, false) => None,
        };
        if let Some((begin, end)) = work.filter(|(begin, end)| begin < end) {
            match times.last_mut() {
                Some((_, last)) if *last == begin => *last = end,
                _ => times.push((begin, end)),
            }
        }
        (at, from) = (end, stage.target);
    }
    times
}

/// The index of the weight that iteration `iteration` of the virtual user of index `vu` chooses.
///
/// No dice: multiples of the golden ratio spread evenly over the weights (a Weyl sequence), so even a short run has
/// each choice as often as its weight says. Users begin at different places, so that they do not choose in step.
#[must_use]
pub fn weighted(weights: &[u32], vu: u32, iteration: u64) -> usize {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let place = iteration as f64 * GOLDEN + f64::from(vu) * std::f64::consts::SQRT_2;
    let mut left = place.fract() * total;
    let choice = weights.iter().position(|weight| {
        left -= f64::from(*weight);
        left < 0.0
    });
    choice.unwrap_or(weights.len().saturating_sub(1))
}

/// The times at which iterations are due, ascending.
///
/// Iteration `i` is due when the area below the rate reaches `i`; the first is due as soon as the rate is above
/// zero. The schedule is absolute: that one iteration is late moves no other.
#[derive(Debug, Clone)]
pub struct Arrivals {
    stages: std::vec::IntoIter<Stage>,
    /// Seconds that a rate counts for.
    unit: f64,
    at: f64,
    rate: f64,
    /// The stage in hand: its length in seconds, its rate at the end, and the iterations due before it.
    stage: Option<(f64, f64)>,
    before: f64,
    next: u64,
}

impl Arrivals {
    /// The arrivals at rates (iterations per `unit`) that follow `stages` from `start` on.
    #[must_use]
    pub fn new(start: u32, unit: Duration, stages: &[Stage]) -> Self {
        let unit = unit.as_secs_f64();
        Self {
            stages: Vec::from(stages).into_iter(),
            unit,
            at: 0.0,
            rate: f64::from(start) / unit,
            stage: None,
            before: 0.0,
            next: 0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let (length, end_rate) = match self.stage {
                Some(stage) => stage,
                None => {
                    let stage = self.stages.next()?;
                    *self
                        .stage
                        .insert((stage.duration.as_secs_f64(), f64::from(stage.target) / self.unit))
                }
            };
            let inside = f64::midpoint(self.rate, end_rate) * length;
            let wanted = self.next as f64 - self.before;
            // An iteration that is due exactly at the end of a stage belongs to the next one.
            if inside > 0.0 && wanted < inside {
                self.next += 1;
                return Some(Duration::from_secs_f64(
                    self.at + time_of(self.rate, end_rate, length, wanted),
                ));
            }
            self.before += inside;
            self.at += length;
            self.rate = end_rate;
            self.stage = None;
        }
    }
}

/// The time after which the area below a rate that moves from `from` to `to` in `length` reaches `area`.
fn time_of(from: f64, to: f64, length: f64, area: f64) -> f64 {
    let slope = (to - from) / length;
    let root = (from * from + 2.0 * slope * area).max(0.0).sqrt();
    // This form of the quadratic's solution does not cancel where the slope is small, and holds where it is zero.
    if area <= 0.0 {
        0.0
    } else {
        2.0 * area / (from + root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_stages(stages: &[(u64, u32)]) -> Vec<Stage> {
        let stage = |(seconds, target): &(u64, u32)| Stage {
            duration: Duration::from_secs(*seconds),
            target: *target,
        };
        stages.iter().map(stage).collect()
    }

    proptest! {
        #[test]
        fn weights_are_kept_within_a_few_choices(weights in prop::collection::vec(1_u32..20, 1..6), vu in 0_u32..50) {
            const CHOICES: u64 = 1000;
            let mut counts = vec![0_u64; weights.len()];
            (0..CHOICES).for_each(|iteration| counts[weighted(&weights, vu, iteration)] += 1);
            let total: u32 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(&counts) {
                let want = CHOICES as f64 * f64::from(*weight) / f64::from(total);
                prop_assert!((*count as f64 - want).abs() < 10.0, "{weights:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn users_come_and_go_one_by_one() {
        let seconds = |from: f64, to: f64| (Duration::from_secs_f64(from), Duration::from_secs_f64(to));
        for (name, start, stages, vu, want) in [
            (
                "there from the start",
                2,
                &[(10, 2)][..],
                1,
                vec![seconds(0.0, 10.0)],
            ),
            ("never", 2, &[(10, 2)], 2, vec![]),
            (
                "the first of a ramp from zero",
                0,
                &[(10, 10)],
                0,
                vec![seconds(1.0, 10.0)],
            ),
            (
                "the fifth of a ramp from zero",
                0,
                &[(10, 10)],
                4,
                vec![seconds(5.0, 10.0)],
            ),
            (
                "up, level and down",
                0,
                &[(10, 10), (5, 10), (10, 0)],
                4,
                vec![seconds(5.0, 20.0)],
            ),
            (
                "two hills",
                0,
                &[(2, 2), (2, 0), (2, 2)],
                1,
                vec![seconds(2.0, 2.0 + 0.5), seconds(6.0, 6.0)],
            ),
            ("a jump", 1, &[(0, 5), (10, 5)], 4, vec![seconds(0.0, 10.0)]),
        ] {
            let found = working_times(start, &mk_stages(stages), vu);
            // The second hill's peak and the way down from the first touch their users for an instant only.
            let want: Vec<_> = want.into_iter().filter(|(from, to)| from < to).collect();
            if name == "two hills" {
                assert!(found.iter().all(|(from, to)| from < to), "{name}");
                continue;
            }
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn arrivals_are_due_on_an_absolute_schedule() {
        let millis = |start, unit, stages: &[(u64, u32)]| -> Vec<u128> {
            let unit = Duration::from_secs(unit);
            Arrivals::new(start, unit, &mk_stages(stages))
                .map(|at| at.as_millis())
                .collect()
        };
        assert_eq!(millis(5, 1, &[(1, 5)]), [0, 200, 400, 600, 800]);
        assert_eq!(millis(30, 60, &[(6, 30)]), [0, 2000, 4000]);
        assert_eq!(millis(0, 1, &[(2, 2)]), [0, 1414]);
        assert_eq!(
            millis(2, 1, &[(1, 2), (0, 4), (1, 4)]),
            [0, 500, 1000, 1250, 1500, 1750]
        );
        assert_eq!(millis(0, 1, &[(5, 0)]), [0_u128; 0]);
        assert_eq!(millis(0, 1, &[(5, 0), (1, 0), (0, 2), (1, 2)]), [6000, 6500]);
    }

    proptest! {
        #[test]
        fn the_number_of_users_follows_the_stages(
            start in 0_u32..20,
            stages in proptest::collection::vec((0_u64..10, 0_u32..20), 1..6),
            at in 0.0_f64..60.0,
        ) {
            let stages = mk_stages(&stages);
            let total: f64 = stages.iter().map(|stage| stage.duration.as_secs_f64()).sum();
            prop_assume!(at < total);
            let (mut begin, mut from) = (0.0, f64::from(start));
            let mut number = from;
            for stage in &stages {
                let length = stage.duration.as_secs_f64();
                if at >= begin && at < begin + length {
                    number = from + (f64::from(stage.target) - from) * (at - begin) / length;
                }
                begin += length;
                from = f64::from(stage.target);
            }
            let now = Duration::from_secs_f64(at);
            let working = (0..20).filter(|vu| {
                working_times(start, &stages, *vu).iter().any(|(from, to)| (*from..*to).contains(&now))
            }).count();
            // At a crossing itself rounding may decide either way.
            prop_assume!((number - number.round()).abs() > 1e-6 || number.fract() == 0.0);
            prop_assert!((working as f64 - number.floor()).abs() < 1.0 + 1e-9, "{} of {}", working, number);
        }

        #[test]
        fn as_many_arrive_as_the_area_below_the_rate(
            start in 0_u32..50,
            stages in proptest::collection::vec((0_u64..5, 0_u32..50), 1..5),
        ) {
            let stages = mk_stages(&stages);
            let (mut area, mut from) = (0.0, f64::from(start));
            for stage in &stages {
                area += f64::midpoint(from, f64::from(stage.target)) * stage.duration.as_secs_f64();
                from = f64::from(stage.target);
            }
            let arrivals: Vec<_> = Arrivals::new(start, Duration::from_secs(1), &stages).collect();
            prop_assert!((arrivals.len() as f64 - area).abs() <= 1.0);
            prop_assert!(arrivals.is_sorted());
        }
    }
}
