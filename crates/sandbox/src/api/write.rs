//! Write: how an object comes to be stored, for every way of writing it.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::fields::{self, Sent};
use super::{Api, Caller, Operation, Patch, Target, WriteOptions, Written, context, key, metadata};
use crate::apply::{self, Managers, Scope};
use crate::registry::{Context, Registry};
use crate::schema;
use crate::status::{FieldError, Status};
use crate::store::Stored;
use crate::{crd, patch};

/// Fields of the metadata that only the API writes.
const OWN_METADATA: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// One write on its way.
pub(super) struct Writing<'a> {
    pub api: &'a Arc<Api>,
    pub target: &'a Target,
    pub options: &'a WriteOptions,
    pub context: &'a Context,
    /// The manager's name.
    pub manager: &'a str,
    /// The time of the write.
    pub now: &'a str,
    /// Whether the client replaces an object, and says which one.
    pub must_tell_version: bool,
}

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
        let writing = Writing {
            api: self,
            target,
            options,
            context: &context(self, caller),
            manager: options.manager.as_deref().unwrap_or(&caller.manager),
            now: &self.clock.stamp(),
            must_tell_version: matches!(operation, Operation::Update(_)) && target.subresource != "scale",
        };
        if target.subresource == "scale" {
            return writing.scale(operation);
        }
        writing.run(operation)
    }
}

// === impl Writing ===

