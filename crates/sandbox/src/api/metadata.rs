//! Metadata: what the API itself writes into an object's `metadata`, and what names may look like.

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

use crate::registry::Kind;
use crate::status::{FieldError, Status};

/// The letters of generated names, which spell no words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How long a name may be that others are generated from.
const LONGEST_BASE: usize = 58;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Five letters for the end of a generated name.
pub(crate) fn suffix() -> String {
    random::<5>()
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

/// A random UUID of version 4.
pub(crate) fn uid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex[from..to].concat();
    [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("because the system has random numbers");
    bytes
}

/// The metadata of an object, which is made if there is none.
///
/// # Errors
/// 400 if it is no object.
pub(crate) fn of(object: &mut Value) -> Result<&mut Map<String, Value>, Status> {
    let object = object
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("the object provided is unrecognized: it is no JSON object"))?;
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    metadata
        .as_object_mut()
        .ok_or_else(|| Status::bad_request("metadata is no JSON object"))
}

/// Gives a new object its name if it wants one made.
pub(crate) fn generate_name(metadata: &mut Map<String, Value>) {
    let has_name = metadata
        .get("name")
        .and_then(Value::as_str)
        .is_some_and(|name| !name.is_empty());
    let base = metadata
        .get("generateName")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !has_name && !base.is_empty() {
        let base: String = base.chars().take(LONGEST_BASE).collect();
        metadata.insert("name".into(), format!("{base}{}", suffix()).into());
    }
}

/// What is wrong with the metadata of an object.
pub(crate) fn validate(kind: &Kind, metadata: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(why) = wrong_name(kind, name) {
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
    for (key, value) in metadata
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        errors.extend(wrong_key(key).map(|why| FieldError::invalid("metadata.labels", key.as_str(), why)));
        let value = value.as_str().unwrap_or_default();
        errors.extend(wrong_label(value).map(|why| FieldError::invalid("metadata.labels", value, why)));
    }
    for (key, _) in metadata
        .get("annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let why = wrong_key(&key.to_lowercase());
        errors.extend(why.map(|why| FieldError::invalid("metadata.annotations", key.as_str(), why)));
    }
    for finalizer in metadata
        .get("finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = finalizer.as_str().unwrap_or_default();
        errors.extend(wrong_key(text).map(|why| FieldError::invalid("metadata.finalizers", text, why)));
    }
    errors
}

fn wrong_name(kind: &Kind, name: &str) -> Option<String> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => match name {
            "." | ".." => Some(format!("may not be '{name}'")),
            _ if name.contains('/') => Some("may not contain '/'".to_owned()),
            _ if name.contains('%') => Some("may not contain '%'".to_owned()),
            _ => None,
        },
        ("", "Namespace" | "Service") => wrong(name, 63, is_label(name), LABEL),
        _ => wrong(name, 253, name.split('.').all(is_label), SUBDOMAIN),
    }
}

fn wrong(name: &str, longest: usize, fits: bool, rule: &str) -> Option<String> {
    if name.len() > longest {
        Some(format!("must be no more than {longest} characters"))
    } else if fits {
        None
    } else {
        Some(rule.to_owned())
    }
}

fn is_label(text: &str) -> bool {
    let inner = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_plain(text: &str) -> bool {
    let inner = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
    let edge = |sign: char| sign.is_ascii_alphanumeric();
    text.chars().all(inner) && text.starts_with(edge) && text.ends_with(edge)
}

/// What is wrong with the value of a label.
pub(crate) fn wrong_label(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_plain(value)).then(|| LABEL_VALUE.to_owned())
}

/// What is wrong with the key of a label or annotation.
fn wrong_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix
        && !prefix.split('.').all(is_label)
    {
        return Some(format!("prefix part {SUBDOMAIN}"));
    }
    match name {
        "" => Some(format!("name part must be non-empty; {QUALIFIED}")),
        _ if name.len() > 63 => Some("name part must be no more than 63 characters".to_owned()),
        _ => (!is_plain(name)).then(|| QUALIFIED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_kind() {
        let rows = [
            ("", "ConfigMap", "a.b-c", true),
            ("", "ConfigMap", "A", false),
            ("", "Namespace", "a.b", false),
            ("", "Service", "1a", true),
            ("", "Service", "a.b", false),
            ("rbac.authorization.k8s.io", "Role", "system:Thing", true),
        ];
        for (group, kind, name, wanted) in rows {
            let kind = Kind::new(group, "v1", kind, "things");
            assert_eq!(wrong_name(&kind, name).is_none(), wanted, "{name}");
        }
        assert!(wrong_key("app.kubernetes.io/name").is_none());
        assert!(wrong_key("a/b/c").is_some());
        assert_eq!(uid().len(), 36);
    }
}
