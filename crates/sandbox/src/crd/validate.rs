//! Validate: what in an object goes against its structural schema, in the words of a real server.

use regex::Regex;
use serde_json::Value;

use crate::status::{FieldError, FieldErrorKind};

/// What is wrong with an object.
pub(super) fn validate(schema: &Value, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(schema, object, "", &mut errors);
    // Lists with the same item twice are told last.
    errors.sort_by_key(|error| error.kind == FieldErrorKind::Duplicate);
    errors
}

fn visit(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if !schema.is_object() || value.is_null() && schema["nullable"] == true {
        return;
    }
    if !has_type(schema, value, path, errors) {
        return;
    }
    enumerated(schema, value, path, errors);
    match value {
        Value::String(text) => string(schema, text, path, errors),
        Value::Number(_) => number(schema, value, path, errors),
        Value::Array(items) => list(schema, items, path, errors),
        Value::Object(_) => object(schema, value, path, errors),
        _ => {}
    }
    combined(schema, value, path, errors);
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn has_type(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) -> bool {
    let found = type_name(value);
    let wanted = if schema["x-kubernetes-int-or-string"] == true {
        if matches!(found, "integer" | "string") {
            return true;
        }
        "integer,string"
    } else {
        match schema["type"].as_str() {
            None | Some("") => return true,
            Some(wanted) => wanted,
        }
    };
    if wanted == found || wanted == "number" && found == "integer" {
        return true;
    }
    let detail = format!("{path} in body must be of type {wanted}: {found:?}");
    errors.push(FieldError::new(
        FieldErrorKind::TypeInvalid,
        path,
        found.into(),
        detail,
    ));
    false
}

fn enumerated(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(allowed) = schema["enum"].as_array() else {
        return;
    };
    if !allowed.contains(value) {
        let list: Vec<String> = allowed
            .iter()
            .map(|one| {
                format!(
                    "{:?}",
                    one.as_str().map_or_else(|| one.to_string(), str::to_owned)
                )
            })
            .collect();
        let detail = format!("supported values: {}", list.join(", "));
        errors.push(FieldError::new(
            FieldErrorKind::NotSupported,
            path,
            value.clone(),
            detail,
        ));
    }
}

fn limit(schema: &Value, name: &str) -> Option<usize> {
    schema[name]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
}

fn string(schema: &Value, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let length = text.chars().count();
    if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
        let detail = format!("may not be more than {most} bytes");
        errors.push(FieldError::new(
            FieldErrorKind::TooLong,
            path,
            Value::Null,
            detail,
        ));
        return;
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    let is_time = || text.parse::<jiff::Timestamp>().is_ok();
    let wrong = if let Some(least) = limit(schema, "minLength").filter(|least| length < *least) {
        format!("should be at least {least} chars long")
    } else if Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text)) {
        format!("should match '{pattern}'")
    } else if schema["format"] == "date-time" && !is_time() {
        format!("must be of type date-time: {text:?}")
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, text, format!("{path} in body {wrong}")));
}

fn number(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = value.as_f64() else {
        return;
    };
    let mut wrong = |detail: String| {
        errors.push(FieldError::invalid(
            path,
            value.clone(),
            format!("{path} in body should be {detail}"),
        ));
    };
    if let Some(least) = schema["minimum"].as_f64() {
        let bound = &schema["minimum"];
        if schema["exclusiveMinimum"] == true && number <= least {
            wrong(format!("greater than {bound}"));
        } else if number < least {
            wrong(format!("greater than or equal to {bound}"));
        }
    }
    if let Some(most) = schema["maximum"].as_f64() {
        let bound = &schema["maximum"];
        if schema["exclusiveMaximum"] == true && number >= most {
            wrong(format!("less than {bound}"));
        } else if number > most {
            wrong(format!("less than or equal to {bound}"));
        }
    }
    if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| *factor != 0.0)
        && (number / factor).fract() != 0.0
    {
        wrong(format!("a multiple of {}", schema["multipleOf"]));
    }
}

