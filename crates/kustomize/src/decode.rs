//! Decoder: typed fields out of a kustomization file or plugin configuration.
//!
//! The reference decodes with Go's JSON decoder, whose habits are kept: field names match whatever their
//! case, a null leaves a field at its default, and types are not converted. All problems of a file are
//! collected, each with its line.

use std::collections::BTreeMap;

use manifest::{FieldLines, Gvk, Node, yaml};
use serde_json::{Map, Value};

use crate::error::{BuildError, BuildErrors, Result};
use crate::fieldspec::FieldSpec;

/// How strict a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether an unknown field is an error.
    pub refuse_unknown: bool,
    /// Whether numbers and bools become text where text is wanted.
    pub to_text: bool,
}

/// The rules of a kustomization file.
pub(crate) const STRICT: Rules = Rules {
    refuse_unknown: true,
    to_text: false,
};
/// The rules of a plugin configuration.
pub(crate) const LENIENT: Rules = Rules {
    refuse_unknown: false,
    to_text: true,
};
/// The rules of a transformer configuration file.
pub(crate) const CONFIGURATION: Rules = Rules {
    refuse_unknown: true,
    to_text: true,
};

/// Collects the problems of one file while its fields are read.
pub(crate) struct Decoder<'f> {
    file: &'f str,
    lines: FieldLines,
    /// The line of the file before which the text starts.
    offset: u32,
    rules: Rules,
    pub errors: BuildErrors,
}

/// A mapping with the pointer to it.
pub(crate) struct Object<'v> {
    map: Option<&'v Map<String, Value>>,
    pointer: String,
}

/// A value with the pointer to it.
#[derive(Clone)]
pub(crate) struct Field<'v> {
    pub value: &'v Value,
    pointer: String,
}

const NULL: &Value = &Value::Null;

impl<'f> Decoder<'f> {
    pub(crate) fn new(file: &'f str, node: &Node, offset: u32, rules: Rules) -> Self {
        let lines = FieldLines::of(node, [file.into()].into());
        Self {
            file,
            lines,
            offset,
            rules,
            errors: BuildErrors::default(),
        }
    }

    /// The value, or all problems.
    pub(crate) fn finish<T>(self, value: T) -> Result<T> {
        self.errors.into_result().map(|()| value)
    }

    /// Whether a kustomization file is read, and no plugin configuration.
    pub(crate) fn is_strict(&self) -> bool {
        self.rules == STRICT
    }

    /// The line of a field, from 1; 0 when it is not known.
    pub(crate) fn line(&self, pointer: &str) -> u32 {
        self.lines
            .line_of(pointer)
            .map_or(0, |origin| origin.line + self.offset)
    }

    pub(crate) fn error(&mut self, pointer: &str, message: impl Into<String>) {
        let error = BuildError {
            field: Some(dotted(pointer)),
            ..BuildError::new(message)
        };
        let line = self.line(pointer);
        self.errors.push(error.at(self.file, line));
    }

    /// A mapping that may have only these fields.
    pub(crate) fn object<'v>(&mut self, field: &Field<'v>, names: &[&str]) -> Object<'v> {
        let map = match field.value {
            Value::Null => None,
            Value::Object(map) => Some(map),
            other => {
                self.error(
                    &field.pointer,
                    format!("expected a mapping, found {}", shown(other)),
                );
                None
            }
        };
        if self.rules.refuse_unknown {
            for key in map.into_iter().flat_map(Map::keys) {
                if !names.iter().any(|name| name.eq_ignore_ascii_case(key)) {
                    let mut message = format!("unknown field {key:?}");
                    if let Some(near) = nearest(key, names) {
                        message = format!("{message}, did you mean {near:?}?");
                    }
                    self.error(&below(&field.pointer, key), message);
                }
            }
        }
        Object {
            map,
            pointer: field.pointer.clone(),
        }
    }

    pub(crate) fn string(&mut self, object: &Object<'_>, name: &str) -> String {
        let field = object.field(name);
        self.text(&field).unwrap_or_default()
    }

    pub(crate) fn optional_string(&mut self, object: &Object<'_>, name: &str) -> Option<String> {
        let field = object.field(name);
        self.text(&field)
    }

    /// The text of a value; null is none.
    pub(crate) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        match field.value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) if self.rules.to_text => Some(number_text(number)),
            Value::Bool(value) if self.rules.to_text => Some(value.to_string()),
            other => {
                let why = format!(
                    "expected a string, found {}: quote it if it is text",
                    shown(other)
                );
                self.error(&field.pointer, why);
                None
            }
        }
    }

    pub(crate) fn bool(&mut self, object: &Object<'_>, name: &str) -> bool {
        let field = object.field(name);
        match field.value {
            Value::Null => false,
            Value::Bool(value) => *value,
            other => {
                self.error(
                    &field.pointer,
                    format!("expected true or false, found {}", shown(other)),
                );
                false
            }
        }
    }

    pub(crate) fn integer(&mut self, object: &Object<'_>, name: &str) -> i64 {
        let field = object.field(name);
        match field.value {
            Value::Null => 0,
            Value::Number(number) if number.is_i64() => number.as_i64().unwrap_or_default(),
            other => {
                self.error(
                    &field.pointer,
                    format!("expected an integer, found {}", shown(other)),
                );
                0
            }
        }
    }

    /// The items of a list; null is empty.
    pub(crate) fn list<'v>(&mut self, object: &Object<'v>, name: &str) -> Vec<Field<'v>> {
        let field = object.field(name);
        self.items(&field)
    }

    pub(crate) fn items<'v>(&mut self, field: &Field<'v>) -> Vec<Field<'v>> {
        match field.value {
            Value::Null => Vec::new(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, value)| Field {
                    value,
                    pointer: format!("{}/{at}", field.pointer),
                })
                .collect(),
            other => {
                self.error(&field.pointer, format!("expected a list, found {}", shown(other)));
                Vec::new()
            }
        }
    }

    pub(crate) fn strings(&mut self, object: &Object<'_>, name: &str) -> Vec<String> {
        let items = self.list(object, name);
        items
            .iter()
            .map(|item| self.text(item).unwrap_or_default())
            .collect()
    }

    /// A mapping of strings; a null value is the empty string.
    pub(crate) fn string_map(&mut self, object: &Object<'_>, name: &str) -> BTreeMap<String, String> {
        let field = object.field(name);
        let mut texts = BTreeMap::new();
        match field.value {
            Value::Null => {}
            Value::Object(map) => {
                for (key, value) in map {
                    let item = Field {
                        value,
                        pointer: below(&field.pointer, key),
                    };
                    texts.insert(key.clone(), self.text(&item).unwrap_or_default());
                }
            }
            other => self.error(
                &field.pointer,
                format!("expected a mapping, found {}", shown(other)),
            ),
        }
        texts
    }

    pub(crate) fn gvk(&mut self, object: &Object<'_>) -> Gvk {
        Gvk {
            group: self.string(object, "group"),
            version: self.string(object, "version"),
            kind: self.string(object, "kind"),
        }
    }

    pub(crate) fn field_specs(&mut self, object: &Object<'_>, name: &str) -> Vec<FieldSpec> {
        let items = self.list(object, name);
        items.iter().map(|item| self.field_spec(item)).collect()
    }

    fn field_spec(&mut self, item: &Field<'_>) -> FieldSpec {
        let object = self.object(item, &["group", "version", "kind", "path", "create"]);
        let gvk = self.gvk(&object);
        FieldSpec::new(gvk, &self.string(&object, "path"), self.bool(&object, "create"))
    }
}

