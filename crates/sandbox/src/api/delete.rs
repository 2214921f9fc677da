//! Delete: how an object goes: at once, when its finalizers let it, or when a pod has ended.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::write::serialise;
use super::{Api, DeleteOptions, Deleted, Propagation, Target, key};
use crate::clock::stamp;
use crate::status::Status;
use crate::store::Stored;

/// How long a pod may take to end if it does not say.
const GRACE_SECONDS: i64 = 30;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

impl Api {
    /// Deletes an object, or marks it as deleted.
    ///
    /// # Errors
    /// 404 if there is none, 409 if a precondition fails.
    pub fn delete(self: &Arc<Self>, target: &Target, options: &DeleteOptions) -> Result<Deleted, Status> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.read(&target.kind, &target.namespace, &target.name)?;
        let mut object = stored.value();
        check_preconditions(target, options, &object)?;
        let before = object.clone();
        set_finalizers(&mut object, options.propagation);
        let grace = grace_of(target, options, &object);
        let gone = !is_held(&object) && grace == 0;
        if !gone {
            self.mark(&mut object, grace);
        }
        if options.dry_run || object == before && !gone {
            return Ok(Deleted { object, gone });
        }
        if gone {
            self.remove(target, &stored, &mut object)?;
        } else {
            let (resource, key) = place(target);
            let put = self
                .store
                .put(&resource, &key, Some(stored.revision), |revision| {
                    serialise(&mut object, revision)
                });
            put.map_err(|_| Status::modified(&resource, &target.name))?;
        }
        Ok(Deleted { object, gone })
    }

    /// Writes into an object that it is deleted, and until when it may stay.
    fn mark(&self, object: &mut Value, grace: i64) {
        let is_marked = object["metadata"].get("deletionTimestamp").is_some();
        let until = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        if is_marked {
            // A second deletion can only make the time shorter.
            let left = object["metadata"]["deletionGracePeriodSeconds"]
                .as_i64()
                .unwrap_or(0);
            if grace >= left {
                return;
            }
        }
        let time = self
            .clock
            .now()
            .checked_add(until)
            .unwrap_or(jiff::Timestamp::MAX);
        object["metadata"]["deletionTimestamp"] = stamp(time).into();
        object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        if !is_marked && let Some(generation) = object["metadata"]["generation"].as_i64() {
            object["metadata"]["generation"] = (generation + 1).into();
        }
        if object["kind"] == "Namespace" {
            object["status"] = json!({ "phase": "Terminating" });
        }
    }

    /// Removes the objects of a custom kind, and then the kind.
    fn remove_kind(&self, resource: &str) {
        for object in self.store.list(resource, "").objects {
            let mut value = object.value();
            // Nobody else writes while this write goes on.
            let _ = self
                .store
                .remove(resource, &object.key, object.revision, |revision| {
                    serialise(&mut value, revision)
                });
        }
        self.registry.remove(resource);
    }

    pub(super) fn remove(&self, target: &Target, stored: &Stored, object: &mut Value) -> Result<(), Status> {
        let (resource, key) = place(target);
        let removed = self.store.remove(&resource, &key, stored.revision, |revision| {
            serialise(object, revision)
        });
        removed.map_err(|_| Status::modified(&resource, &target.name))?;
        if resource == crate::crd::RESOURCE {
            self.remove_kind(&target.name);
        }
        Ok(())
    }
}

fn place(target: &Target) -> (String, String) {
    (
        target.kind.resource(),
        key(&target.kind, &target.namespace, &target.name),
    )
}

fn is_held(object: &Value) -> bool {
    let list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    list(&object["metadata"]["finalizers"])
        || object["kind"] == "Namespace" && list(&object["spec"]["finalizers"])
}

/// What the wish for the owned objects makes of the finalizers.
fn set_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else {
        return;
    };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let old = object["metadata"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut list: Vec<Value> = old
        .into_iter()
        .filter(|one| one != FOREGROUND && one != ORPHAN)
        .collect();
    list.extend(wanted.map(Value::from));
    match object.get_mut("metadata").and_then(Value::as_object_mut) {
        Some(meta) if list.is_empty() => drop(meta.shift_remove("finalizers")),
        Some(meta) => drop(meta.insert("finalizers".to_owned(), list.into())),
        None => {}
    }
}

/// For how many seconds the object stays although nothing holds it. Only pods on a node do.
fn grace_of(target: &Target, options: &DeleteOptions, object: &Value) -> i64 {
    if !(target.kind.group.is_empty() && target.kind.kind == "Pod") {
        return 0;
    }
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    let has_node = object["spec"]["nodeName"]
        .as_str()
        .is_some_and(|node| !node.is_empty());
    if !has_node || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace_seconds.or(own).unwrap_or(GRACE_SECONDS).max(0)
}

fn check_preconditions(target: &Target, options: &DeleteOptions, object: &Value) -> Result<(), Status> {
    let metadata = &object["metadata"];
    for (asked, field, name) in [
        (&options.uid, "uid", "UID"),
        (&options.resource_version, "resourceVersion", "ResourceVersion"),
    ] {
        let found = metadata[field].as_str().unwrap_or_default();
        if let Some(asked) = asked
            && asked != found
        {
            let mut why = format!(
                "the {name} in the precondition ({asked}) does not match the {name} in record ({found}). "
            );
            why.push_str("The object might have been deleted and then recreated");
            let subject = crate::status::qualified(&target.kind.kind, &target.kind.group);
            return Err(Status::conflict(&subject, &target.name, &why));
        }
    }
    Ok(())
}
