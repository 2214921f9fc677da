//! Manifest: one Kubernetes object as JSON, with the place it comes from.

use serde_json::{Map, Value};

use crate::origin::{FieldLines, Origin};
use crate::packed::Packed;
use crate::redact::{Redacted, redact};
use crate::yaml::{self, ReadError};
use crate::{Gvk, ObjectId};

/// One Kubernetes object.
#[derive(Clone, Debug)]
pub struct Manifest {
    value: Value,
    origin: Origin,
    fields: FieldLines,
}

/// Two manifests are equal when their values are, wherever they come from.
impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

// === impl Manifest ===

impl Manifest {
    /// An object that comes from `origin`, without lines for its fields.
    pub fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            fields: FieldLines::default(),
        }
    }

    /// An object whose fields know their own lines.
    pub fn with_fields(value: Value, origin: Origin, fields: FieldLines) -> Self {
        Self {
            value,
            origin,
            fields,
        }
    }

    /// Reads all objects of a YAML or JSON text. Empty documents are skipped.
    ///
    /// # Errors
    ///
    /// When the text is not YAML, or a document is not a mapping that JSON can hold.
    pub fn parse(text: &str, file: &str) -> Result<Vec<Self>, ReadError> {
        let nodes = yaml::read(text, file)?;
        let files: std::sync::Arc<[std::sync::Arc<str>]> = [file.into()].into();
        let mut objects = Vec::with_capacity(nodes.len());
        for node in nodes.iter().filter(|node| !node.is_null()) {
            if !node.is_mapping() {
                let message = "an object must be a mapping".to_owned();
                return Err(ReadError {
                    file: file.into(),
                    line: node.line(),
                    column: node.column(),
                    message,
                });
            }
            let value = node.to_json().map_err(|error| error.in_file(file))?;
            let origin = Origin {
                file: files[0].clone(),
                line: node.line(),
            };
            objects.push(Self::with_fields(
                value,
                origin,
                FieldLines::of(node, files.clone()),
            ));
        }
        Ok(objects)
    }

    /// The object as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The object as JSON, to change. Fields that stay keep their lines.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// The object as JSON, without its origin.
    pub fn into_value(self) -> Value {
        self.value
    }

    /// The object in a form that takes less memory.
    pub fn pack(&self) -> Packed {
        let text = self.value.to_string().into();
        Packed::new(text, self.origin.clone(), self.fields.clone())
    }

    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Group, kind, namespace and name; parts that the object does not have are empty.
    pub fn id(&self) -> ObjectId {
        let Gvk { group, kind, .. } = self.gvk();
        ObjectId {
            group,
            kind,
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
        }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.text("/apiVersion"), self.text("/kind"))
    }

    /// `metadata.name`; empty for none.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`; empty for none.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// `metadata.labels`, if it is a mapping.
    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.value.pointer("/metadata/labels").and_then(Value::as_object)
    }

    /// `metadata.annotations`, if it is a mapping.
    pub fn annotations(&self) -> Option<&Map<String, Value>> {
        self.value
            .pointer("/metadata/annotations")
            .and_then(Value::as_object)
    }

    /// The value of a label, if it is a string.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()?.get(key)?.as_str()
    }

    /// The value of an annotation, if it is a string.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations()?.get(key)?.as_str()
    }

    /// Where the object comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where the field at a JSON pointer comes from: its own line when a file holds it, else that of the
    /// nearest field around it, else the object's. `None` when the object has no such field.
    pub fn line_of(&self, pointer: &str) -> Option<Origin> {
        self.value.pointer(pointer)?;
        Some(
            self.fields
                .line_of(pointer)
                .unwrap_or_else(|| self.origin.clone()),
        )
    }

    /// The object in the only form that may be printed.
    pub fn redacted(&self) -> Redacted {
        redact(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "---\n# first\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  \
        namespace: shop\n  labels: {app: web}\n  annotations:\n    a/b: c\nspec:\n  containers:\n  - name: c\n    \
        image: x\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n";

    #[test]
    fn objects_know_who_they_are() {
        let objects = Manifest::parse(TEXT, "web.yaml").unwrap();
        let shown: Vec<_> = objects
            .iter()
            .map(|o| format!("{} @ {}", o.id(), o.origin()))
            .collect();
        assert_eq!(
            shown,
            [
                "Deployment.apps shop/web @ web.yaml:3",
                "Namespace shop @ web.yaml:17"
            ]
        );
        assert_eq!(objects[0].label("app"), Some("web"));
        assert_eq!(objects[0].annotation("a/b"), Some("c"));
        assert_eq!(objects[0].gvk().api_version(), "apps/v1");
    }

    #[test]
    fn fields_know_their_lines() {
        let mut object = Manifest::parse(TEXT, "web.yaml").unwrap().remove(0);
        object.value_mut()["spec"]["replicas"] = 3.into();
        let rows = [
            ("", Some(3)),
            ("/kind", Some(4)),
            ("/metadata/annotations/a~1b", Some(10)),
            ("/spec/containers", Some(12)),
            ("/spec/containers/0/image", Some(14)),
            ("/spec/replicas", Some(11)),
            ("/spec/nothing", None),
        ];
        for (pointer, line) in rows {
            assert_eq!(object.line_of(pointer).map(|o| o.line), line, "{pointer}");
        }
    }

    #[test]
    fn a_packed_object_is_the_same_again() {
        let text = "apiVersion: v1\nkind: Odd\nmetadata:\n  name: odd\nspec: {z: [0.1, 1e300, 2.2250738585072014e-308, \
            -0.0, 9223372036854775807, 18446744073709551615], a: {}, b: [], c: null, d: \"\\u0000\\u2028\"}\n";
        let before = &Manifest::parse(text, "odd.yaml").unwrap()[0];
        let after = before.pack().unpack();
        assert_eq!(after.value(), before.value());
        assert_eq!(after.value().to_string(), before.value().to_string());
        assert_eq!(after.origin(), before.origin());
        assert_eq!(after.line_of("/spec/z/2"), before.line_of("/spec/z/2"));
    }

    #[test]
    fn what_is_not_an_object_is_an_error_with_its_place() {
        let error = Manifest::parse("a: 1\n---\n- x\n", "list.yaml").unwrap_err();
        assert_eq!(error.to_string(), "list.yaml:3:1: an object must be a mapping");
    }
}
