//! Scale: an object seen as its number of replicas.

use serde_json::{Map, Value, json};

use super::write::Writing;
use super::{Operation, Validation, Written, fields};
use crate::patch;
use crate::registry::{Kind, ScalePaths, Subresource};
use crate::selector::Selector;
use crate::status::{FieldError, Status};

impl Kind {
    fn scale_paths(&self) -> Result<&ScalePaths, Status> {
        let found = self.subresources.iter().find_map(|one| match one {
            Subresource::Scale(paths) => Some(paths),
            _ => None,
        });
        found.ok_or_else(Status::no_such_resource)
    }
}

/// The `autoscaling/v1` Scale of an object.
///
/// # Errors
/// 404 if the kind has none.
pub(crate) fn scale_of(kind: &Kind, object: &Value) -> Result<Value, Status> {
    let paths = kind.scale_paths()?;
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let mut meta = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            meta.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({ "replicas": number(&paths.status) });
    match paths.selector.as_deref().and_then(|path| object.pointer(path)) {
        Some(Value::String(text)) => status["selector"] = text.clone().into(),
        Some(selector) if kind.kind == "ReplicationController" => {
            status["selector"] = Selector::of_map(selector).to_string().into();
        }
        Some(selector) => status["selector"] = Selector::of_object(Some(selector)).to_string().into(),
        None => {}
    }
    let replicas = number(&paths.spec);
    let spec = if replicas == 0 {
        json!({})
    } else {
        json!({ "replicas": replicas })
    };
    Ok(
        json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": spec, "status": status }),
    )
}

impl Writing<'_> {
    /// Writes the number of replicas by way of a Scale.
    pub(super) fn scale(&self, operation: Operation) -> Result<Written, Status> {
        let target = self.target;
        let stored = self.api.read(&target.kind, &target.namespace, &target.name)?;
        let live = stored.value();
        let old = scale_of(&target.kind, &live)?;
        let new = match operation {
            Operation::Create(_) => return Err(Status::method_not_allowed()),
            Operation::Update(scale) => scale,
            Operation::Patch(patch) => patch::patch(&old, patch, Some(crate::schema::Node::any()))?,
        };
        let replicas = new["spec"].get("replicas").cloned().unwrap_or_else(|| 0.into());
        if replicas.as_i64().is_none_or(|count| count < 0) {
            let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(Status::invalid("autoscaling", "Scale", &target.name, &[error]));
        }
        let mut object = live.clone();
        set(&mut object, &target.kind.scale_paths()?.spec, replicas);
        if let Some(version) = new["metadata"].get("resourceVersion") {
            object["metadata"]["resourceVersion"] = version.clone();
        }
        fields::check(
            &target.kind,
            &mut object,
            Validation::Ignore,
            &fields::Sent::Object,
        )?;
        fields::track(target, Some(&live), &mut object, self.manager, self.now);
        let mut written = self.finish_replace(&stored, object, Vec::new())?;
        written.object = scale_of(&target.kind, &written.object)?;
        Ok(written)
    }
}

/// Sets a field below objects that may be missing.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
}
