//! Live state: what a cluster says is, and what gitsync remembers there.

pub mod adopt;
pub mod applied;
pub mod ignore;
pub mod wishes;

use std::collections::BTreeMap;

use manifest::ObjectId;
use serde_json::Value;

/// The objects that gitsync applied to an environment: id to the API version it was applied with.
///
/// It is what pruning compares with, so it is written before the first object is applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    objects: BTreeMap<ObjectId, String>,
}

/// An inventory text that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the inventory has a line that is no object: `{line}`")]
pub struct InventoryError {
    line: String,
    #[source]
    source: manifest::IdError,
}

/// Metadata that the API server writes; it never belongs to what somebody asked for.
const SERVER_METADATA: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
];

/// The label on every object that gitsync applies; its value is the environment.
///
/// It stands on the object alone, never in a selector or a pod template.
pub const ENVIRONMENT_LABEL: &str = "gitsync.dev/environment";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `object` without what only the server writes: status and bookkeeping metadata.
///
/// Two normalised objects are equal exactly when a person would call them equal.
#[must_use]
pub fn normalise(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(map) = object.as_object_mut() else {
        return object;
    };
    map.remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in SERVER_METADATA {
            metadata.remove(field);
        }
        for (group, key) in [("annotations", LAST_APPLIED), ("labels", ENVIRONMENT_LABEL)] {
            remove_in(metadata, group, key);
        }
    }
    object
}

/// The environment that an object says it belongs to.
#[must_use]
pub fn environment_of(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][ENVIRONMENT_LABEL].as_str()
}

/// `object` with the label of `environment`, if there is one.
#[must_use]
pub fn with_environment(mut object: Value, environment: Option<&str>) -> Value {
    if let Some(environment) = environment {
        object["metadata"]["labels"][ENVIRONMENT_LABEL] = environment.into();
    }
    object
}

fn remove_in(metadata: &mut serde_json::Map<String, Value>, group: &str, key: &str) {
    if let Some(entries) = metadata.get_mut(group).and_then(Value::as_object_mut) {
        entries.remove(key);
        if entries.is_empty() {
            metadata.remove(group);
        }
    }
}

// === impl Inventory ===

impl Inventory {
    /// Adds an object with its API version.
    pub fn insert(&mut self, id: ObjectId, version: String) {
        self.objects.insert(id, version);
    }

    /// Forgets an object.
    pub fn remove(&mut self, id: &ObjectId) {
        self.objects.remove(id);
    }

    /// Whether the object is held.
    #[must_use]
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.objects.contains_key(id)
    }

    /// How many objects are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects with their API versions, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &str)> {
        self.objects.iter().map(|(id, version)| (id, version.as_str()))
    }

    /// Both inventories together; versions of `newer` win.
    #[must_use]
    pub fn union(&self, newer: &Self) -> Self {
        let mut objects = self.objects.clone();
        objects.extend(newer.objects.clone());
        Self { objects }
    }

    /// The objects that `desired` no longer has, with their API versions.
    #[must_use]
    pub fn without(&self, desired: &Self) -> Self {
        let gone = self.objects.iter().filter(|(id, _)| !desired.contains(id));
        Self {
            objects: gone.map(|(id, version)| (id.clone(), version.clone())).collect(),
        }
    }

    /// One object a line, `<namespace>_<name>_<group>_<kind> <version>`, as it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.objects
            .iter()
            .map(|(id, version)| format!("{} {version}\n", id.to_inventory()))
            .collect()
    }

    /// Reads what [`Inventory::to_text`] wrote.
    ///
    /// # Errors
    ///
    /// When a line is no object. A damaged inventory is never read in part: pruning by half of one would be wrong.
    pub fn from_text(text: &str) -> Result<Self, InventoryError> {
        let mut inventory = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (id, version) = line.rsplit_once(' ').unwrap_or((line, "v1"));
            let id = ObjectId::from_inventory(id).map_err(|source| InventoryError {
                line: line.to_owned(),
                source,
            })?;
            inventory.insert(id, version.to_owned());
        }
        Ok(inventory)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_id(namespace: &str, name: &str) -> ObjectId {
        ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn an_inventory_survives_being_stored() {
        let mut inventory = Inventory::default();
        inventory.insert(mk_id("shop", "web"), "v1".into());
        inventory.insert(mk_id("", "cluster-thing"), "v1beta1".into());
        assert_eq!(Inventory::from_text(&inventory.to_text()).unwrap(), inventory);
        assert!(Inventory::from_text("nonsense v1\n").is_err());
    }

    #[test]
    fn what_is_gone_is_what_the_new_one_lacks() {
        let (mut old, mut new) = (Inventory::default(), Inventory::default());
        old.insert(mk_id("shop", "web"), "v1".into());
        old.insert(mk_id("shop", "old"), "v1".into());
        new.insert(mk_id("shop", "web"), "v1".into());
        let gone = old.without(&new);
        assert_eq!(
            gone.iter().map(|(id, _)| id.name.as_str()).collect::<Vec<_>>(),
            ["old"]
        );
        assert_eq!(old.union(&new).len(), 2);
    }

    #[test]
    fn normalising_leaves_what_a_person_wrote() {
        let live = json!({
            "kind": "ConfigMap",
            "metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "managedFields": [],
                "labels": {"gitsync.dev/environment": "prod"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "x"}},
            "data": {"k": "v"}, "status": {"a": 1},
        });
        assert_eq!(
            normalise(&live),
            json!({"kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"team": "x"}}, "data": {"k": "v"}})
        );
    }
}
