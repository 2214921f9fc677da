//! Decoding: what a real server's reader makes of an object before anything looks at it.
//!
//! A server reads JSON into typed structures and writes it out from there. That drops fields that no structure has,
//! nulls and most empty values, adds the empty structures that are always written, and brings quantities and times
//! into their canonical text. The same happens here, by the table of [`super::types`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::quantity::{MALFORMED, Quantity};
use super::types::{Field, Shape, types};

/// What the reader found beside the object itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The paths of the fields that the kind does not have, in their order: `spec.template.spec.containers[0].imge`.
    pub unknown: Vec<String>,
}

struct Reader {
    /// The path with indices, for unknown fields.
    path: String,
    /// The path without them, for errors.
    fields: Vec<&'static str>,
    structure: &'static str,
    unknown: Vec<String>,
    /// The first value of a wrong type; the reader goes on after it.
    mistyped: Option<String>,
}

/// Reads an object of a builtin kind in place; leaves objects of other kinds alone.
///
/// # Errors
///
/// What the server says after `… cannot be handled as a …: `, when a value has a wrong type.
pub fn decode(object: &mut Value) -> Result<Decoded, String> {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let Some(structure) = types().kind(text("apiVersion"), text("kind")) else {
        return Ok(Decoded::default());
    };
    let mut reader = Reader {
        path: String::new(),
        fields: Vec::new(),
        structure,
        unknown: Vec::new(),
        mistyped: None,
    };
    let value = reader.structure(structure, object.take())?;
    *object = value;
    match reader.mistyped {
        Some(message) => Err(message),
        None => Ok(Decoded {
            unknown: reader.unknown,
        }),
    }
}

// === impl Reader ===

impl Reader {
    fn structure(&mut self, name: &'static str, value: Value) -> Result<Value, String> {
        let mut given = match value {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            other => return Ok(self.wrong(&other, &Shape::Struct(name))),
        };
        let outer = std::mem::replace(&mut self.structure, name);
        let mut written = Map::new();
        for field in types().fields(name) {
            let found = given.remove(field.name).unwrap_or_default();
            let length = self.enter(field);
            let value = self.shape(&field.shape, found)?;
            self.leave(length);
            if !(field.optional && is_zero(&field.shape, &value)) {
                written.insert(field.name.to_owned(), value);
            }
        }
        for left in given.keys() {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.unknown.push(format!("{}{dot}{left}", self.path));
        }
        self.structure = outer;
        Ok(Value::Object(written))
    }

    fn enter(&mut self, field: &Field) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(field.name);
        self.fields.push(field.name);
        length
    }

    fn leave(&mut self, length: usize) {
        self.path.truncate(length);
        self.fields.pop();
    }

    fn shape(&mut self, shape: &Shape, value: Value) -> Result<Value, String> {
        Ok(match (shape, value) {
            (Shape::Pointer(inner), value) if !value.is_null() => self.shape(inner, value)?,
            (Shape::Struct(name), value) => self.structure(name, value)?,
            (Shape::List(inner), Value::Array(items)) => self.list(inner, items)?,
            (Shape::Map(inner), Value::Object(entries)) => self.map(inner, entries)?,
            (Shape::Any, value) => value,
            (shape, Value::Null) => zero(shape),
            (Shape::Quantity, Value::String(text)) => quantity(&text)?,
            (Shape::Quantity, Value::Number(number)) => quantity(&number.to_string())?,
            (Shape::Time, Value::String(text)) => time(&text, "%Y-%m-%dT%H:%M:%SZ")?,
            (Shape::MicroTime, Value::String(text)) => time(&text, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
            (Shape::Bytes, Value::String(text)) => bytes(text)?,
            (Shape::Text | Shape::IntOrString | Shape::Duration, Value::String(text)) => text.into(),
            (Shape::Bool, Value::Bool(flag)) => flag.into(),
            (Shape::Int32 | Shape::IntOrString, Value::Number(number))
                if number
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok()) =>
            {
                number.into()
            }
            (Shape::Int64, Value::Number(number)) if number.is_i64() => number.into(),
            (Shape::Float, Value::Number(number)) => number.into(),
            (shape, other) => self.wrong(&other, shape),
        })
    }

    fn list(&mut self, inner: &Shape, items: Vec<Value>) -> Result<Value, String> {
        let mut read = Vec::with_capacity(items.len());
        let length = self.path.len();
        for (index, item) in items.into_iter().enumerate() {
            self.path.push_str(&format_index(index));
            read.push(self.shape(inner, item)?);
            self.path.truncate(length);
        }
        Ok(Value::Array(read))
    }

    fn map(&mut self, inner: &Shape, entries: Map<String, Value>) -> Result<Value, String> {
        let mut read = Map::new();
        let length = self.path.len();
        for (key, value) in entries {
            self.path.push('.');
            self.path.push_str(&key);
            let value = self.shape(inner, value)?;
            self.path.truncate(length);
            read.insert(key, value);
        }
        Ok(Value::Object(read))
    }

    /// Notes a value of a wrong type, and goes on with the zero value in its place.
    fn wrong(&mut self, found: &Value, wanted: &Shape) -> Value {
        let name = match found {
            Value::Bool(_) => "bool".to_owned(),
            // The decoder tells the digits when the type would be right, and the number is not.
            Value::Number(number) if matches!(wanted, Shape::Int32 | Shape::Int64 | Shape::IntOrString) => {
                format!("number {number}")
            }
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            _ => "object".to_owned(),
        };
        let structure = self.structure.rsplit('.').next().unwrap_or_default();
        let message = format!(
            "json: cannot unmarshal {name} into Go struct field {structure}.{} of type {}",
            self.fields.join("."),
            wanted.go_name(),
        );
        self.mistyped.get_or_insert(message);
        zero(wanted)
    }
}

