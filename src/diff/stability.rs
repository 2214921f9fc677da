//! Stability: whether what is put back stays so. Another controller that writes back at once is recognised and left
//! alone for a while, because fighting it would load the API server and help nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use manifest::ObjectId;

use super::drift::Drift;

/// How often a field may be put back within [`WINDOW`] before it counts as unstable.
const HEALS: usize = 5;

/// The time in which heals are counted.
const WINDOW: SignedDuration = SignedDuration::from_secs(300);

/// How long an unstable object is left alone before it is tried once more.
const REST: SignedDuration = SignedDuration::from_secs(300);

/// What was put back lately.
#[derive(Debug, Default)]
pub struct Stability {
    fields: BTreeMap<(ObjectId, String), History>,
}

#[derive(Debug, Default)]
struct History {
    /// When it was put back lately, oldest first.
    heals: Vec<Timestamp>,
    unstable: bool,
}

// === impl Stability ===

impl Stability {
    /// Notes what drifts now, so that what rested for long enough is stable again.
    pub fn observe(&mut self, drifts: &[Drift], now: Timestamp) {
        let drifting: BTreeSet<(&ObjectId, &str)> = drifts.iter().map(key).collect();
        self.fields.retain(|(object, field), history| {
            let rested = history
                .heals
                .last()
                .is_none_or(|last| now.duration_since(*last) > REST);
            !rested || drifting.contains(&(object, field.as_str()))
        });
    }

    /// Notes that all of `drifts` are being put back.
    pub fn heal(&mut self, drifts: &[Drift], now: Timestamp) {
        for drift in drifts {
            let history = self
                .fields
                .entry((drift.object.clone(), drift.field.clone()))
                .or_default();
            history.heals.retain(|heal| now.duration_since(*heal) <= WINDOW);
            history.heals.push(now);
            history.unstable |= history.heals.len() >= HEALS;
        }
    }

    /// Whether a field is to be left alone at `now`, because whoever writes it did so again and again.
    #[must_use]
    pub fn is_unstable(&self, drift: &Drift, now: Timestamp) -> bool {
        let history = self.fields.get(&(drift.object.clone(), drift.field.clone()));
        history.is_some_and(|history| {
            let resting = history
                .heals
                .last()
                .is_some_and(|last| now.duration_since(*last) <= REST);
            history.unstable && resting
        })
    }
}

fn key(drift: &Drift) -> (&ObjectId, &str) {
    (&drift.object, &drift.field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(field: &str) -> Vec<Drift> {
        let object = ObjectId {
            name: "web".into(),
            ..ObjectId::default()
        };
        vec![Drift {
            object,
            field: field.into(),
            writer: None,
        }]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_written_back_at_once_again_and_again_is_left_alone_for_a_while() {
        let (mut stability, replicas, image) = (Stability::default(), mk("replicas"), mk("image"));
        for second in 0..4 {
            stability.heal(&replicas, at(second));
            assert!(!stability.is_unstable(&replicas[0], at(second)), "{second}");
        }
        stability.heal(&replicas, at(4));
        assert!(stability.is_unstable(&replicas[0], at(5)));
        assert!(
            !stability.is_unstable(&image[0], at(5)),
            "another field is healed"
        );
        assert!(stability.is_unstable(&replicas[0], at(304)));
        assert!(
            !stability.is_unstable(&replicas[0], at(305)),
            "it is tried once more"
        );
        stability.observe(&replicas, at(305));
        stability.heal(&replicas, at(305));
        assert!(
            stability.is_unstable(&replicas[0], at(306)),
            "and it was written back"
        );
    }

    #[test]
    fn what_rested_is_stable_again_and_a_person_who_edits_now_and_then_is_put_right_each_time() {
        let (mut stability, replicas) = (Stability::default(), mk("replicas"));
        for second in 0..5 {
            stability.heal(&replicas, at(second));
        }
        stability.observe(&[], at(306));
        for second in (310..3000).step_by(90) {
            stability.heal(&replicas, at(second));
            assert!(!stability.is_unstable(&replicas[0], at(second)), "{second}");
        }
    }
}