impl Writing<'_> {
    fn run(&self, operation: Operation) -> Result<Written, Status> {
        match operation {
            Operation::Create(mut object) => {
                let warnings = self.decode(&mut object, &Sent::Object)?;
                self.create(object, warnings)
            }
            Operation::Update(mut object) => {
                let warnings = self.decode(&mut object, &Sent::Object)?;
                self.update(object, warnings)
            }
            Operation::Patch(Patch::Apply {
                object,
                manager,
                force,
            }) => self.apply(&object, &manager, force),
            Operation::Patch(patch) => {
                let old = self
                    .api
                    .read(&self.target.kind, &self.target.namespace, &self.target.name)?;
                let strategic = match &patch {
                    Patch::Strategic(value) => Some(patch::go_text(value)),
                    _ => None,
                };
                let mut object = patch::patch(&old.value(), patch, self.builtin_node())?;
                // A refusal quotes a strategic merge as it was sent, and of the others what they made.
                let sent = Sent::Patch(strategic.unwrap_or_else(|| object.to_string()));
                self.check_name(&object)?;
                let warnings = self.decode(&mut object, &sent)?;
                self.replace(&old, object, warnings)
            }
        }
    }

    /// Reads an object into its type, before anything is looked up. Gives the warnings.
    fn decode(&self, object: &mut Value, sent: &Sent) -> Result<Vec<String>, Status> {
        check_type(self.target, object, &self.api.registry)?;
        fields::check(&self.target.kind, object, self.options.validation, sent)
    }

    fn makes_by_update(&self) -> bool {
        self.target.kind.created_by_update && self.target.subresource.is_empty()
    }

    /// Strategic merges are for builtin types alone.
    fn builtin_node(&self) -> Option<crate::schema::Node<'_>> {
        self.target
            .kind
            .node()
            .filter(|_| self.target.kind.structural.is_none())
    }

    fn read_for_update(&self, object: &Value) -> Result<Arc<Stored>, Status> {
        self.check_name(object)?;
        self.api
            .read(&self.target.kind, &self.target.namespace, &self.target.name)
    }

    fn check_name(&self, object: &Value) -> Result<(), Status> {
        let (found, wanted) = (name_of(object), &self.target.name);
        if found.is_empty() {
            return Err(Status::bad_request("name must be provided"));
        }
        if found != *wanted {
            let why =
                format!("the name of the object ({found}) does not match the name on the URL ({wanted})");
            return Err(Status::bad_request(why));
        }
        Ok(())
    }

    fn create(&self, mut object: Value, warnings: Vec<String>) -> Result<Written, Status> {
        set_namespace(self.target, metadata::of(&mut object)?)?;
        self.target.kind.default(&mut object);
        fields::track(self.target, None, &mut object, self.manager, self.now);
        self.finish_create(object, warnings.clone())
            .map_err(|status| status.warning(warnings))
    }

    /// The part of a create that an apply has too.
    fn finish_create(&self, mut object: Value, warnings: Vec<String>) -> Result<Written, Status> {
        let kind = &self.target.kind;
        let meta = metadata::of(&mut object)?;
        for field in OWN_METADATA {
            meta.shift_remove(field);
        }
        let version = meta.shift_remove("resourceVersion");
        if version.is_some_and(|version| version.as_str().is_some_and(|text| !text.is_empty())) {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        metadata::generate_name(meta);
        meta.insert("uid".into(), metadata::uid().into());
        meta.insert("creationTimestamp".into(), self.now.into());
        self.check_namespace()?;
        kind.prepare_for_create(&mut object, self.context)?;
        let name = name_of(&object);
        let mut errors = metadata::validate(kind, metadata::of(&mut object)?);
        errors.extend(kind.validate_create(&object));
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, &name, &errors));
        }
        let object = self.put(&name, None, object)?;
        Ok(Written {
            object,
            created: true,
            warnings,
        })
    }

    fn apply(&self, applied: &Value, manager: &str, force: bool) -> Result<Written, Status> {
        let target = self.target;
        let kind = &target.kind;
        if manager.is_empty() {
            let error = FieldError::required("fieldManager", "is required for apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        let mut applied = applied.clone();
        check_applied_type(target, &applied)?;
        let node = kind.node().ok_or_else(patch::unsupported)?;
        let (api_version, reset) = (kind.api_version(), fields::reset_fields(target));
        let scope = Scope {
            node,
            version: &api_version,
            subresource: &target.subresource,
            reset: &reset,
            now: self.now,
        };
        apply::check(&scope, &applied)?;
        let version = metadata::of(&mut applied)?.get("resourceVersion").cloned();
        let meta = metadata::of(&mut applied)?;
        set_namespace(target, meta)?;
        if !meta.contains_key("name") {
            meta.insert("name".into(), target.name.clone().into());
        }
        self.check_name(&applied)?;
        let found = self
            .api
            .store
            .get(&kind.resource(), &key(kind, &target.namespace, &target.name));
        let live = found.as_ref().map(|stored| stored.value());
        if live.is_none() && !target.subresource.is_empty() {
            return Err(Status::not_found(&kind.resource(), &target.name));
        }
        let managers = live.as_ref().map(Managers::of).unwrap_or_default();
        let (mut object, managers) = apply::apply(&scope, live.as_ref(), managers, &applied, manager, force)?;
        fields::check(kind, &mut object, super::Validation::Ignore, &Sent::Object)?;
        kind.default(&mut object);
        managers.write(&mut object);
        match found {
            None if version.is_some() => Err(Status::not_found(&kind.resource(), &target.name)),
            None => self.finish_create(object, Vec::new()),
            Some(stored) => {
                if let (Some(version), Ok(meta)) = (version, metadata::of(&mut object)) {
                    meta.insert("resourceVersion".into(), version);
                }
                self.finish_replace(&stored, object, Vec::new())
            }
        }
    }

    fn update(&self, object: Value, warnings: Vec<String>) -> Result<Written, Status> {
        match self.read_for_update(&object) {
            Ok(old) => self.replace(&old, object, warnings),
            Err(status) if status.is_not_found() && self.makes_by_update() => self.create(object, warnings),
            Err(status) => Err(status.warning(warnings)),
        }
    }

    fn replace(&self, stored: &Stored, mut object: Value, warnings: Vec<String>) -> Result<Written, Status> {
        let old = stored.value();
        set_namespace(self.target, metadata::of(&mut object)?)?;
        self.target.kind.default(&mut object);
        fields::track(self.target, Some(&old), &mut object, self.manager, self.now);
        self.finish_replace(stored, object, warnings.clone())
            .map_err(|status| status.warning(warnings))
    }

    /// The part of an update that an apply has too.
    pub(super) fn finish_replace(
        &self,
        stored: &Stored,
        mut object: Value,
        warnings: Vec<String>,
    ) -> Result<Written, Status> {
        let (target, kind) = (self.target, &self.target.kind);
        let old = stored.value();
        let meta = metadata::of(&mut object)?;
        self.check_version(meta, stored)?;
        check_uid(target, meta, &old)?;
        keep_metadata(meta, &old);
        let errors = if target.subresource == "status" {
            keep_all_but_status(&mut object, &old);
            (kind.hooks.prepare_for_status)(&mut object, &old);
            kind.validate_status(&object, &old)
        } else {
            kind.prepare_for_update(&mut object, &old, self.context)?;
            let mut errors = metadata::validate(kind, metadata::of(&mut object)?);
            errors.extend(new_finalizers(&object, &old));
            errors.extend(kind.validate_update(&object, &old));
            errors
        };
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, &target.name, &errors));
        }
        let object = if is_same_but_for_times(&object, &old) {
            old
        } else if is_released(&object) && !self.options.dry_run {
            self.api.remove(target, stored, &mut object)?;
            object
        } else {
            self.put(&target.name, Some(stored.revision), object)?
        };
        Ok(Written {
            object,
            created: false,
            warnings,
        })
    }

    /// Whether the object is still the one that the client has read. Custom kinds insist on being asked.
    fn check_version(&self, meta: &mut Map<String, Value>, stored: &Stored) -> Result<(), Status> {
        let (kind, name) = (&self.target.kind, &self.target.name);
        let now = stored.revision.to_string();
        let asked = meta
            .get("resourceVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !asked.is_empty() && asked != now {
            return Err(Status::modified(&kind.resource(), name));
        }
        if asked.is_empty() && kind.insists_on_version && self.must_tell_version {
            let detail = "must be specified for an update";
            let error = FieldError::invalid("metadata.resourceVersion", 0, detail);
            return Err(Status::invalid(&kind.group, &kind.plural, name, &[error]));
        }
        meta.insert("resourceVersion".into(), now.into());
        Ok(())
    }

    fn put(&self, name: &str, read: Option<u64>, mut object: Value) -> Result<Value, Status> {
        let kind = &self.target.kind;
        let (resource, key) = (kind.resource(), key(kind, &self.target.namespace, name));
        let taken = || Status::already_exists(&resource, name);
        // A dry run goes through the form of the storage as well.
        if let Some(node) = self.builtin_node() {
            schema::settle(node, &mut object);
        }
        if self.options.dry_run {
            if read.is_none() && self.api.store.get(&resource, &key).is_some() {
                return Err(taken());
            }
            return Ok(object);
        }
        let stored = self
            .api
            .store
            .put(&resource, &key, read, |revision| serialise(&mut object, revision));
        match stored {
            Ok(_) => {
                if resource == crd::RESOURCE {
                    self.api.registry.replace(crd::kinds(&object));
                }
                Ok(object)
            }
            Err(_) if read.is_none() => Err(taken()),
            Err(_) => Err(Status::modified(&resource, name)),
        }
    }

    fn check_namespace(&self) -> Result<(), Status> {
        let target = self.target;
        if !target.kind.namespaced {
            return Ok(());
        }
        let name = &target.namespace;
        let found = self.api.store.get("namespaces", name);
        let namespace = found
            .ok_or_else(|| Status::not_found("namespaces", name))?
            .value();
        if namespace["metadata"].get("deletionTimestamp").is_some() {
            let why =
                format!("unable to create new content in namespace {name} because it is being terminated");
            let mut status = Status::forbidden(&target.kind.resource(), &target.name, &why);
            if let Some(details) = &mut status.details {
                details["causes"] = serde_json::json!([{
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {name} is being terminated"),
                    "field": "metadata.namespace",
                }]);
            }
            return Err(status);
        }
        Ok(())
    }
}

