//! OpenAPI: the types of the kinds as documents, from which clients explain, validate and merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Response;
use serde_json::{Map, Value, json};

use super::Call;
use super::answer::{self, Body};
use crate::api::Api;
use crate::registry::{Kind, Verbs};
use crate::schema::{Definition, Field, ListKind, Scalar, Schema, Type};
use crate::status::Status;

/// Which of the two forms a document has; they differ in where definitions are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    V2,
    V3,
}

/// Answers with a document; the path is what follows `/openapi/`.
pub(super) fn document(api: &Api, path: &str, _call: &Call) -> Result<Response<Body>, Status> {
    let kinds = api.registry.all();
    let value = match path {
        "v2" => v2(&kinds),
        "v3" => index(&kinds),
        _ => {
            let wanted = path.strip_prefix("v3/").ok_or_else(Status::no_such_resource)?;
            let of_group: Vec<_> = kinds.into_iter().filter(|kind| root(kind) == wanted).collect();
            if of_group.is_empty() {
                return Err(Status::no_such_resource());
            }
            v3(&of_group)
        }
    };
    Ok(answer::json(200, &value))
}

/// `api/v1` or `apis/apps/v1`.
fn root(kind: &Kind) -> String {
    if kind.group.is_empty() {
        format!("api/{}", kind.version)
    } else {
        format!("apis/{}/{}", kind.group, kind.version)
    }
}

fn index(kinds: &[Arc<Kind>]) -> Value {
    let roots: BTreeSet<String> = kinds.iter().map(|kind| root(kind)).collect();
    let paths: Map<String, Value> = roots
        .into_iter()
        .map(|root| {
            // Custom kinds come and go: the address changes with what the document has.
            let count = kinds.iter().filter(|kind| self::root(kind) == root).count();
            let url = format!("/openapi/v3/{root}?hash={count}");
            (root, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": paths })
}

fn info() -> Value {
    json!({ "title": "Kubernetes sandbox", "version": format!("v{}+sandbox", Schema::builtin().version) })
}

fn v2(kinds: &[Arc<Kind>]) -> Value {
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths(kinds),
        "definitions": definitions(kinds, Form::V2),
    })
}

fn v3(kinds: &[Arc<Kind>]) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths(kinds),
        "components": { "schemas": definitions(kinds, Form::V3) },
    })
}

/// The paths, with as much of each operation as clients look at.
fn paths(kinds: &[Arc<Kind>]) -> Value {
    let mut paths = Map::new();
    for kind in kinds {
        let of = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
        let namespaces = if kind.namespaced {
            "/namespaces/{namespace}"
        } else {
            ""
        };
        let collection = format!("/{}{namespaces}/{}", root(kind), kind.plural);
        let operation = |action: &str, parameters: &[&str]| {
            let parameters: Vec<Value> = parameters
                .iter()
                .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string", "uniqueItems": true } }))
                .collect();
            json!({
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": of,
                "parameters": parameters,
                "responses": { "200": { "description": "OK" } },
            })
        };
        let writing = ["dryRun", "fieldManager", "fieldValidation"];
        let mut of_collection = json!({ "post": operation("post", &writing) });
        if kind.verbs != Verbs::Create {
            of_collection["get"] =
                operation("list", &["labelSelector", "fieldSelector", "limit", "continue"]);
            let of_object = json!({
                "get": operation("get", &[]),
                "put": operation("put", &writing),
                "patch": operation("patch", &[&writing[..], &["force"]].concat()),
                "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
            });
            paths.insert(format!("{collection}/{{name}}"), of_object);
        }
        paths.insert(collection, of_collection);
    }
    Value::Object(paths)
}

