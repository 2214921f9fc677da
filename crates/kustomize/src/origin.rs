//! Origin annotations: where a resource and its transformations were configured, as `buildMetadata` prints.

use std::collections::BTreeMap;

use manifest::{Gvk, yaml};
use serde_json::{Map, Value, json};

use crate::fieldspec::FieldSpec;
use crate::resource::Resource;
use crate::transform::labels::set_entries;

/// The annotation with the origin of a resource.
pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation with the list of transformations of a resource.
pub(crate) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// The place of a resource or plugin configuration, relative to the directory of the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub path: String,
    pub configured_in: String,
    /// apiVersion, kind, name and namespace of the configuration.
    pub configured_by: Option<[String; 4]>,
}

impl Origin {
    /// The origin of something at a path below this one.
    pub(crate) fn append(&self, path: &str) -> Self {
        Self {
            path: clean_join(&self.path, path),
            ..self.clone()
        }
    }

    /// The origin of what a builtin transformer or generator of a kustomization file makes.
    pub(crate) fn builtin(&self, file: &str, kind: &str) -> Self {
        Self {
            path: String::new(),
            configured_in: clean_join(&self.path, file),
            configured_by: Some([
                "builtin".to_owned(),
                kind.to_owned(),
                String::new(),
                String::new(),
            ]),
        }
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut set = |key: &str, value: &str| {
            if !value.is_empty() {
                map.insert(key.to_owned(), Value::from(value));
            }
        };
        set("path", &self.path);
        set("configuredIn", &self.configured_in);
        if let Some(by) = &self.configured_by {
            let mut inner = Map::new();
            for (key, value) in ["apiVersion", "kind", "name", "namespace"].iter().zip(by) {
                if !value.is_empty() {
                    inner.insert((*key).to_owned(), Value::from(value.as_str()));
                }
            }
            map.insert("configuredBy".to_owned(), Value::Object(inner));
        }
        Value::Object(map)
    }

    /// Go's YAML of the struct: fields in the order of their declaration.
    pub(crate) fn text(&self) -> String {
        ordered(&self.to_json(), 0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let node = yaml::read_first(text, "", 0).ok().flatten()?;
        let value = node.to_json().ok()?;
        let get = |pointer: &str| {
            value
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let by = value.get("configuredBy").map(|_| {
            ["apiVersion", "kind", "name", "namespace"].map(|field| get(&format!("/configuredBy/{field}")))
        });
        Some(Self {
            path: get("/path"),
            configured_in: get("/configuredIn"),
            configured_by: by,
        })
    }
}

/// Prints a mapping of texts and mappings in its own order.
fn ordered(value: &Value, indent: usize) -> String {
    let mut text = String::new();
    let Some(map) = value.as_object() else { return text };
    if map.is_empty() {
        return "{}\n".to_owned();
    }
    let pad = " ".repeat(indent);
    for (key, value) in map {
        text.push_str(&pad);
        text.push_str(key);
        if value.is_object() {
            text.push_str(":\n");
            text.push_str(&ordered(value, indent + 2));
        } else {
            // A scalar prints as `key: value` does.
            let one = yaml::emit(&json!({ key.as_str(): value }));
            text.push_str(one.trim_end().strip_prefix(key.as_str()).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

fn clean_join(base: &str, path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in base
        .split('/')
        .chain(path.split('/'))
        .filter(|s| !s.is_empty() && *s != ".")
    {
        if segment == ".." && segments.last().is_some_and(|last| *last != "..") {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    segments.join("/")
}

/// The origin that a resource is annotated with.
pub(crate) fn of(resource: &Resource) -> Option<Origin> {
    resource
        .annotations()
        .get(ORIGIN)
        .and_then(|text| Origin::parse(text))
}

/// Annotates a resource that was just loaded. Unlike [`set`] this leaves its other annotations as they are
/// written, whatever their type.
pub(crate) fn annotate(resource: &mut Resource, origin: &Origin) -> Result<(), String> {
    let entry = BTreeMap::from([(ORIGIN.to_owned(), origin.text())]);
    let fields = [FieldSpec::new(Gvk::default(), "metadata/annotations", true)];
    set_entries(resource, &entry, &fields)
}

/// Annotates a resource with its origin, and makes texts of all its annotations.
pub(crate) fn set(resource: &mut Resource, origin: &Origin) {
    let mut annotations = resource.annotations();
    annotations.insert(ORIGIN.to_owned(), origin.text());
    resource.set_annotations(&annotations);
}

/// Records that a transformer ran: resources without an origin are taken for made by it.
pub(crate) fn record(resource: &mut Resource, origin: &Origin) {
    let mut annotations = resource.annotations();
    if !annotations.contains_key(ORIGIN) {
        annotations.insert(ORIGIN.to_owned(), origin.text());
    } else {
        let list = annotations.entry(TRANSFORMATIONS.to_owned()).or_default();
        let item = origin.text();
        for (at, line) in item.lines().enumerate() {
            list.push_str(if at == 0 { "- " } else { "  " });
            list.push_str(line);
            list.push('\n');
        }
    }
    resource.set_annotations(&annotations);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_print_and_parse() {
        let origin = Origin {
            path: "../base".to_owned(),
            ..Origin::default()
        }
        .append("./a/../b.yaml");
        assert_eq!(origin.text(), "path: ../base/b.yaml\n");
        let built = origin.builtin("kustomization.yaml", "PatchTransformer");
        assert_eq!(
            built.text(),
            "configuredIn: ../base/b.yaml/kustomization.yaml\nconfiguredBy:\n  apiVersion: builtin\n  kind: PatchTransformer\n"
        );
        assert_eq!(Origin::parse(&built.text()), Some(built));
    }
}
