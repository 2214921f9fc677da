//! CRD: a kind that its users define, with the structural schema that its objects have to follow.
//!
//! A definition is served as soon as it is stored. Its versions share their objects, which differ in nothing but the
//! `apiVersion`: there is no conversion by webhook. Rules in CEL (`x-kubernetes-validations`) are not evaluated.

mod columns;
mod compile;
mod validate;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use crate::registry::{Column, Kind, ScalePaths, Subresource};
use crate::schema::{Node, Schema, Type};
use crate::status::FieldError;

/// The resource of the definitions.
pub(crate) const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The schema of one version of a custom kind.
#[derive(Clone, Debug)]
pub struct Structural {
    schema: Schema,
    of: Type,
    /// The `openAPIV3Schema` as it was written.
    written: Value,
    columns: Vec<columns::Printed>,
    has_status: bool,
}

// === impl Structural ===

impl Structural {
    fn new(version: &Value) -> Self {
        let written = version["schema"]["openAPIV3Schema"].clone();
        let (schema, of) = compile::compile(&written);
        Self {
            schema,
            of,
            columns: columns::read(&version["additionalPrinterColumns"]),
            has_status: version["subresources"]
                .get("status")
                .is_some_and(|status| !status.is_null()),
            written,
        }
    }

    /// The type of the objects.
    pub(crate) fn node(&self) -> Node<'_> {
        self.schema.node(&self.of)
    }

    /// Fills what the user has left out.
    pub(crate) fn default(&self, object: &mut Value) {
        compile::default(&self.written, object);
    }

    /// The columns of the table.
    pub(crate) fn columns(&self) -> Vec<Column> {
        columns::columns(&self.columns)
    }

    /// The cells of an object's row.
    pub(crate) fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::row(&self.columns, object, now)
    }

    /// The schema as OpenAPI has it.
    pub(crate) fn openapi(&self, kind: &Kind) -> Value {
        let mut schema = self.written.clone();
        let text = json!({ "type": "string" });
        let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        if let Some(schema) = schema.as_object_mut() {
            let properties = schema.entry("properties").or_insert_with(|| json!({}));
            properties["apiVersion"] = text.clone();
            properties["kind"] = text;
            properties["metadata"] = json!({ "allOf": [{ "$ref": meta }] });
            let of = json!([{ "group": kind.group, "version": kind.version, "kind": kind.kind }]);
            schema.insert("x-kubernetes-group-version-kind".to_owned(), of);
        }
        schema
    }

    /// What is wrong with an object.
    pub(crate) fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::validate(&self.written, object)
    }
}

/// Resets what a user may not set.
pub(crate) fn prepare_for_create(kind: &Kind, object: &mut Value) {
    if has_status(kind)
        && let Some(object) = object.as_object_mut()
    {
        object.shift_remove("status");
    }
    object["metadata"]["generation"] = 1.into();
}

/// The same for an update.
pub(crate) fn prepare_for_update(kind: &Kind, object: &mut Value, old: &Value) {
    if has_status(kind) {
        match (object.as_object_mut(), old.get("status")) {
            (Some(object), Some(status)) => drop(object.insert("status".to_owned(), status.clone())),
            (Some(object), None) => drop(object.shift_remove("status")),
            (None, _) => {}
        }
    }
    let content = |value: &Value| {
        let mut value = value.as_object().cloned().unwrap_or_default();
        value.retain(|field, _| !matches!(field.as_str(), "metadata" | "apiVersion"));
        value
    };
    if content(object) != content(old) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        object["metadata"]["generation"] = (generation + 1).into();
    }
}

fn has_status(kind: &Kind) -> bool {
    kind.structural.as_ref().is_some_and(|custom| custom.has_status)
}

/// Fills what the author of a definition has left out.
pub(crate) fn default_definition(definition: &mut Value) {
    let Some(spec) = definition
        .get_mut("spec")
        .filter(|spec| spec["names"].is_object())
    else {
        return;
    };
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("singular", kind.to_lowercase()),
        ("listKind", format!("{kind}List")),
    ] {
        if spec["names"].get(name).is_none() {
            spec["names"][name] = value.into();
        }
    }
    if spec.get("conversion").is_none() {
        spec["conversion"] = json!({ "strategy": "None" });
    }
}

/// Gives a definition the status that says that it is served.
pub(crate) fn complete(definition: &mut Value, now: &str) {
    let spec = &definition["spec"];
    let names = spec["names"].clone();
    let stored: Vec<Value> = versions(spec)
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let condition = |of: &str, reason: &str, message: &str| json!({ "type": of, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message });
    if definition["status"]["acceptedNames"] == names {
        return;
    }
    definition["status"] = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": names,
        "storedVersions": stored,
    });
}

/// What is wrong with a definition.
pub(crate) fn validate_definition(definition: &Value) -> Vec<FieldError> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut errors = Vec::new();
    let wanted = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    let name = text(&definition["metadata"]["name"]);
    if name != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name, detail));
    }
    if !matches!(spec["scope"].as_str(), Some("Cluster" | "Namespaced")) {
        errors.push(FieldError::not_supported(
            "spec.scope",
            spec["scope"].clone(),
            &["Cluster", "Namespaced"],
        ));
    }
    if versions(spec)
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(
            "spec.versions",
            spec["versions"].clone(),
            detail,
        ));
    }
    for (at, version) in versions(spec).enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
            errors.push(FieldError::required(field, "schemas are required"));
        }
    }
    errors
}

fn versions(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["versions"].as_array().into_iter().flatten()
}

/// The kinds that a definition serves, the preferred version first.
pub(crate) fn kinds(definition: &Value) -> Vec<Kind> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|one| one.as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let mut kinds: Vec<Kind> = versions(spec)
        .filter(|version| version["served"] == true)
        .map(|version| Kind {
            singular: text(&names["singular"]),
            short_names: list(&names["shortNames"]),
            categories: list(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            subresources: subresources(&version["subresources"]),
            selectable: selectable(version),
            insists_on_version: true,
            structural: Some(Arc::new(Structural::new(version))),
            ..Kind::new(
                &text(&spec["group"]),
                &text(&version["name"]),
                &text(&names["kind"]),
                &text(&names["plural"]),
            )
        })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(crate::http::rank(&kind.version)));
    kinds
}

fn selectable(version: &Value) -> Vec<String> {
    let fields = version["selectableFields"].as_array().into_iter().flatten();
    let paths = fields.filter_map(|field| field["jsonPath"].as_str());
    paths
        .map(|path| path.trim_start_matches('.').to_owned())
        .collect()
}

fn subresources(written: &Value) -> Vec<Subresource> {
    let mut found = Vec::new();
    if written.get("status").is_some_and(|status| !status.is_null()) {
        found.push(Subresource::Status);
    }
    if let Some(scale) = written.get("scale").and_then(Value::as_object) {
        let pointer = |field: &str| pointer(scale, field);
        found.push(Subresource::Scale(ScalePaths {
            spec: pointer("specReplicasPath").unwrap_or_default(),
            status: pointer("statusReplicasPath").unwrap_or_default(),
            selector: pointer("labelSelectorPath"),
        }));
    }
    found
}

/// `.spec.replicas` as a JSON pointer.
fn pointer(scale: &Map<String, Value>, field: &str) -> Option<String> {
    Some(scale.get(field)?.as_str()?.replace('.', "/"))
}
