//! Protobuf: builtin objects as Go's typed clients send them. Answers are always JSON, which these clients take.
//!
//! A body is the four bytes `k8s\0` and a message `Unknown` of apimachinery's package `runtime`: its first field tells
//! the kind, its second one is the object, a message of the proto2 wire format whose field numbers are in the table.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Field, Node, Scalar, Schema, Type};

/// The media type of such a body.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Messages do not nest deeper than the schema of a definition does.
const DEEPEST: usize = 64;

/// A field on the wire.
enum Wire<'a> {
    Number(u64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// Reads a body; none if it is none, or is of a kind that the table does not have.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let mut unknown = fields(body.strip_prefix(MAGIC)?)?;
    let kind = fields(bytes(unknown.get(&1)?.first()?)?)?;
    let text = |number: u32| {
        let bytes = kind.get(&number).and_then(|list| bytes(list.first()?));
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    };
    let (api_version, kind) = (text(1), text(2));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let schema = Schema::builtin();
    let of = match kind.as_str() {
        // Every group has this kind, and it is the same everywhere.
        "DeleteOptions" => Type::Defined(schema.number_of("DeleteOptions")?),
        _ => schema.type_of(group, version, &kind)?,
    };
    let raw = unknown.remove(&2).unwrap_or_default();
    let message = raw.first().map_or(Some(&[][..]), bytes)?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.clone().into());
    object.insert("kind".to_owned(), kind.into());
    read_object(schema.node(&of), message, &mut object, 0)?;
    Some(Value::Object(object))
}

