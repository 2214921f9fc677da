//! Sync waves: objects of a higher number are applied when all of the lower ones are healthy.
//!
//! Nothing is remembered between two waves: the next one is always the lowest with a change, so after a crash, and when
//! a newer commit comes in the middle, a pass goes on from what it sees.

use std::collections::BTreeSet;

use manifest::ObjectId;

use super::{Wave, waves};
use crate::diff::Diff;

/// What is applied next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The changed objects of one sync wave, in the order of their kinds.
    pub waves: Vec<Wave>,
    /// The number of that sync wave; `None` when nothing is to be applied.
    pub number: Option<i32>,
    /// Whether nothing is left to apply after it.
    pub last: bool,
}

/// The lowest wave with a change. `numbers` are the waves of the diff's first objects; what is pruned has none. Objects
/// that are `left` alone are in no wave.
#[must_use]
pub fn plan(diff: &Diff, numbers: &[i32], left: &BTreeSet<ObjectId>) -> Plan {
    let all = waves(diff, left);
    let number_of = |index: &usize| numbers.get(*index).copied().unwrap_or(0);
    let changed = || all.iter().flatten();
    let Some(lowest) = changed().map(number_of).min() else {
        return Plan {
            last: true,
            ..Plan::default()
        };
    };
    let last = changed().all(|index| number_of(index) == lowest);
    let waves = all.iter().map(|wave| -> Wave {
        let mine = wave.iter().copied();
        mine.filter(|index| number_of(index) == lowest).collect()
    });
    Plan {
        waves: waves.filter(|wave| !wave.is_empty()).collect(),
        number: Some(lowest),
        last,
    }
}

#[cfg(test)]
mod tests {
    use manifest::Gvk;
    use serde_json::json;

    use super::*;
    use crate::diff::{Change, ObjectDiff};

    fn mk(kind: &str, change: Change) -> ObjectDiff {
        ObjectDiff {
            id: ObjectId {
                kind: kind.into(),
                ..ObjectId::default()
            },
            gvk: Gvk::new("v1", kind),
            origin: None,
            change,
        }
    }

    #[test]
    fn the_lowest_wave_with_a_change_comes_next() {
        let create = || Change::Create(json!({}));
        let mut diff = Diff {
            objects: vec![
                mk("Web", create()),
                mk("Migration", create()),
                mk("ConfigMap", create()),
                mk("Same", Change::Same),
                mk("Gone", Change::Prune(json!({}))),
            ],
        };
        let numbers = [5, -1, -1, -7];
        let none = BTreeSet::new();
        let first = plan(&diff, &numbers, &none);
        assert_eq!(
            (first.waves, first.number, first.last),
            (vec![vec![2], vec![1]], Some(-1), false)
        );
        for index in [1, 2] {
            diff.objects[index].change = Change::Same;
        }
        let second = plan(&diff, &numbers, &none);
        assert_eq!(
            (second.waves, second.number, second.last),
            (vec![vec![0]], Some(5), true)
        );
        let left = BTreeSet::from([diff.objects[0].id.clone()]);
        let nothing = plan(&diff, &numbers, &left);
        assert_eq!(
            (nothing.waves, nothing.number, nothing.last),
            (vec![], None, true)
        );
    }
}
