//! Delete: how an object goes, at once or when its finalizers let it.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::write::serialise;
use super::{Api, Caller, DeleteOptions, Deleted, Target, key};
use crate::status::Status;
use crate::store::Stored;

impl Api {
    /// Deletes an object, or marks it as deleted.
    ///
    /// # Errors
    /// 404 if there is none, 409 if a precondition fails.
    pub fn delete(
        self: &Arc<Self>,
        target: &Target,
        options: &DeleteOptions,
        _caller: &Caller,
    ) -> Result<Deleted, Status> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.read(&target.kind, &target.namespace, &target.name)?;
        let mut object = stored.value();
        check_preconditions(target, options, &object)?;
        if options.dry_run {
            return Ok(Deleted { object, gone: true });
        }
        let held = object["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
        if held {
            if object["metadata"].get("deletionTimestamp").is_none() {
                object["metadata"]["deletionTimestamp"] = self.clock.stamp().into();
                object["metadata"]["deletionGracePeriodSeconds"] = 0.into();
                let (resource, key) = self.place(target);
                let put = self
                    .store
                    .put(&resource, &key, Some(stored.revision), |revision| {
                        serialise(&mut object, revision)
                    });
                put.map_err(|_| Status::modified(&resource, &target.name))?;
            }
            return Ok(Deleted { object, gone: false });
        }
        self.remove(target, &stored, &mut object)?;
        Ok(Deleted { object, gone: true })
    }

    pub(super) fn remove(&self, target: &Target, stored: &Stored, object: &mut Value) -> Result<(), Status> {
        let (resource, key) = self.place(target);
        let removed = self.store.remove(&resource, &key, stored.revision, |revision| {
            serialise(object, revision)
        });
        removed.map_err(|_| Status::modified(&resource, &target.name))?;
        Ok(())
    }

    fn place(&self, target: &Target) -> (String, String) {
        (
            target.kind.resource(),
            key(&target.kind, &target.namespace, &target.name),
        )
    }
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
            let why = format!(
                "the {name} in the precondition ({asked}) does not match the {name} in record ({found}). The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(&target.kind.resource(), &target.name, &why));
        }
    }
    Ok(())
}