fn format_index(index: usize) -> String {
    format!("[{index}]")
}

/// What the writer gives for a value that was never set, where it is not left out.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Text => "".into(),
        Shape::Bool => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Float | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Duration => "0s".into(),
        _ => Value::Null,
    }
}

fn is_zero(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (_, Value::Null) => true,
        (Shape::Pointer(_) | Shape::Any, _) => false,
        (Shape::List(_), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(entries)) => entries.is_empty(),
        (Shape::Struct(name), Value::Object(entries)) => {
            let fields = types().fields(name);
            let of = |name: &str| fields.iter().find(|field| field.name == name);
            entries
                .iter()
                .all(|(name, value)| of(name).is_some_and(|field| is_zero(&field.shape, value)))
        }
        (Shape::Bytes, Value::String(text)) => text.is_empty(),
        (shape, value) => *value == zero(shape),
    }
}

fn quantity(text: &str) -> Result<Value, String> {
    let read = Quantity::parse(text.trim());
    read.map(|quantity| quantity.canonical().into())
        .ok_or_else(|| MALFORMED.to_owned())
}

fn time(text: &str, format: &str) -> Result<Value, String> {
    match text.parse::<Timestamp>() {
        Ok(time) => Ok(time.strftime(format).to_string().into()),
        Err(_) => Err(format!(
            "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
        )),
    }
}

fn bytes(text: String) -> Result<Value, String> {
    // A reader of Go skips line ends.
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&plain) {
        Ok(_) => Ok(plain.into()),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!("illegal base64 data at input byte {}", plain.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_comes_out_as_a_server_writes_it() {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "labels": {}, "annotations": null},
            "spec": {
                "hostNetwork": false,
                "securityContext": {},
                "containers": [{"name": "app", "image": "a", "env": [], "resources": {"limits": {"cpu": 0.5}}}],
            },
        });
        decode(&mut object).unwrap();
        let wanted = json!({
            "kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web"},
            "spec": {
                "securityContext": {},
                "containers": [{"name": "app", "image": "a", "resources": {"limits": {"cpu": "500m"}}}],
            },
            "status": {},
        });
        assert_eq!(object, wanted);
    }

    #[test]
    fn unknown_fields_are_told_with_their_paths() {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "foo": 1},
            "spec": {"selector": null, "template": {"spec": {"containers": [{"name": "a", "imge": "b"}]}}},
        });
        let decoded = decode(&mut object).unwrap();
        assert_eq!(
            decoded.unknown,
            ["metadata.foo", "spec.template.spec.containers[0].imge"]
        );
    }

    #[test]
    fn wrong_types_are_told_in_the_servers_words() {
        let deployment = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
        for (name, mut object, wanted) in [
            (
                "text for a number",
                deployment(json!({"replicas": "3"})),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "a fraction",
                deployment(json!({"replicas": 1.5})),
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                "a map for a list",
                deployment(json!({"template": {"spec": {"containers": {}}}})),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type \
                 []v1.Container",
            ),
            (
                "a bad quantity",
                deployment(
                    json!({"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}}),
                ),
                MALFORMED,
            ),
            (
                "bad base64",
                json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "!"}}),
                "illegal base64 data at input byte 0",
            ),
        ] {
            assert_eq!(decode(&mut object).unwrap_err(), wanted, "{name}");
        }
    }
}
