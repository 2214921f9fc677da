//! Rolling: how many pods the old and the new ReplicaSets of a Deployment may have at each step of an update.
//!
//! The arithmetic is that of a real Deployment controller: first the new set grows as far as the surge allows; then old
//! sets shrink, beginning with pods that are not available, as far as enough available pods remain.

use serde_json::Value;

use crate::kinds::fields::{number, text};

/// What a Deployment allows during an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many pods are wanted.
    pub replicas: i64,
    /// How many more there may be.
    pub surge: i64,
    /// How many may be missing.
    pub unavailable: i64,
}

/// A ReplicaSet: how many pods it is asked for, and how many of its pods are available.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// `spec.replicas`.
    pub wanted: i64,
    /// `status.availableReplicas`.
    pub available: i64,
}

/// The size of the largest ReplicaSets when a Deployment is scaled in the middle of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// `spec.replicas` now.
    pub wanted: i64,
    /// The most pods that the Deployment allowed when the set was last scaled.
    pub allowed_before: i64,
}

// === impl Limits ===

impl Limits {
    /// The limits of a Deployment. Without any, one pod may be missing, or nothing could ever move.
    pub fn of(deployment: &Value) -> Self {
        let spec = &deployment["spec"];
        let replicas = number(spec, "replicas");
        if text(&spec["strategy"], "type") == "Recreate" {
            return Self {
                replicas,
                surge: 0,
                unavailable: 0,
            };
        }
        let rolling = &spec["strategy"]["rollingUpdate"];
        let surge = resolve(&rolling["maxSurge"], replicas, true);
        let unavailable = resolve(&rolling["maxUnavailable"], replicas, false);
        let unavailable = if surge == 0 && unavailable == 0 {
            1
        } else {
            unavailable
        };
        Self {
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
        }
    }

    /// The most pods that there may be.
    pub const fn most(&self) -> i64 {
        self.replicas + self.surge
    }

    /// The fewest available pods that there have to be.
    pub const fn fewest(&self) -> i64 {
        self.replicas - self.unavailable
    }

    /// The size of the new set now, if it may change.
    pub fn grow(&self, new: Size, old: &[Size]) -> Option<i64> {
        if new.wanted == self.replicas {
            return None;
        }
        if new.wanted > self.replicas {
            return Some(self.replicas);
        }
        let total = new.wanted + wanted(old);
        let size = if total >= self.most() {
            new.wanted
        } else {
            new.wanted + (self.most() - total).min(self.replicas - new.wanted)
        };
        (size != new.wanted).then_some(size)
    }

    /// The sizes of the old sets now, oldest first, if any may change.
    pub fn shrink(&self, new: Size, old: &[Size]) -> Option<Vec<i64>> {
        let before: Vec<i64> = old.iter().map(|set| set.wanted).collect();
        let mut sizes = before.clone();
        let total = new.wanted + wanted(old);
        // Pods of the new set that are still missing are counted as if they were going to be.
        let spare = total - self.fewest() - (new.wanted - new.available);
        if wanted(old) == 0 || spare <= 0 {
            return None;
        }
        let mut left = spare;
        for (size, set) in sizes.iter_mut().zip(old) {
            let unhealthy = (*size - set.available).clamp(0, left);
            *size -= unhealthy;
            left -= unhealthy;
        }
        let available = new.available + old.iter().map(|set| set.available).sum::<i64>();
        let mut left = (available - self.fewest()).max(0);
        for size in &mut sizes {
            let down = (*size).min(left);
            *size -= down;
            left -= down;
        }
        (sizes != before).then_some(sizes)
    }

