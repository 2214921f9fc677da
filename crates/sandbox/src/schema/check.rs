//! Check: an object in the form in which a server gives it back: of the right types, with unknown fields told and
//! gone, and zero values as the types want them.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Field, Node, Scalar, Type, Zero, quantity};

/// The length of a time up to its seconds.
const SECONDS: usize = "2006-01-02T15:04:05".len();

/// What is wrong with a value that a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A value of a wrong type; the object cannot be read at all.
    Type(String),
    /// A field that no type has, by its path.
    Unknown(String),
}

/// Brings an object into its stored form, and tells what was wrong with it.
pub(crate) fn check(node: Node<'_>, object: &mut Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    visit(node, object, &mut Path::default(), &mut problems);
    problems
}

/// Makes null what is empty and always there: the storage of a real server does not tell an empty list from none.
pub(crate) fn settle(node: Node<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let Some(below) = node.field(name) else {
                    continue;
                };
                let always = node
                    .declared(name)
                    .is_some_and(|field| field.zero == Zero::Always);
                if always
                    && matches!(below.of(), Type::List(..))
                    && inner.as_array().is_some_and(Vec::is_empty)
                {
                    *inner = Value::Null;
                } else {
                    settle(below, inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| settle(node.items(), item)),
        _ => {}
    }
}

/// Where in an object a value is.
#[derive(Default)]
struct Path {
    text: String,
    /// The names of the fields on the way, without indices and keys of maps.
    fields: Vec<String>,
    /// The last definition on the way, and its Go name, which an error of types tells.
    owner: String,
}

impl Path {
    /// Goes to a field.
    fn field<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.fields.push(name.to_owned());
        let done = self.within(name, work);
        self.fields.pop();
        done
    }

    /// Goes to an item of a list, or to a key of a map.
    fn within<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.text.len();
        if length > 0 && !part.starts_with('[') {
            self.text.push('.');
        }
        self.text.push_str(part);
        let done = work(self);
        self.text.truncate(length);
        done
    }
}

fn visit(node: Node<'_>, value: &mut Value, path: &mut Path, problems: &mut Vec<Problem>) {
    match node.of() {
        Type::Any => {}
        Type::Scalar(scalar) => visit_scalar(*scalar, value, path, problems),
        Type::List(..) => match value {
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    path.within(&format!("[{at}]"), |path| {
                        visit(node.items(), item, path, problems)
                    });
                }
            }
            Value::Null => {}
            other => problems.push(wrong(path, other, &go_name(node))),
        },
        Type::Map(of, _) => match value {
            Value::Object(map) => {
                for (key, item) in map {
                    if item.is_null() && matches!(**of, Type::Scalar(Scalar::String)) {
                        *item = "".into();
                    }
                    if let Some(node) = node.field(key) {
                        path.within(key, |path| visit(node, item, path, problems));
                    }
                }
            }
            Value::Null => {}
            other => problems.push(wrong(path, other, &go_name(node))),
        },
        Type::Defined(_) | Type::Builtin(_) => match value {
            Value::Object(map) => visit_object(node, map, path, problems),
            Value::Null => {}
            other => problems.push(wrong(path, other, &go_name(node))),
        },
    }
}

fn visit_object(node: Node<'_>, map: &mut Map<String, Value>, path: &mut Path, problems: &mut Vec<Problem>) {
    let Some((_, definition)) = node.definition() else {
        return;
    };
    let owner = std::mem::replace(&mut path.owner, short(&definition.name).to_owned());
    let mut gone = Vec::new();
    for (name, value) in map.iter_mut() {
        let Some(inner) = node.field(name) else {
            path.within(name, |path| problems.push(Problem::Unknown(path.text.clone())));
            gone.push(name.clone());
            continue;
        };
        path.field(name, |path| visit(inner, value, path, problems));
        let field = definition.fields.get(name.as_str());
        if value.is_null() && field.is_some() && !node.keeps_nulls()
            || field.is_some_and(|field| vanishes(field, value))
        {
            gone.push(name.clone());
        }
    }
    for name in gone {
        map.shift_remove(&name);
    }
    for (name, field) in &definition.fields {
        if field.zero == Zero::Always && !map.contains_key(name.as_ref()) {
            let value = path.within(name, |path| zero_of(node, name, field, path));
            map.insert(name.to_string(), value);
        }
    }
    path.owner = owner;
}

fn vanishes(field: &Field, value: &Value) -> bool {
    field.zero == Zero::Dropped
        && match value {
            Value::Null => true,
            Value::Bool(set) => !set,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
        }
}

/// What a field is that is always there and that nobody has written.
fn zero_of(node: Node<'_>, name: &str, field: &Field, path: &mut Path) -> Value {
    match &field.of {
        Type::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number) => 0.into(),
        Type::Scalar(Scalar::Boolean) => false.into(),
        Type::Scalar(Scalar::String) => "".into(),
        Type::Scalar(Scalar::Quantity) => "0".into(),
        Type::Scalar(Scalar::IntOrString) => 0.into(),
        Type::Defined(_) | Type::Builtin(_) => {
            let mut empty = Value::Object(Map::new());
            if let Some(inner) = node.field(name) {
                visit(inner, &mut empty, path, &mut Vec::new());
            }
            empty
        }
        _ => Value::Null,
    }
}

