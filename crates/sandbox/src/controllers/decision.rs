//! Decision: what a controller wants written after one look, and when it wants to look again by itself.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::view::Place;
use crate::client::Client;
use crate::kinds::fields::{items, text};
use crate::status::Status;
use crate::{DeleteOptions, Patch, Propagation};

/// One write. An update holds the resource version that was looked at, and fails if the object has changed since.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Makes an object of a resource.
    Create(&'static str, Value),
    /// Replaces an object.
    Update(String, Value),
    /// Replaces a list in the metadata of an object, of which the rest need not be known; an empty list goes.
    List {
        /// Where the object is.
        place: Place,
        /// Its resource version.
        version: Value,
        /// `finalizers` or `ownerReferences`.
        field: &'static str,
        /// The list.
        items: Vec<Value>,
    },
    /// Replaces the status of an object.
    Status(&'static str, Value),
    /// Deletes an object, if it is still the one that was looked at.
    Delete {
        /// Where it is.
        place: Place,
        /// Its uid.
        uid: String,
        /// How what it owns is treated.
        propagation: Option<Propagation>,
        /// Whether a pod goes at once.
        now: bool,
    },
    /// Tells a person what has happened to an object.
    Event(Notice),
}

/// What an Event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The reference to the object.
    pub about: Value,
    /// `Normal` or `Warning`.
    pub kind: &'static str,
    /// The machine's word.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// Who tells.
    pub component: &'static str,
}

/// The outcome of one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What is written, in this order; the rest is dropped after a refusal.
    pub writes: Vec<Write>,
    /// When to look again though nothing has changed.
    pub again: Option<Timestamp>,
}

// === impl Decision ===

impl Decision {
    /// Nothing to do.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Adds a write.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Looks again at a time, or earlier.
    pub fn look_at(&mut self, time: Timestamp) {
        self.again = Some(self.again.map_or(time, |other| other.min(time)));
    }

    /// Writes the status if it differs from the object's.
    pub fn status(&mut self, resource: &'static str, object: &Value, status: Value) {
        if object["status"] != status {
            let mut object = object.clone();
            object["status"] = status;
            self.push(Write::Status(resource, object));
        }
    }

    /// Tells what has happened to an object.
    pub fn tell(&mut self, component: &'static str, object: &Value, reason: &'static str, message: String) {
        self.push(Write::Event(Notice::new(
            component, object, "Normal", reason, message,
        )));
    }

    /// Tells what is wrong with an object.
    pub fn warn(&mut self, component: &'static str, object: &Value, reason: &'static str, message: String) {
        self.push(Write::Event(Notice::new(
            component, object, "Warning", reason, message,
        )));
    }

    /// Takes a finalizer off an object, if it is there.
    pub fn free(&mut self, place: &Place, object: &Value, finalizer: &str) {
        let metadata = &object["metadata"];
        let before = items(metadata, "finalizers");
        let left: Vec<Value> = before.iter().filter(|one| *one != finalizer).cloned().collect();
        if left.len() < before.len() {
            self.push(Write::List {
                place: place.clone(),
                version: metadata["resourceVersion"].clone(),
                field: "finalizers",
                items: left,
            });
        }
    }

    /// Deletes an object of a resource.
    pub fn delete(&mut self, resource: &str, object: &Value) {
        self.push(Write::Delete {
            place: Place::of(resource, object),
            uid: text(&object["metadata"], "uid").to_owned(),
            propagation: Some(Propagation::Background),
            now: false,
        });
    }
}

// === impl Notice ===

impl Notice {
    /// A notice about an object.
    pub fn new(
        component: &'static str,
        object: &Value,
        kind: &'static str,
        reason: &'static str,
        message: String,
    ) -> Self {
        let metadata = &object["metadata"];
        let about = json!({
            "kind": object["kind"], "apiVersion": object["apiVersion"], "namespace": metadata["namespace"],
            "name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
        });
        Self {
            about,
            kind,
            reason,
            message,
            component,
        }
    }

    /// The notice about one container of a pod.
    #[must_use = "the narrower notice is given back"]
    pub fn of_container(mut self, name: &str) -> Self {
        self.about["fieldPath"] = format!("spec.containers{{{name}}}").into();
        self
    }
}

// === impl Write ===

impl Write {
    /// Carries it out, as a field manager of this name.
    ///
    /// # Errors
    ///
    /// What the API answers.
    pub fn execute(self, client: &Client) -> Result<(), Status> {
        match self {
            Self::Create(resource, object) => client.create(resource, object).map(drop),
            Self::Update(resource, object) => client.update(&resource, object).map(drop),
            Self::List {
                place,
                version,
                field,
                items,
            } => {
                let items = if items.is_empty() {
                    Value::Null
                } else {
                    items.into()
                };
                let patch = json!({"metadata": {"resourceVersion": version, field: items}});
                let patch = Patch::Merge(patch);
                client
                    .patch(&place.resource, place.namespace(), place.name(), patch)
                    .map(drop)
            }
            Self::Status(resource, object) => client.update_status(resource, object).map(drop),
            Self::Delete {
                place,
                uid,
                propagation,
                now,
            } => {
                let options = DeleteOptions {
                    grace_seconds: now.then_some(0),
                    propagation,
                    uid: Some(uid),
                    ..DeleteOptions::default()
                };
                client.delete(&place.resource, place.namespace(), place.name(), &options)
            }
            Self::Event(notice) => notice.record(client),
        }
    }
}

impl Notice {
    /// Writes the Event, or counts it up if the same was told before.
    fn record(self, client: &Client) -> Result<(), Status> {
        let namespace = match text(&self.about, "namespace") {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let name = format!("{}.{:016x}", text(&self.about, "name"), self.fingerprint());
        let now = client.clock().stamp();
        if let Ok(mut event) = client.get("events", &namespace, &name) {
            event["count"] = (event["count"].as_i64().unwrap_or_default() + 1).into();
            event["lastTimestamp"] = now.into();
            return client.update("events", event).map(drop);
        }
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": self.about,
            "reason": self.reason,
            "message": self.message,
            "source": {"component": self.component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": self.kind,
            "reportingComponent": self.component,
        });
        client.create("events", event).map(drop)
    }

    fn fingerprint(&self) -> u64 {
        let uid = text(&self.about, "uid");
        let path = text(&self.about, "fieldPath");
        super::hash::fnv(&[uid, path, self.kind, self.reason, &self.message, self.component])
    }
}
