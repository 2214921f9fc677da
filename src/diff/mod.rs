//! Diff: the difference between desired and live state, object by object.

pub mod align;
pub mod columns;
pub mod drift;
pub mod fields;
pub mod files;
pub mod markdown;
pub mod patch;
pub mod rendered;
pub mod risk;
pub mod stability;
pub mod text;
mod words;

use manifest::{Gvk, ObjectId, Origin, redact_pair, yaml};
use serde_json::Value;

use crate::live::{self, ignore::strip};

/// What would happen to one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It does not exist and would be created, as this.
    Create(Value),
    /// It exists and would change.
    Update {
        /// The normalised live object.
        before: Value,
        /// The normalised object as the API server would store it.
        after: Value,
    },
    /// It was applied from git once, is no longer there, and would be deleted.
    Prune(Value),
    /// Nothing would happen.
    Same,
}

/// One object and what would happen to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectDiff {
    /// Which object, with the namespace that it really has.
    pub id: ObjectId,
    /// Its group, version and kind.
    pub gvk: Gvk,
    /// Where git describes it; an object to prune has no place.
    pub origin: Option<Origin>,
    /// What would happen.
    pub change: Change,
}

/// The difference of a whole environment: objects in the order of git, pruned ones last.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diff {
    /// Every object, unchanged ones too.
    pub objects: Vec<ObjectDiff>,
}

/// How many objects would be created, updated, pruned and left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Objects to create.
    pub create: usize,
    /// Objects to update.
    pub update: usize,
    /// Objects to prune.
    pub prune: usize,
    /// Objects that are as they should be.
    pub same: usize,
}

/// Compares a live object with what the API server says it would become (a server-side dry-run).
///
/// `live` is `None` for an object that does not exist; then `after` may be the rendered object itself. The fields at the
/// pointers `ignored` make no difference.
#[must_use]
pub fn compare(live: Option<&Value>, after: &Value, ignored: &[String]) -> Change {
    let Some(live) = live else {
        return Change::Create(live::normalise(after));
    };
    let (mut before, mut normal) = (live::normalise(live), live::normalise(after));
    strip(&mut before, ignored);
    strip(&mut normal, ignored);
    if before != normal {
        return Change::Update {
            before,
            after: normal,
        };
    }
    let (was, label) = (live::environment_of(live), live::environment_of(after));
    if was == label {
        return Change::Same;
    }
    // Without the label the object is found by no list and never pruned, so it is shown where it is all that differs.
    Change::Update {
        before: live::with_environment(before, was),
        after: live::with_environment(normal, label),
    }
}

// === impl Counts ===

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            create: self.create + other.create,
            update: self.update + other.update,
            prune: self.prune + other.prune,
            same: self.same + other.same,
        }
    }
}

// === impl Change ===

impl Change {
    /// Both sides as YAML, with secrets masked and in one order; a side that does not exist is empty.
    #[must_use]
    pub fn texts(&self) -> (String, String) {
        let (before, after) = match self {
            Self::Create(after) => (Value::Null, after.clone()),
            Self::Update { before, after } => (before.clone(), align::align(before, after)),
            Self::Prune(before) => (before.clone(), Value::Null),
            Self::Same => (Value::Null, Value::Null),
        };
        let (before, after) = redact_pair(&before, &after);
        let text = |value: &Value| {
            if value.is_null() {
                String::new()
            } else {
                yaml::emit(value)
            }
        };
        (text(before.value()), text(after.value()))
    }

    /// The verb for people: `create`, `update` or `prune`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update { .. } => "update",
            Self::Prune(_) => "prune",
            Self::Same => "same",
        }
    }
}

// === impl Diff ===

impl Diff {
    /// Whether nothing would happen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed().next().is_none()
    }

    /// The objects to which something would happen.
    pub fn changed(&self) -> impl Iterator<Item = &ObjectDiff> {
        self.objects.iter().filter(|object| object.change != Change::Same)
    }

    /// How many of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for object in &self.objects {
            match object.change {
                Change::Create(_) => counts.create += 1,
                Change::Update { .. } => counts.update += 1,
                Change::Prune(_) => counts.prune += 1,
                Change::Same => counts.same += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_a_person_wrote_makes_a_difference() {
        let live = json!({"kind": "A", "metadata": {"name": "a", "resourceVersion": "1"}, "spec": {"n": 1}, "status": {"x": 1}});
        let same = json!({"kind": "A", "metadata": {"name": "a", "resourceVersion": "9"}, "spec": {"n": 1}});
        let other = json!({"kind": "A", "metadata": {"name": "a"}, "spec": {"n": 2}});
        assert_eq!(compare(Some(&live), &same, &[]), Change::Same);
        assert!(matches!(compare(Some(&live), &other, &[]), Change::Update { .. }));
        assert!(matches!(compare(None, &other, &[]), Change::Create(_)));
        assert_eq!(
            compare(Some(&live), &other, &["/spec/n".to_owned()]),
            Change::Same
        );
    }

    #[test]
    fn a_missing_label_of_the_environment_is_a_difference() {
        let unlabelled = json!({"kind": "A", "metadata": {"name": "a", "labels": {"x": "y"}}});
        let mut labelled = unlabelled.clone();
        labelled["metadata"]["labels"][live::ENVIRONMENT_LABEL] = json!("staging");
        let Change::Update { before, after } = compare(Some(&unlabelled), &labelled, &[]) else {
            panic!("the label would be put back");
        };
        assert_eq!((before, after), (unlabelled, labelled.clone()));
        assert_eq!(compare(Some(&labelled), &labelled, &[]), Change::Same);
    }
}