/// Writes a revision into an object and gives its bytes.
pub(super) fn serialise(object: &mut Value, revision: u64) -> Bytes {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    // The kind comes first in the bytes: the items of a list are the same bytes without it.
    if let Value::Object(map) = object {
        let mut ordered = Map::with_capacity(map.len());
        for field in ["apiVersion", "kind"] {
            ordered.extend(map.remove_entry(field));
        }
        ordered.extend(std::mem::take(map));
        *map = ordered;
    }
    Bytes::from(object.to_string())
}

pub(super) fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Writes the kind where it is missing, and refuses another one.
pub(super) fn check_type(target: &Target, object: &mut Value, registry: &Registry) -> Result<(), Status> {
    let kind = &target.kind;
    if !object.is_object() {
        return Err(Status::bad_request("the body of the request is no JSON object"));
    }
    let (wanted_kind, wanted_version) = (kind.kind.clone(), kind.api_version());
    let found = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (found_kind, found_version) = (found("kind"), found("apiVersion"));
    let differs = |found: &str, wanted: &str| !found.is_empty() && found != wanted;
    if differs(&found_kind, &wanted_kind) || differs(&found_version, &wanted_version) {
        return Err(Status::bad_request(wrong_type(
            target,
            &found_kind,
            &found_version,
            registry,
        )));
    }
    object["apiVersion"] = wanted_version.into();
    object["kind"] = wanted_kind.into();
    Ok(())
}