fn list(schema: &Value, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    if let Some(most) = limit(schema, "maxItems").filter(|most| items.len() > *most) {
        let detail = format!("must have at most {most} items");
        errors.push(FieldError::new(
            FieldErrorKind::TooMany,
            path,
            items.len().into(),
            detail,
        ));
    }
    if let Some(least) = limit(schema, "minItems").filter(|least| items.len() < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(path, items.len(), detail));
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    let identity = |item: &Value| match (schema["x-kubernetes-list-type"].as_str(), keys) {
        (Some("set"), _) => Some(item.clone()),
        (Some("map"), Some(keys)) => {
            let pairs = keys
                .iter()
                .filter_map(|key| Some((key.as_str()?.to_owned(), item.get(key.as_str()?)?.clone())));
            Some(Value::Object(pairs.collect()))
        }
        _ => None,
    };
    let mut seen = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = format!("{path}[{at}]");
        if let Some(identity) = identity(item) {
            if seen.contains(&identity) {
                errors.push(FieldError::duplicate(place.as_str(), identity));
            } else {
                seen.push(identity);
            }
        }
        visit(&schema["items"], item, &place, errors);
    }
}

fn object(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    let Some(map) = value.as_object() else {
        return;
    };
    if let Some(least) = limit(schema, "minProperties").filter(|least| map.len() < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
    if let Some(most) = limit(schema, "maxProperties").filter(|most| map.len() > *most) {
        let detail = format!("must have at most {most} items");
        errors.push(FieldError::new(
            FieldErrorKind::TooMany,
            path,
            map.len().into(),
            detail,
        ));
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !map.contains_key(name) {
            errors.push(FieldError::required(below(name), ""));
        }
    }
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    for (name, inner) in fields {
        // The metadata is the same for every kind, and is looked at elsewhere.
        if path.is_empty() && name == "metadata" {
            continue;
        }
        match schema["properties"].get(name) {
            Some(schema) => visit(schema, inner, &below(name), errors),
            None => visit(&schema["additionalProperties"], inner, &below(name), errors),
        }
    }
}

fn combined(schema: &Value, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let list = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    let wrong_by = |schema: &Value| {
        let mut found = Vec::new();
        visit(schema, value, path, &mut found);
        found
    };
    for one in list("allOf") {
        errors.extend(wrong_by(&one));
    }
    let any = list("anyOf");
    if !any.is_empty() && any.iter().all(|one| !wrong_by(one).is_empty()) {
        let detail = format!("{path} in body must validate at least one schema (anyOf)");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
    let one = list("oneOf");
    if !one.is_empty() && one.iter().filter(|one| wrong_by(one).is_empty()).count() != 1 {
        let detail =
            format!("{path} in body must validate one and only one schema (oneOf). Found none valid");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
    if schema["not"].is_object() && wrong_by(&schema["not"]).is_empty() {
        let detail = format!("{path} in body must not validate the schema (not)");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_rule_is_told_in_its_words() {
        let schema = json!({"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 5},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2},
            "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                      "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        }});
        let rows = [
            (json!({}), "size: Required value"),
            (
                json!({"size": "1"}),
                "size: Invalid value: \"string\": size in body must be of type integer: \"string\"",
            ),
            (
                json!({"size": 0}),
                "size: Invalid value: 0: size in body should be greater than or equal to 1",
            ),
            (
                json!({"size": 9}),
                "size: Invalid value: 9: size in body should be less than or equal to 5",
            ),
            (
                json!({"size": 1, "mode": "c"}),
                "mode: Unsupported value: \"c\": supported values: \"a\", \"b\"",
            ),
            (
                json!({"size": 1, "name": "AB"}),
                "name: Invalid value: \"AB\": name in body should match '^[a-z]+$'",
            ),
            (
                json!({"size": 1, "name": "a"}),
                "name: Invalid value: \"a\": name in body should be at least 2 chars long",
            ),
            (
                json!({"size": 1, "ports": [{"n": 1}, {"n": 1}]}),
                "ports[1]: Duplicate value: {\"n\":1}",
            ),
        ];
        for (object, wanted) in rows {
            let found: Vec<String> = validate(&schema, &object)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(found, [wanted], "{object}");
        }
    }
}