const fn bytes<'a>(wire: &Wire<'a>) -> Option<&'a [u8]> {
    match wire {
        Wire::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

/// The fields of a message by their numbers.
fn fields(mut message: &[u8]) -> Option<BTreeMap<u32, Vec<Wire<'_>>>> {
    let mut found: BTreeMap<u32, Vec<Wire<'_>>> = BTreeMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut message)?),
            1 => Wire::Double(f64::from_le_bytes(take(&mut message, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Wire::Bytes(take(&mut message, length)?)
            }
            5 => {
                let bits = u32::from_le_bytes(take(&mut message, 4)?.try_into().ok()?);
                Wire::Number(bits.into())
            }
            _ => return None,
        };
        found.entry(u32::try_from(tag >> 3).ok()?).or_default().push(wire);
    }
    Some(found)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(head)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(message, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads the fields of a definition. Those of a struct embedded in Go are a message of their own.
fn read_object(node: Node<'_>, message: &[u8], object: &mut Map<String, Value>, depth: usize) -> Option<()> {
    if depth > DEEPEST {
        return None;
    }
    let (_, definition) = node.definition()?;
    let found = fields(message)?;
    let mut embedded = BTreeMap::new();
    for (name, field) in &definition.fields {
        let Some((first, rest)) = field.numbers.split_first() else {
            continue;
        };
        let Some(wires) = found.get(first) else {
            continue;
        };
        let value = match rest {
            [] => read_field(node.field(name)?, field, wires, depth)?,
            [second, ..] => {
                if !embedded.contains_key(first) {
                    embedded.insert(*first, fields(bytes(wires.first()?)?)?);
                }
                match embedded.get(first).and_then(|inner| inner.get(second)) {
                    Some(wires) => read_field(node.field(name)?, field, wires, depth)?,
                    None => continue,
                }
            }
        };
        object.insert(name.to_string(), value);
    }
    Some(())
}

fn read_field(node: Node<'_>, field: &Field, wires: &[Wire<'_>], depth: usize) -> Option<Value> {
    match &field.of {
        Type::List(..) => {
            let mut items = Vec::new();
            for wire in wires {
                items.push(read_value(node.items(), wire, depth)?);
            }
            Some(Value::Array(items))
        }
        Type::Map(..) => {
            let mut map = Map::new();
            for wire in wires {
                let entry = fields(bytes(wire)?)?;
                let key = entry
                    .get(&1)
                    .and_then(|list| bytes(list.first()?))
                    .unwrap_or_default();
                let of = node.field("")?;
                let value = match entry.get(&2).and_then(|list| list.first()) {
                    Some(wire) => read_value(of, wire, depth)?,
                    None => Value::Null,
                };
                map.insert(String::from_utf8(key.to_vec()).ok()?, value);
            }
            Some(Value::Object(map))
        }
        _ => read_value(node, wires.last()?, depth),
    }
}

fn read_value(node: Node<'_>, wire: &Wire<'_>, depth: usize) -> Option<Value> {
    match node.of() {
        Type::Scalar(scalar) => read_scalar(*scalar, wire),
        Type::Any => {
            // RawExtension, FieldsV1 and JSON: one field with the text.
            let message = fields(bytes(wire)?)?;
            match message.get(&1).and_then(|list| list.first()) {
                Some(raw) => serde_json::from_slice(bytes(raw)?).ok(),
                None => Some(Value::Null),
            }
        }
        Type::List(..) => {
            // A named list as the value of a map is a message with the items.
            let message = fields(bytes(wire)?)?;
            let items = message.get(&1).map(Vec::as_slice).unwrap_or_default();
            items
                .iter()
                .map(|item| read_value(node.items(), item, depth + 1))
                .collect()
        }
        Type::Map(..) => None,
        Type::Defined(_) | Type::Builtin(_) => {
            let mut object = Map::new();
            read_object(node, bytes(wire)?, &mut object, depth + 1)?;
            Some(Value::Object(object))
        }
    }
}

fn read_scalar(scalar: Scalar, wire: &Wire<'_>) -> Option<Value> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().map(Value::from);
    // Negative numbers are sent in all 64 bits.
    let signed = |number: u64| i64::from_le_bytes(number.to_le_bytes());
    match (scalar, wire) {
        (Scalar::String, Wire::Bytes(bytes)) => text(bytes),
        (Scalar::Bytes, Wire::Bytes(bytes)) => Some(STANDARD.encode(bytes).into()),
        (Scalar::Boolean, Wire::Number(number)) => Some((*number != 0).into()),
        (Scalar::Int32 | Scalar::Int64, Wire::Number(number)) => Some(signed(*number).into()),
        (Scalar::Number, Wire::Double(number)) => Some((*number).into()),
        (Scalar::Quantity, Wire::Bytes(message)) => {
            match fields(message)?.get(&1).and_then(|list| list.first()) {
                Some(wire) => text(bytes(wire)?),
                None => Some("0".into()),
            }
        }
        (Scalar::IntOrString, Wire::Bytes(message)) => {
            let parts = fields(message)?;
            let number = |at: u32| match parts.get(&at).and_then(|list| list.first()) {
                Some(Wire::Number(number)) => signed(*number),
                _ => 0,
            };
            match parts.get(&3).and_then(|list| list.first()) {
                Some(wire) if number(1) == 1 => text(bytes(wire)?),
                _ => Some(number(2).into()),
            }
        }
        (Scalar::Time | Scalar::MicroTime, Wire::Bytes(message)) => {
            let parts = fields(message)?;
            let number = |at: u32| match parts.get(&at).and_then(|list| list.first()) {
                Some(Wire::Number(number)) => Some(signed(*number)),
                _ => None,
            };
            // A zero time is an empty message.
            let Some(seconds) = number(1) else {
                return Some(Value::Null);
            };
            let nanoseconds = i32::try_from(number(2).unwrap_or(0)).ok()?;
            Some(Timestamp::new(seconds, nanoseconds).ok()?.to_string().into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        [&[number << 3 | 2, length], value].concat()
    }

    #[test]
    fn a_typed_clients_object_is_read() {
        let meta = field(1, b"web");
        let entry = [field(1, b"mode"), field(2, b"0644")].concat();
        let message = [field(1, &meta), field(2, &entry)].concat();
        let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let body = [MAGIC.to_vec(), field(1, &kind), field(2, &message)].concat();
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"mode": "0644"},
        });
        assert_eq!(read(&body), Some(wanted));
        assert_eq!(read(b"k8s\0\xff"), None);
        assert_eq!(read(&body[..body.len() - 1]), None);
    }
}