fn visit_scalar(scalar: Scalar, value: &mut Value, path: &Path, problems: &mut Vec<Problem>) {
    if value.is_null() {
        return;
    }
    let whole = |value: &Value| value.as_i64();
    let name = match scalar {
        Scalar::String => value.is_string().then_some(()).ok_or("string"),
        Scalar::Bytes if value.is_string() => return visit_bytes(value, problems),
        Scalar::Bytes => Err("[]uint8"),
        Scalar::Boolean => value.is_boolean().then_some(()).ok_or("bool"),
        Scalar::Number => value.is_number().then_some(()).ok_or("float64"),
        Scalar::Int64 => whole(value).map(drop).ok_or("int64"),
        Scalar::Int32 => whole(value)
            .filter(|n| i32::try_from(*n).is_ok())
            .map(drop)
            .ok_or("int32"),
        Scalar::IntOrString => (value.is_string() || whole(value).is_some())
            .then_some(())
            .ok_or("intstr.IntOrString"),
        Scalar::Quantity => return visit_quantity(value, path, problems),
        Scalar::Time | Scalar::MicroTime => return visit_time(scalar, value, path, problems),
    };
    if let Err(name) = name {
        problems.push(wrong(path, value, name));
    }
}

fn visit_quantity(value: &mut Value, path: &Path, problems: &mut Vec<Problem>) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => return problems.push(wrong(path, other, "resource.Quantity")),
    };
    match quantity::canonical(&text) {
        Some(canonical) => *value = canonical.into(),
        None => problems.push(Problem::Type(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        )),
    }
}

fn visit_bytes(value: &Value, problems: &mut Vec<Problem>) {
    // A reader of Go skips line ends.
    let text: String = value
        .as_str()
        .into_iter()
        .flat_map(str::chars)
        .filter(|c| !"\r\n".contains(*c))
        .collect();
    let at = match STANDARD.decode(&text) {
        Ok(_) => return,
        Err(DecodeError::InvalidByte(at, _)) => at,
        Err(_) => text.len(),
    };
    problems.push(Problem::Type(format!("illegal base64 data at input byte {at}")));
}

fn visit_time(scalar: Scalar, value: &mut Value, path: &Path, problems: &mut Vec<Problem>) {
    let Some(text) = value.as_str() else {
        return problems.push(wrong(path, value, "v1.Time"));
    };
    if scalar == Scalar::MicroTime && !text.contains('.') && text.len() > SECONDS {
        // Microseconds have to be written out.
        let (form, rest) = ("2006-01-02T15:04:05.000000Z07:00", &text[SECONDS..]);
        let why = format!("parsing time {text:?} as {form:?}: cannot parse {rest:?} as \".000000\"");
        return problems.push(Problem::Type(why));
    }
    match text.parse::<Timestamp>() {
        Ok(time) if scalar == Scalar::MicroTime => {
            *value = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into();
        }
        Ok(time) => *value = crate::clock::stamp(time).into(),
        Err(_) => {
            let form = "2006-01-02T15:04:05Z07:00";
            problems.push(Problem::Type(format!(
                "parsing time {text:?} as {form:?}: cannot parse {text:?} as \"2006\""
            )));
        }
    }
}

/// The sentence of Go's JSON reader.
fn wrong(path: &Path, value: &Value, wanted: &str) -> Problem {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    // Indices and keys have no names in Go.
    let field = path.fields.join(".");
    let owner = &path.owner;
    Problem::Type(format!(
        "json: cannot unmarshal {found} into Go struct field {owner}.{field} of type {wanted}"
    ))
}

fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn go_name(node: Node<'_>) -> String {
    match node.of() {
        Type::List(..) => format!("[]{}", go_name(node.items())),
        Type::Map(..) => format!("map[string]{}", node.field("").map(go_name).unwrap_or_default()),
        Type::Defined(_) | Type::Builtin(_) => {
            node.definition().map_or_else(String::new, |(_, definition)| {
                let mut parts = definition.name.rsplit('.');
                let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                format!("{version}.{name}")
            })
        }
        Type::Scalar(Scalar::Int32) => "int32".to_owned(),
        Type::Scalar(Scalar::Int64) => "int64".to_owned(),
        Type::Scalar(Scalar::Boolean) => "bool".to_owned(),
        Type::Scalar(Scalar::Bytes) => "[]uint8".to_owned(),
        Type::Scalar(Scalar::Quantity) => "resource.Quantity".to_owned(),
        _ => "string".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Schema, Type};
    use super::*;

    fn deployment(spec: Value) -> (Value, Vec<Problem>) {
        let schema = Schema::builtin();
        let number = schema.kinds[&("apps".to_owned(), "v1".to_owned(), "Deployment".to_owned())];
        let of = Type::Defined(number);
        let mut object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {}}, "spec": spec});
        let problems = check(schema.node(&of), &mut object);
        (object, problems)
    }

    #[test]
    fn an_object_comes_back_as_its_types_have_it() {
        let limits = json!({"cpu": 0.5, "memory": "1024Mi"});
        let container =
            json!({"name": "a", "image": "", "args": [], "resources": {"limits": limits}, "stdin": false});
        let (object, problems) = deployment(json!({
            "replicas": 0, "paused": false, "selector": {"matchLabels": {}}, "bogus": 1,
            "template": {"spec": {"containers": [container]}},
        }));
        assert_eq!(problems, [Problem::Unknown("spec.bogus".to_owned())]);
        let spec = json!({
            "replicas": 0, "selector": {}, "strategy": {},
            "template": {"metadata": {}, "spec": {"containers": [
                {"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
            ]}},
        });
        assert_eq!(object["spec"], spec);
        assert_eq!(object["metadata"], json!({}));
    }

    #[test]
    fn a_wrong_type_is_told_as_go_tells_it() {
        let (_, problems) = deployment(json!({"replicas": "two"}));
        let wanted =
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
        assert_eq!(problems, [Problem::Type(wanted.to_owned())]);
    }
}