/// The sentence about an object of another kind.
fn wrong_type(target: &Target, kind: &str, api_version: &str, registry: &Registry) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (wanted, wanted_version) = (&target.kind.kind, target.kind.api_version());
    let is_served = registry
        .all()
        .iter()
        .any(|one| one.kind == kind && one.api_version() == api_version);
    let head = format!("{kind} in version {version:?} cannot be handled as a {wanted}");
    if !is_served {
        return format!(
            "{head}: no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        );
    }
    if kind == wanted {
        return format!(
            "the API version in the data ({api_version}) does not match the expected API version ({wanted_version})"
        );
    }
    let package = |group: &str| match group.split('.').next() {
        None | Some("") => "core".to_owned(),
        Some(name) => name.to_owned(),
    };
    let from = if group.is_empty() {
        version.to_owned()
    } else {
        package(group)
    };
    format!(
        "{head}: converting ({from}.{kind}) to ({}.{wanted}): unknown conversion",
        package(&target.kind.group)
    )
}

/// An apply has to tell the kind.
fn check_applied_type(target: &Target, object: &Value) -> Result<(), Status> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if kind == target.kind.kind && version == target.kind.api_version() {
        return Ok(());
    }
    let slash = if version.contains('/') { "" } else { "/" };
    Err(Status::bad_request(format!(
        "invalid object type: {slash}{version}, Kind={kind}"
    )))
}

fn set_namespace(target: &Target, meta: &mut Map<String, Value>) -> Result<(), Status> {
    if !target.kind.namespaced {
        meta.shift_remove("namespace");
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

fn check_uid(target: &Target, meta: &Map<String, Value>, old: &Value) -> Result<(), Status> {
    let asked = meta.get("uid").and_then(Value::as_str).unwrap_or_default();
    let found = old["metadata"]["uid"].as_str().unwrap_or_default();
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
    Err(Status::conflict(&target.kind.resource(), &target.name, &why))
}

fn keep_metadata(meta: &mut Map<String, Value>, old: &Value) {
    for field in OWN_METADATA {
        match old["metadata"].get(field) {
            Some(value) => meta.insert(field.into(), value.clone()),
            None => meta.shift_remove(field),
        };
    }
}

/// What a write of the status leaves alone.
fn keep_all_but_status(object: &mut Value, old: &Value) {
    let status = object.get("status").cloned();
    let annotations = object["metadata"].get("annotations").cloned();
    let fields = object["metadata"].get("managedFields").cloned();
    *object = old.clone();
    let set = |at: &mut Value, field: &str, value: Option<Value>| match (at, value) {
        (Value::Object(at), Some(value)) => drop(at.insert(field.to_owned(), value)),
        (Value::Object(at), None) => drop(at.shift_remove(field)),
        _ => {}
    };
    set(object, "status", status);
    set(&mut object["metadata"], "annotations", annotations);
    set(&mut object["metadata"], "managedFields", fields);
}

/// A deleted object takes no new finalizers.
fn new_finalizers(object: &Value, old: &Value) -> Vec<FieldError> {
    let list = |object: &Value| {
        object["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    if old["metadata"].get("deletionTimestamp").is_none() {
        return Vec::new();
    }
    let had = list(old);
    let new: Vec<String> = list(object)
        .into_iter()
        .filter(|one| !had.contains(one))
        .filter_map(|one| one.as_str().map(str::to_owned))
        .collect();
    if new.is_empty() {
        return Vec::new();
    }
    let names = new
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let what = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{names}}}"
    );
    vec![FieldError::forbidden("metadata.finalizers", what)]
}

/// Whether a deleted object is held by nothing any more.
pub(super) fn is_released(object: &Value) -> bool {
    let meta = &object["metadata"];
    let held = meta["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    let spec_held = object["kind"] == "Namespace"
        && object["spec"]["finalizers"]
            .as_array()
            .is_some_and(|list| !list.is_empty());
    let grace = meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    meta.get("deletionTimestamp").is_some() && !held && !spec_held && grace == 0
}

/// Whether a write changes nothing: the times of its bookkeeping do not count.
fn is_same_but_for_times(object: &Value, old: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let entries = object
            .get_mut("metadata")
            .and_then(|meta| meta.get_mut("managedFields"));
        for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.shift_remove("time");
            }
        }
        if let Some(list) = object
            .get_mut("metadata")
            .and_then(|meta| meta.get_mut("managedFields"))
            .and_then(Value::as_array_mut)
        {
            list.sort_by_key(ToString::to_string);
        }
        object
    };
    object == old || timeless(object) == timeless(old)
}