// === impl Object ===

impl<'v> Object<'v> {
    /// The value of a field. Of names that differ in case only, the last one in the order of bytes counts.
    pub(crate) fn field(&self, name: &str) -> Field<'v> {
        let fields = self.map.into_iter().flatten();
        let found = fields
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .max_by_key(|(key, _)| key.as_str());
        match found {
            Some((key, value)) => Field {
                value,
                pointer: below(&self.pointer, key),
            },
            None => Field {
                value: NULL,
                pointer: below(&self.pointer, name),
            },
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.field(name).value.is_null()
    }

    pub(crate) fn is_present(&self) -> bool {
        self.map.is_some()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'v String, &'v Value)> {
        self.map.into_iter().flatten()
    }
}

impl<'v> Field<'v> {
    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The whole of a document.
    pub(crate) fn root(value: &'v Value) -> Self {
        Self {
            value,
            pointer: String::new(),
        }
    }
}

fn below(pointer: &str, key: &str) -> String {
    let mut below = String::with_capacity(pointer.len() + 1 + key.len());
    below.push_str(pointer);
    below.push('/');
    if key.contains(['~', '/']) {
        below.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        below.push_str(key);
    }
    below
}

/// `/patches/2/target` as `patches[2].target`.
pub(crate) fn dotted(pointer: &str) -> String {
    let mut text = String::new();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            text.push('[');
            text.push_str(&segment);
            text.push(']');
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(&segment);
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the bool {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        // The reference prints floats with the precision of 32 bits.
        #[expect(clippy::cast_possible_truncation, reason = "that precision is what is wanted")]
        Some(float) if !number.is_i64() && !number.is_u64() => yaml::shortest_float_32(float as f32),
        _ => number.to_string(),
    }
}

/// The known name that a misspelt one is at most two edits away from.
pub(crate) fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let name = name.to_ascii_lowercase();
    let distance = |other: &str| edits(&name, &other.to_ascii_lowercase());
    names
        .iter()
        .map(|other| (distance(other), *other))
        .filter(|(d, _)| *d <= 2)
        .min()
        .map(|(_, other)| other)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_found_with_their_lines() {
        let text = "name: [x]\nlist: 3\nnamPrefix: y\nCount: 1.5\nMAP: {a: true}\n";
        let node = yaml::read(text, "k.yaml").unwrap().remove(0);
        let value = node.to_json_1_1().unwrap();
        let mut decoder = Decoder::new("k.yaml", &node, 0, STRICT);
        let object = decoder.object(
            &Field::root(&value),
            &["name", "list", "namePrefix", "count", "map"],
        );
        decoder.string(&object, "name");
        decoder.list(&object, "list");
        decoder.integer(&object, "count");
        decoder.string_map(&object, "map");
        let errors = decoder.finish(()).unwrap_err();
        let shown: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "k.yaml:3: namPrefix: unknown field \"namPrefix\", did you mean \"namePrefix\"?",
                "k.yaml:1: name: expected a string, found a list: quote it if it is text",
                "k.yaml:2: list: expected a list, found the number 3",
                "k.yaml:4: Count: expected an integer, found the number 1.5",
                "k.yaml:5: MAP.a: expected a string, found the bool true: quote it if it is text",
            ]
        );
    }

    #[test]
    fn pointers_are_shown_with_dots() {
        assert_eq!(dotted("/patches/2/target"), "patches[2].target");
        assert_eq!(dotted("/a~1b/0"), "a/b[0]");
    }
}
