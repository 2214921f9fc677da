//! View: the objects of the cluster as the controllers see them, with the time at which they look.
//!
//! It is brought up to date by the changes that a subscription tells, so that nothing is read twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::fields::{flag, items, text};

/// Resources of which the controllers need more than the metadata. A cluster is mostly made of others.
const WHOLE: [&str; 18] = [
    "namespaces",
    "nodes",
    "pods",
    "services",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "replicationcontrollers",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "controllerrevisions.apps",
    "jobs.batch",
    "cronjobs.batch",
    "persistentvolumes",
    "persistentvolumeclaims",
    "poddisruptionbudgets.policy",
    "horizontalpodautoscalers.autoscaling",
];

/// Where an object is: its resource, as `deployments.apps`, and its key, as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The resource.
    pub resource: Arc<str>,
    /// The key.
    pub key: String,
}

/// The objects, and who owns whom.
#[derive(Debug)]
pub struct View {
    /// The time of this look.
    pub now: Timestamp,
    objects: BTreeMap<Arc<str>, BTreeMap<String, Arc<Value>>>,
    /// The owner's uid and what it owns.
    owned: BTreeMap<String, BTreeSet<Place>>,
    /// Where the object with a uid is.
    uids: BTreeMap<String, Place>,
}

// === impl Place ===

impl Place {
    /// The place of an object.
    pub fn of(resource: &str, object: &Value) -> Self {
        Self {
            resource: resource.into(),
            key: key_of(object),
        }
    }

    /// The namespace; empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&self.key, |(_, name)| name)
    }
}

// === impl View ===

impl View {
    /// A view of nothing.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            now,
            objects: BTreeMap::new(),
            owned: BTreeMap::new(),
            uids: BTreeMap::new(),
        }
    }

    /// Puts an object in, in place of its former state.
    pub fn insert(&mut self, resource: &Arc<str>, mut object: Value) {
        shorten(resource, &mut object);
        let place = Place::of(resource, &object);
        self.remove(&place);
        for owner in items(&object["metadata"], "ownerReferences") {
            let owned = self.owned.entry(text(owner, "uid").to_owned()).or_default();
            owned.insert(place.clone());
        }
        self.uids
            .insert(text(&object["metadata"], "uid").to_owned(), place.clone());
        let collection = self.objects.entry(Arc::clone(resource)).or_default();
        collection.insert(place.key, Arc::new(object));
    }

    /// Takes an object out.
    pub fn remove(&mut self, place: &Place) {
        let collection = self.objects.get_mut(&place.resource);
        let Some(old) = collection.and_then(|collection| collection.remove(&place.key)) else {
            return;
        };
        self.uids.remove(text(&old["metadata"], "uid"));
        for owner in items(&old["metadata"], "ownerReferences") {
            let uid = text(owner, "uid");
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(place);
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
    }

    /// The object at a place.
    pub fn at(&self, place: &Place) -> Option<&Arc<Value>> {
        self.objects.get(&place.resource)?.get(&place.key)
    }

    /// An object by its names; the namespace is empty for a cluster-scoped one.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        let key = if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        };
        self.objects.get(resource)?.get(&key).map(|object| &**object)
    }

    /// All objects of a resource.
    pub fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        let collection = self.objects.get(resource);
        collection
            .into_iter()
            .flat_map(|objects| objects.values())
            .map(|object| &**object)
    }

    /// The objects of a resource in a namespace.
    pub fn within<'a>(
        &'a self,
        resource: &str,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let prefix = format!("{namespace}/");
        let collection = self.objects.get(resource);
        let from = collection.map(|objects| objects.range(prefix.clone()..));
        let below = from
            .into_iter()
            .flatten()
            .take_while(move |(key, _)| key.starts_with(&prefix));
        below.map(|(_, object)| &**object)
    }

    /// The objects of a resource that an object controls.
    pub fn controlled<'a>(&'a self, resource: &str, owner: &Value) -> Vec<&'a Value> {
        let uid = text(&owner["metadata"], "uid");
        let owned = self.owned.get(uid).into_iter().flatten();
        let of_resource = owned.filter(|place| *place.resource == *resource);
        let objects = of_resource
            .filter_map(|place| self.at(place))
            .map(|object| &**object);
        objects
            .filter(|object| controller_of(object).is_some_and(|owner| text(owner, "uid") == uid))
            .collect()
    }

    /// The places of what an object owns.
    pub fn owned_by(&self, uid: &str) -> Vec<Place> {
        self.owned.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Whether there is an object with this uid.
    pub fn has_uid(&self, uid: &str) -> bool {
        self.uids.contains_key(uid)
    }

    /// Where the object with this uid is.
    pub fn place_of(&self, uid: &str) -> Option<&Place> {
        self.uids.get(uid)
    }

    /// Every place of every resource.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.objects.iter().flat_map(|(resource, objects)| {
            objects.keys().map(|key| Place {
                resource: Arc::clone(resource),
                key: key.clone(),
            })
        })
    }
}

/// Forgets what no controller looks at: who has written which field, and all but the metadata of most kinds.
fn shorten(resource: &str, object: &mut Value) {
    let is_whole = WHOLE.contains(&resource);
    if let Some(map) = object.as_object_mut() {
        map.retain(|key, _| is_whole || matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
        if !is_whole {
            metadata.shift_remove("annotations");
        }
    }
}

/// `namespace/name`, or the name alone.
pub fn key_of(object: &Value) -> String {
    let metadata = &object["metadata"];
    match text(metadata, "namespace") {
        "" => text(metadata, "name").to_owned(),
        namespace => format!("{namespace}/{}", text(metadata, "name")),
    }
}

/// The reference to the object that controls this one.
pub fn controller_of(object: &Value) -> Option<&Value> {
    let owners = items(&object["metadata"], "ownerReferences");
    owners.iter().find(|owner| flag(owner, "controller"))
}

/// Whether somebody has deleted the object already.
pub fn is_leaving(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// The time at a key.
pub fn time(value: &Value, key: &str) -> Option<Timestamp> {
    value[key].as_str()?.parse().ok()
}
