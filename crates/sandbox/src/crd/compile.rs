//! Compile: a structural schema as a type, by which objects are pruned and applied; and its defaults.

use serde_json::{Map, Value};

use crate::schema::{Definition, Field, ListKind, Scalar, Schema, Type, Zero};

/// Makes the type of a kind's objects.
pub(super) fn compile(written: &Value) -> (Schema, Type) {
    let mut schema = Schema {
        keeps_nulls: true,
        ..Schema::default()
    };
    let mut root = definition(&mut schema, written);
    for name in ["apiVersion", "kind"] {
        root.fields
            .insert(name.into(), field(Type::Scalar(Scalar::String), &Value::Null));
    }
    if let Some(meta) = Schema::builtin().number_of("ObjectMeta") {
        root.fields
            .insert("metadata".into(), field(Type::Builtin(meta), &Value::Null));
    }
    let of = add(&mut schema, root);
    (schema, of)
}

fn add(schema: &mut Schema, definition: Definition) -> Type {
    schema.definitions.push(definition);
    Type::Defined(schema.definitions.len() - 1)
}

fn is_set(written: &Value, name: &str) -> bool {
    written[name] == true
}

fn definition(schema: &mut Schema, written: &Value) -> Definition {
    let mut made = Definition {
        atomic: written["x-kubernetes-map-type"] == "atomic",
        ..Definition::default()
    };
    for (name, inner) in written["properties"].as_object().into_iter().flatten() {
        let of = type_of(schema, inner);
        made.fields.insert(name.as_str().into(), field(of, inner));
    }
    if is_set(written, "x-kubernetes-embedded-resource") {
        for name in ["apiVersion", "kind"] {
            let text = || field(Type::Scalar(Scalar::String), &Value::Null);
            made.fields.entry(name.into()).or_insert_with(text);
        }
        made.fields
            .entry("metadata".into())
            .or_insert_with(|| field(Type::Any, &Value::Null));
    }
    let keeps = is_set(written, "x-kubernetes-preserve-unknown-fields");
    made.others = keeps.then_some(Type::Any);
    made
}

fn field(of: Type, written: &Value) -> Field {
    Field {
        of,
        merge: None,
        retain_keys: false,
        atomic: false,
        default: written.get("default").cloned(),
        required: false,
        zero: Zero::Kept,
        numbers: Vec::new(),
    }
}

fn type_of(schema: &mut Schema, written: &Value) -> Type {
    if is_set(written, "x-kubernetes-int-or-string") {
        return Type::Scalar(Scalar::IntOrString);
    }
    match written["type"].as_str().unwrap_or_default() {
        "string" => Type::Scalar(Scalar::String),
        "integer" => Type::Scalar(Scalar::Int64),
        "number" => Type::Scalar(Scalar::Number),
        "boolean" => Type::Scalar(Scalar::Boolean),
        "array" => {
            let items = type_of(schema, &written["items"]);
            Type::List(Box::new(items), list_kind(written))
        }
        "object" => object(schema, written),
        _ => Type::Any,
    }
}

fn list_kind(written: &Value) -> ListKind {
    match written["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = written["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten();
            ListKind::Map(keys.filter_map(|key| key.as_str().map(Into::into)).collect())
        }
        _ => ListKind::Atomic,
    }
}

fn object(schema: &mut Schema, written: &Value) -> Type {
    let atomic = written["x-kubernetes-map-type"] == "atomic";
    let has_properties = written["properties"]
        .as_object()
        .is_some_and(|properties| !properties.is_empty());
    match &written["additionalProperties"] {
        values @ Value::Object(_) if !has_properties => {
            let values = type_of(schema, values);
            Type::Map(Box::new(values), atomic)
        }
        Value::Bool(true) if !has_properties => Type::Map(Box::new(Type::Any), atomic),
        _ => {
            let made = definition(schema, written);
            add(schema, made)
        }
    }
}

/// Fills the defaults of a schema into a value.
pub(super) fn default(written: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => default_fields(written, map),
        Value::Array(items) => {
            for item in items {
                default(&written["items"], item);
            }
        }
        _ => {}
    }
}

fn default_fields(written: &Value, map: &mut Map<String, Value>) {
    let properties = written["properties"].as_object();
    for (name, inner) in properties.into_iter().flatten() {
        let Some(value) = inner.get("default") else {
            continue;
        };
        let counts_as_missing = match map.get(name) {
            None => true,
            Some(Value::Null) => !is_set(inner, "nullable"),
            Some(_) => false,
        };
        if counts_as_missing {
            map.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in map {
        let inner = properties.and_then(|properties| properties.get(name));
        default(inner.unwrap_or(&written["additionalProperties"]), value);
    }
}
