//! Manager: who owns fields, and in which form `metadata.managedFields` keeps it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::set::Set;

/// How a manager has come to own fields. The order is that of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// By applying them.
    Apply,
    /// By writing them.
    Update,
}

/// Who owns fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    /// The name that the client told.
    pub name: String,
    /// How it has come to own them.
    pub operation: Operation,
    /// The version of the type of which the paths are.
    pub version: String,
    /// `status`; empty for the object itself.
    pub subresource: String,
}

/// What a manager owns, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// The fields.
    pub set: Set,
    /// The time of the last change.
    pub time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Managers(BTreeMap<Manager, Entry>);

// === impl Manager ===

impl Manager {
    /// The manager as a conflict names it.
    pub(super) fn told(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(" with subresource ");
            let _ = write!(text, "{:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            text.push_str(" using ");
            text.push_str(&self.version);
        }
        text
    }
}

// === impl Managers ===

impl Managers {
    /// Reads the entries of an object's metadata.
    pub(crate) fn of(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten();
        let read = entries.map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let manager = Manager {
                name: text("manager"),
                operation: if entry["operation"] == "Apply" {
                    Operation::Apply
                } else {
                    Operation::Update
                },
                version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let entry = Entry {
                set: Set {
                    member: false,
                    ..Set::from_fields(&entry["fieldsV1"])
                },
                time: entry["time"].as_str().map(str::to_owned),
            };
            (manager, entry)
        });
        Self(read.collect())
    }

    /// Writes the entries into an object's metadata.
    pub(crate) fn write(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        metadata.shift_remove("managedFields");
        if !self.0.is_empty() {
            metadata.insert("managedFields".to_owned(), self.to_value());
        }
    }

    fn to_value(&self) -> Value {
        let mut entries: Vec<(&Manager, &Entry)> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            let key = |manager: &Manager| {
                (
                    manager.name.clone(),
                    manager.version.clone(),
                    manager.subresource.clone(),
                )
            };
            (a.operation, &x.time)
                .cmp(&(b.operation, &y.time))
                .then_with(|| key(a).cmp(&key(b)))
        });
        let list = entries.into_iter().map(|(manager, entry)| {
            let mut map = Map::new();
            map.insert("manager".into(), manager.name.clone().into());
            let operation = if manager.operation == Operation::Apply {
                "Apply"
            } else {
                "Update"
            };
            map.insert("operation".into(), operation.into());
            map.insert("apiVersion".into(), manager.version.clone().into());
            if let Some(time) = &entry.time {
                map.insert("time".into(), time.clone().into());
            }
            map.insert("fieldsType".into(), "FieldsV1".into());
            map.insert("fieldsV1".into(), entry.set.to_fields());
            if !manager.subresource.is_empty() {
                map.insert("subresource".into(), manager.subresource.clone().into());
            }
            Value::Object(map)
        });
        Value::Array(list.collect())
    }

    /// Whether nobody owns anything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Manager, &mut Entry)> {
        self.0.iter_mut()
    }

    pub(super) fn take(&mut self, manager: &Manager) -> Option<Entry> {
        self.0.remove(manager)
    }

    pub(super) fn put(&mut self, manager: Manager, set: Set, time: Option<String>) {
        self.0.insert(manager, Entry { set, time });
    }

    /// Adds fields to what a manager owns.
    pub(super) fn give(&mut self, manager: Manager, fields: &Set, now: Option<&str>) {
        let entry = self.0.entry(manager).or_default();
        entry.set = entry.set.union(fields);
        entry.time = now.map(str::to_owned);
    }

    /// What anybody owns.
    pub(super) fn all(&self) -> Set {
        self.0
            .values()
            .fold(Set::default(), |all, entry| all.union(&entry.set))
    }

    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Makes one of the oldest managers of updates while there are more than so many.
    pub(super) fn cap(&mut self, most: usize, name: &str) {
        let mut updaters: Vec<(Option<String>, Manager)> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, entry)| (entry.time.clone(), manager.clone()))
            .collect();
        if updaters.len() <= most {
            return;
        }
        updaters.sort();
        let gone = updaters.len() - most + 1;
        for (time, manager) in updaters.into_iter().take(gone) {
            let bucket = Manager {
                name: name.to_owned(),
                operation: Operation::Update,
                version: manager.version.clone(),
                subresource: String::new(),
            };
            if let Some(entry) = self.0.remove(&manager) {
                let into = self.0.entry(bucket).or_default();
                into.set = into.set.union(&entry.set);
                into.time = into.time.clone().max(time);
            }
        }
    }
}
