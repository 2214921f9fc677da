//! Hash transformer: a suffix of the name that is made of the content.

use std::fmt::Write as _;

use manifest::{Data, Node, Style, yaml};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::resource::{ResMap, Resource};
use crate::schema::Schema;

/// Appends the hash of their content to the names of the resources that want it.
///
/// # Errors
///
/// When JSON cannot hold the content.
pub(crate) fn add_hashes(schema: &Schema, resources: &mut ResMap) -> Result<()> {
    if !resources.list().iter().any(|resource| resource.memory.needs_hash) {
        return Ok(());
    }
    for resource in resources
        .list_mut()
        .iter_mut()
        .filter(|resource| resource.memory.needs_hash)
    {
        let hash = hash(resource)?;
        resource.store_id(schema);
        let name = format!("{}-{hash}", resource.name());
        resource.set_name(&name);
    }
    Ok(())
}

/// The first ten hex digits of the SHA-256 of the content, without those that look alike or make words.
fn hash(resource: &Resource) -> std::result::Result<String, String> {
    let text = match resource.kind() {
        "ConfigMap" => data_text(&resource.node, "ConfigMap", &["data"], "binaryData")?,
        "Secret" => data_text(&resource.node, "Secret", &["data", "type"], "stringData")?,
        _ => node_text(resource),
    };
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::new();
    for byte in digest.iter().take(5) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    let replaced = hex.chars().map(|c| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    });
    Ok(replaced.collect())
}

/// The content of a ConfigMap or Secret as the reference encodes it. The name is always empty: the
/// reference looks for it where it is not.
fn data_text(
    node: &Node,
    kind: &str,
    fields: &[&str],
    optional: &str,
) -> std::result::Result<String, String> {
    let mut content = Map::new();
    content.insert("kind".to_owned(), kind.into());
    content.insert("name".to_owned(), "".into());
    for field in fields {
        content.insert((*field).to_owned(), field_value(node, field)?);
    }
    let more = field_value(node, optional)?;
    if more.is_object() {
        content.insert(optional.to_owned(), more);
    }
    let mut text = String::new();
    go_json(&Value::Object(content), &mut text);
    Ok(text)
}

fn field_value(node: &Node, field: &str) -> std::result::Result<Value, String> {
    match node.get(field) {
        None => Ok("".into()),
        Some(value) => match &value.data {
            Data::Scalar(text) => Ok(text.as_str().into()),
            // A list is no mapping of values, which the reference takes for none.
            Data::Sequence(_) => Ok(Value::Null),
            Data::Mapping(_) => value
                .to_json()
                .map(through_floats)
                .map_err(|error| error.to_string()),
        },
    }
}

/// Numbers as the reference's decoder has them, which knows floats alone: integers above 2^53 lose digits.
fn through_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Number(number), Value::from),
        Value::Array(items) => items.into_iter().map(through_floats).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, through_floats(value)))
            .collect(),
        other => other,
    }
}

/// JSON as Go prints it: sorted keys, no spaces, `<`, `>` and `&` escaped.
pub(crate) fn go_json(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&go_number(number)),
        Value::String(string) => go_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                go_json(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (at, (key, value)) in keys.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                go_string(key, text);
                text.push(':');
                go_json(value, text);
            }
            text.push('}');
        }
    }
}

/// Go's number: without exponent from 1e-6 to 1e21.
pub(crate) fn go_number(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) else {
        return number.to_string();
    };
    if float == 0.0 || (1e-6..1e21).contains(&float.abs()) {
        return format!("{float}");
    }
    let text = yaml::shortest_float(float);
    // Go drops one leading zero of the exponent.
    text.replace("e-0", "e-").replace("e+0", "e+")
}

fn go_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// For other kinds the reference hashes its own parse tree: this is its Go struct as JSON.
fn node_text(resource: &Resource) -> String {
    let mut text = String::new();
    go_struct(&resource.node, resource.lines_before, &mut text);
    text
}

fn go_struct(node: &Node, lines_before: u32, text: &mut String) {
    let (kind, value, content): (u8, &str, Vec<&Node>) = match &node.data {
        Data::Sequence(items) => (2, "", items.iter().collect()),
        Data::Mapping(entries) => (
            4,
            "",
            entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        ),
        Data::Scalar(value) => (8, value, Vec::new()),
    };
    let style = u8::from(node.tagged)
        + match node.style {
            Style::Plain => 0,
            Style::DoubleQuoted => 2,
            Style::SingleQuoted => 4,
            Style::Literal => 8,
            Style::Folded => 16,
            Style::Flow => 32,
        };
    // Writing to a String cannot fail.
    let _ = write!(text, "{{\"Kind\":{kind},\"Style\":{style},\"Tag\":");
    go_string(node.tag.as_str(), text);
    text.push_str(",\"Value\":");
    go_string(value, text);
    text.push_str(",\"Anchor\":\"\",\"Alias\":null,\"Content\":");
    if content.is_empty() {
        text.push_str("null");
    } else {
        text.push('[');
        for (at, child) in content.into_iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            go_struct(child, lines_before, text);
        }
        text.push(']');
    }
    let _ = write!(
        text,
        ",\"HeadComment\":\"\",\"LineComment\":\"\",\"FootComment\":\"\",\"Line\":{},\"Column\":{}}}",
        node.line().saturating_sub(lines_before),
        node.column()
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_printed_as_go_does() {
        let value = json!({"b": [1, 2.5, 1e21, 1e-7, null], "a": "<x>&\n\u{2028}é"});
        let mut text = String::new();
        go_json(&value, &mut text);
        assert_eq!(
            text,
            "{\"a\":\"\\u003cx\\u003e\\u0026\\n\\u2028é\",\"b\":[1,2.5,1e+21,1e-7,null]}"
        );
    }
}