/// The definitions of kinds and of everything in them.
fn definitions(kinds: &[Arc<Kind>], form: Form) -> Value {
    let mut found = BTreeMap::new();
    let builtin = Schema::builtin();
    let mut waiting: Vec<usize> = Vec::new();
    for kind in kinds {
        match (&kind.structural, kind.of.as_ref()) {
            (Some(custom), _) => {
                found.insert(definition_name(kind), custom.openapi(kind));
                waiting.extend(builtin.number_of("ObjectMeta"));
            }
            (None, Some(Type::Defined(number))) => waiting.push(*number),
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(number) = waiting.pop() {
        let Some(definition) = builtin.definitions.get(number).filter(|_| seen.insert(number)) else {
            continue;
        };
        waiting.extend(definition.fields.values().filter_map(|field| referred(&field.of)));
        let mut schema = definition_schema(definition, form);
        let kinds: Vec<Value> = builtin
            .kinds
            .iter()
            .filter(|(_, one)| **one == number)
            .map(|((group, version, kind), _)| json!({ "group": group, "version": version, "kind": kind }))
            .collect();
        if !kinds.is_empty() {
            schema["x-kubernetes-group-version-kind"] = kinds.into();
        }
        found.insert(definition.name.clone(), schema);
    }
    Value::Object(found.into_iter().collect())
}

/// The name of a custom kind's definition: `com.example.v1.Widget`.
fn definition_name(kind: &Kind) -> String {
    let group: Vec<&str> = kind.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

fn referred(of: &Type) -> Option<usize> {
    match of {
        Type::Defined(number) | Type::Builtin(number) => Some(*number),
        Type::List(inner, _) | Type::Map(inner, _) => referred(inner),
        _ => None,
    }
}

fn definition_schema(definition: &Definition, form: Form) -> Value {
    let properties: Map<String, Value> = definition
        .fields
        .iter()
        .map(|(name, field)| (name.to_string(), field_schema(field, form)))
        .collect();
    let required: Vec<&str> = definition
        .fields
        .iter()
        .filter(|(_, field)| field.required)
        .map(|(name, _)| name.as_ref())
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if definition.atomic {
        schema["x-kubernetes-map-type"] = "atomic".into();
    }
    schema
}

fn field_schema(field: &Field, form: Form) -> Value {
    let mut schema = type_schema(&field.of, form);
    if let Some(merge) = &field.merge {
        schema["x-kubernetes-patch-strategy"] = if field.retain_keys {
            "merge,retainKeys"
        } else {
            "merge"
        }
        .into();
        if let Some(key) = &merge.key {
            schema["x-kubernetes-patch-merge-key"] = key.as_ref().into();
        }
    } else if field.retain_keys {
        schema["x-kubernetes-patch-strategy"] = "retainKeys".into();
    }
    if let Some(default) = &field.default {
        schema["default"] = default.clone();
    }
    schema
}

fn type_schema(of: &Type, form: Form) -> Value {
    let builtin = Schema::builtin();
    match of {
        Type::Any => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
        Type::Scalar(scalar) => scalar_schema(*scalar),
        Type::Defined(number) | Type::Builtin(number) => {
            let name = builtin
                .definitions
                .get(*number)
                .map_or("", |definition| definition.name.as_str());
            match form {
                Form::V2 => json!({ "$ref": format!("#/definitions/{name}") }),
                Form::V3 => json!({ "allOf": [{ "$ref": format!("#/components/schemas/{name}") }] }),
            }
        }
        Type::List(items, kind) => {
            let mut schema = json!({ "type": "array", "items": type_schema(items, form) });
            let name = match kind {
                ListKind::Atomic => "atomic",
                ListKind::Set => "set",
                ListKind::Map(keys) => {
                    let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
                    schema["x-kubernetes-list-map-keys"] = keys.into();
                    "map"
                }
            };
            schema["x-kubernetes-list-type"] = name.into();
            schema
        }
        Type::Map(values, _) => {
            json!({ "type": "object", "additionalProperties": type_schema(values, form) })
        }
    }
}

fn scalar_schema(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String => json!({ "type": "string" }),
        Scalar::Bytes => json!({ "type": "string", "format": "byte" }),
        Scalar::Int32 => json!({ "type": "integer", "format": "int32" }),
        Scalar::Int64 => json!({ "type": "integer", "format": "int64" }),
        Scalar::Number => json!({ "type": "number" }),
        Scalar::Boolean => json!({ "type": "boolean" }),
        Scalar::Quantity => json!({ "type": "string" }),
        Scalar::IntOrString => json!({ "type": "string", "format": "int-or-string" }),
        Scalar::Time | Scalar::MicroTime => json!({ "type": "string", "format": "date-time" }),
    }
}
