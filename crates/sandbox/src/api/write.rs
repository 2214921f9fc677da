//! Write: how an object comes to be stored, for every way of writing it.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Api, Caller, Operation, Patch, Target, Validation, WriteOptions, Written, context, key, metadata,
};
use crate::registry::Context;
use crate::status::Status;
use crate::store::Stored;

/// Fields of the metadata that only the API writes.
const OWN_METADATA: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

impl Api {
    /// Writes an object.
    ///
    /// # Errors
    /// Whatever a real server refuses: 400, 404, 409, 422.
    pub fn write(
        self: &Arc<Self>,
        target: &Target,
        operation: Operation,
        options: &WriteOptions,
        caller: &Caller,
    ) -> Result<Written, Status> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let context = context(self, caller);
        match operation {
            Operation::Create(object) => self.create(target, object, options, &context),
            Operation::Update(object) => {
                let old = self.read(&target.kind, &target.namespace, &target.name)?;
                self.replace(target, &old, object, options, &context)
            }
            Operation::Patch(patch) => {
                let old = self.read(&target.kind, &target.namespace, &target.name)?;
                let mut object = old.value();
                apply_patch(&mut object, patch)?;
                self.replace(target, &old, object, options, &context)
            }
        }
    }

    fn create(
        self: &Arc<Self>,
        target: &Target,
        mut object: Value,
        options: &WriteOptions,
        context: &Context,
    ) -> Result<Written, Status> {
        let kind = &target.kind;
        check_type(target, &mut object)?;
        let warnings = decode(target, &mut object, options.validation)?;
        (kind.hooks.default)(&mut object);
        let meta = metadata::of(&mut object)?;
        set_namespace(target, meta)?;
        for field in OWN_METADATA {
            meta.remove(field);
        }
        if meta
            .remove("resourceVersion")
            .is_some_and(|version| version.as_str().is_some_and(|v| !v.is_empty()))
        {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata::generate_name(meta);
        meta.insert("uid".into(), metadata::uid().into());
        meta.insert("creationTimestamp".into(), self.clock.stamp().into());
        self.check_namespace(target)?;
        (kind.hooks.prepare_for_create)(&mut object, context)?;
        let name = name_of(&object);
        let mut errors = metadata::validate(kind, metadata::of(&mut object)?);
        errors.extend((kind.hooks.validate_create)(&object));
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, &name, &errors));
        }
        let object = self.put(target, &name, None, object, options)?;
        Ok(Written {
            object,
            created: true,
            warnings,
        })
    }

    fn replace(
        self: &Arc<Self>,
        target: &Target,
        stored: &Stored,
        mut object: Value,
        options: &WriteOptions,
        context: &Context,
    ) -> Result<Written, Status> {
        let kind = &target.kind;
        let old = stored.value();
        check_type(target, &mut object)?;
        let warnings = decode(target, &mut object, options.validation)?;
        (kind.hooks.default)(&mut object);
        let meta = metadata::of(&mut object)?;
        set_namespace(target, meta)?;
        check_version(target, meta, stored)?;
        keep_metadata(meta, &old);
        let errors = if target.subresource == "status" {
            keep_all_but_status(&mut object, &old);
            (kind.hooks.prepare_for_status)(&mut object, &old);
            (kind.hooks.validate_status)(&object, &old)
        } else {
            (kind.hooks.prepare_for_update)(&mut object, &old, context)?;
            let mut errors = metadata::validate(kind, metadata::of(&mut object)?);
            errors.extend((kind.hooks.validate_update)(&object, &old));
            errors
        };
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, &target.name, &errors));
        }
        let object = if object == old {
            old
        } else {
            self.put(target, &target.name, Some(stored.revision), object, options)?
        };
        Ok(Written {
            object,
            created: false,
            warnings,
        })
    }

    fn put(
        &self,
        target: &Target,
        name: &str,
        read: Option<u64>,
        mut object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let (resource, key) = (target.kind.resource(), key(&target.kind, &target.namespace, name));
        if options.dry_run {
            if read.is_none() && self.store.get(&resource, &key).is_some() {
                return Err(Status::already_exists(&resource, name));
            }
            return Ok(object);
        }
        let stored = self
            .store
            .put(&resource, &key, read, |revision| serialise(&mut object, revision));
        match stored {
            Ok(_) => Ok(object),
            Err(_) if read.is_none() => Err(Status::already_exists(&resource, name)),
            Err(_) => Err(Status::modified(&resource, name)),
        }
    }

    fn check_namespace(&self, target: &Target) -> Result<(), Status> {
        if !target.kind.namespaced {
            return Ok(());
        }
        let name = &target.namespace;
        let found = self.store.get("namespaces", name);
        let namespace = found
            .ok_or_else(|| Status::not_found("namespaces", name))?
            .value();
        if namespace["metadata"].get("deletionTimestamp").is_some() {
            let why =
                format!("unable to create new content in namespace {name} because it is being terminated");
            return Err(Status::forbidden(&target.kind.resource(), &target.name, &why));
        }
        Ok(())
    }
}