    /// The sizes of sets among which a new total is divided by their shares. The sets come in the order in which they
    /// are served, the first of them takes what is left over.
    pub fn divide(&self, sets: &[Share], status_replicas: i64) -> Vec<i64> {
        let total: i64 = sets.iter().map(|set| set.wanted).sum();
        let allowed = if self.replicas > 0 { self.most() } else { 0 };
        let to_add = allowed - total;
        let mut added = 0;
        let mut sizes = Vec::with_capacity(sets.len());
        for set in sets {
            let share = if to_add == 0 || to_add == added || set.wanted == 0 {
                0
            } else {
                let fraction = self.fraction(*set, status_replicas);
                let open = to_add - added;
                if to_add > 0 {
                    fraction.min(open)
                } else {
                    fraction.max(open)
                }
            };
            added += share;
            sizes.push(set.wanted + share);
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        sizes
    }

    fn fraction(&self, set: Share, status_replicas: i64) -> i64 {
        if self.replicas == 0 {
            return -set.wanted;
        }
        let before = if set.allowed_before == 0 {
            status_replicas
        } else {
            set.allowed_before
        };
        if before == 0 {
            return 0;
        }
        // Rounded half away from zero; both are positive.
        (2 * set.wanted * self.most() + before) / (2 * before) - set.wanted
    }
}

fn wanted(sets: &[Size]) -> i64 {
    sets.iter().map(|set| set.wanted).sum()
}

/// A number, or a percentage of a total.
pub fn resolve(value: &Value, total: i64, round_up: bool) -> i64 {
    if let Some(number) = value.as_i64() {
        return number;
    }
    let text = value.as_str().unwrap_or_default();
    let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
    let product = percent * total;
    product / 100 + i64::from(round_up && product % 100 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn sizes(pairs: &[(i64, i64)]) -> Vec<Size> {
        let size = |&(wanted, available)| Size { wanted, available };
        pairs.iter().map(size).collect()
    }

    #[test]
    fn steps_of_an_update() {
        let limits = Limits {
            replicas: 10,
            surge: 3,
            unavailable: 2,
        };
        for (name, new, old, grown, shrunk) in [
            ("the beginning", (0, 0), vec![(10, 10)], Some(3), Some(vec![8])),
            (
                "the surge is used up",
                (3, 0),
                vec![(10, 10)],
                None,
                Some(vec![8]),
            ),
            ("new pods are not there yet", (5, 0), vec![(8, 8)], None, None),
            ("new pods have come", (5, 3), vec![(8, 8)], None, Some(vec![5])),
            (
                "pods that never came go first",
                (5, 0),
                vec![(2, 0), (6, 6)],
                None,
                None,
            ),
            ("the end", (10, 10), vec![(3, 3)], None, Some(vec![0])),
            ("nothing is old", (10, 10), vec![(0, 0)], None, None),
            ("too many", (12, 12), vec![], Some(10), None),
        ] {
            let new = Size {
                wanted: new.0,
                available: new.1,
            };
            let old = sizes(&old);
            assert_eq!(limits.grow(new, &old), grown, "{name}");
            assert_eq!(limits.shrink(new, &old), shrunk, "{name}");
        }
    }

    #[test]
    fn percentages_are_rounded_to_the_safe_side() {
        for (value, total, up, wanted) in [
            (json!("25%"), 3, true, 1),
            (json!("25%"), 3, false, 0),
            (json!("25%"), 10, true, 3),
            (json!("100%"), 7, false, 7),
            (json!(2), 7, false, 2),
        ] {
            assert_eq!(resolve(&value, total, up), wanted, "{value} of {total}");
        }
    }

    #[test]
    fn a_new_total_is_divided_by_size() {
        let limits = Limits {
            replicas: 20,
            surge: 5,
            unavailable: 5,
        };
        let share = |wanted| Share {
            wanted,
            allowed_before: 13,
        };
        assert_eq!(limits.divide(&[share(8), share(5)], 13), [15, 10]);
        assert_eq!(
            Limits {
                replicas: 0,
                ..limits
            }
            .divide(&[share(8), share(5)], 13),
            [0, 0]
        );
    }

    proptest! {
        /// Whatever the order in which pods come and go and the controller looks, no look asks for more pods than the
        /// surge allows, and none takes away an available pod that is needed.
        #[test]
        fn an_update_keeps_its_limits(
            replicas in 1_i64..12,
            surge in 0_i64..5,
            unavailable in 0_i64..5,
            events in proptest::collection::vec(0_u8..6, 1..200),
        ) {
            let unavailable = if surge + unavailable == 0 { 1 } else { unavailable.min(replicas) };
            let limits = Limits { replicas, surge, unavailable };
            // Two former sets, one of them stuck in the middle of its own update.
            let mut old = sizes(&[(replicas - replicas / 3, replicas - replicas / 3), (replicas / 3, 0)]);
            let mut new = Size::default();
            for event in events {
                match event {
                    0 => if let Some(size) = limits.grow(new, &old) {
                        new.wanted = size;
                        prop_assert!(new.wanted + wanted(&old) <= limits.most());
                    },
                    1 => if let Some(sizes) = limits.shrink(new, &old) {
                        for (set, size) in old.iter_mut().zip(sizes) {
                            prop_assert!(size <= set.wanted);
                            set.wanted = size;
                            set.available = set.available.min(size);
                        }
                        let available = new.available + old.iter().map(|set| set.available).sum::<i64>();
                        let was_enough = replicas - replicas / 3 >= limits.fewest();
                        prop_assert!(available >= limits.fewest() || !was_enough);
                    },
                    2 | 3 => new.available = (new.available + 1).min(new.wanted),
                    4 => old[1].available = (old[1].available + 1).min(old[1].wanted),
                    _ => {}
                }
            }
            // Left alone, with pods that come, every update ends.
            for _ in 0..100 {
                new.wanted = limits.grow(new, &old).unwrap_or(new.wanted);
                new.available = new.wanted;
                if let Some(sizes) = limits.shrink(new, &old) {
                    for (set, size) in old.iter_mut().zip(sizes) {
                        *set = Size { wanted: size, available: set.available.min(size) };
                    }
                }
            }
            prop_assert_eq!((new.wanted, wanted(&old)), (replicas, 0));
        }
    }
}