/// Writes a revision into an object and gives its bytes.
pub(super) fn serialise(object: &mut Value, revision: u64) -> Bytes {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    Bytes::from(object.to_string())
}

pub(super) fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Writes the kind where it is missing, and refuses another one.
fn check_type(target: &Target, object: &mut Value) -> Result<(), Status> {
    let kind = &target.kind;
    for (field, wanted) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        match object.get(field).and_then(Value::as_str).unwrap_or_default() {
            "" => object[field] = wanted.into(),
            found if found == wanted => {}
            found => {
                let message =
                    format!("the {field} in the data ({found}) does not match the expected one ({wanted})");
                return Err(Status::bad_request(message));
            }
        }
    }
    Ok(())
}

/// Reads the object as its kind, and gives the warnings about fields that the kind does not have.
fn decode(target: &Target, object: &mut Value, validation: Validation) -> Result<Vec<String>, Status> {
    let kind = &target.kind;
    let refused = |why: &str| {
        let message = format!(
            "{0} in version {1:?} cannot be handled as a {0}: {why}",
            kind.kind, kind.version
        );
        Status::bad_request(message)
    };
    let unknown = (kind.hooks.decode)(object).map_err(|why| refused(&why))?;
    let told: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect();
    match validation {
        Validation::Ignore => Ok(Vec::new()),
        Validation::Warn => Ok(told),
        Validation::Strict if told.is_empty() => Ok(told),
        Validation::Strict => Err(refused(&format!("strict decoding error: {}", told.join(", ")))),
    }
}

fn set_namespace(target: &Target, meta: &mut Map<String, Value>) -> Result<(), Status> {
    if !target.kind.namespaced {
        meta.remove("namespace");
        return Ok(());
    }
    match meta.get("namespace").and_then(Value::as_str).unwrap_or_default() {
        found if found == target.namespace => Ok(()),
        "" => {
            meta.insert("namespace".into(), target.namespace.clone().into());
            Ok(())
        }
        _ => Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

fn check_version(target: &Target, meta: &mut Map<String, Value>, stored: &Stored) -> Result<(), Status> {
    let now = stored.revision.to_string();
    let asked = meta
        .get("resourceVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !asked.is_empty() && asked != now {
        return Err(Status::modified(&target.kind.resource(), &target.name));
    }
    meta.insert("resourceVersion".into(), now.into());
    Ok(())
}

fn keep_metadata(meta: &mut Map<String, Value>, old: &Value) {
    for field in OWN_METADATA {
        match old["metadata"].get(field) {
            Some(value) => meta.insert(field.into(), value.clone()),
            None => meta.remove(field),
        };
    }
}

/// What a write of the status leaves alone.
fn keep_all_but_status(object: &mut Value, old: &Value) {
    let status = object.get("status").cloned();
    let annotations = object["metadata"].get("annotations").cloned();
    let fields = object["metadata"].get("managedFields").cloned();
    *object = old.clone();
    let mut set = |at: &mut Value, field: &str, value: Option<Value>| match (at, value) {
        (Value::Object(at), Some(value)) => drop(at.insert(field.to_owned(), value)),
        (Value::Object(at), None) => drop(at.remove(field)),
        _ => {}
    };
    set(object, "status", status);
    set(&mut object["metadata"], "annotations", annotations);
    set(&mut object["metadata"], "managedFields", fields);
}

fn apply_patch(object: &mut Value, patch: Patch) -> Result<(), Status> {
    match patch {
        Patch::Json(patch) => {
            let operations = serde_json::from_value::<json_patch::Patch>(patch)
                .map_err(|error| Status::bad_request(error.to_string()))?;
            json_patch::patch(object, &operations).map_err(|error| {
                Status::new(
                    422,
                    "Invalid",
                    format!("the server rejected our request due to an error in our request: {error}"),
                )
            })
        }
        Patch::Merge(patch) | Patch::Strategic(patch) | Patch::Apply { object: patch, .. } => {
            json_patch::merge(object, &patch);
            Ok(())
        }
    }
}
