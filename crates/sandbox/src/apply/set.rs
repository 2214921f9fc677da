//! Set: paths of fields, as `metadata.managedFields` keeps them in the format FieldsV1.
//!
//! The semantics are those of `fieldpath.Set` in sigs.k8s.io/structured-merge-diff.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::schema::Node;

/// One step of a path. The texts of keys and values are JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    /// A field of an object or a key of a map.
    Field(Box<str>),
    /// An item of a list, by the values of its keys: `{"name":"web"}`.
    Key(Box<str>),
    /// An item of a set: `"a"`.
    Value(Box<str>),
    /// An item by its place.
    Index(usize),
}

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    /// Whether the path that leads here is in the set.
    pub member: bool,
    /// The paths that go on from here.
    pub children: BTreeMap<Element, Self>,
}

// === impl Element ===

impl Element {
    fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(at) => format!("i:{at}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.into())),
            // The texts are compared, so they have to be in one form.
            "k" => Some(Self::Key(
                serde_json::from_str::<Value>(rest).ok()?.to_string().into(),
            )),
            "v" => Some(Self::Value(
                serde_json::from_str::<Value>(rest).ok()?.to_string().into(),
            )),
            "i" => Some(Self::Index(rest.parse().ok()?)),
            _ => None,
        }
    }
}

/// A path as the sentences of conflicts write it: `.spec.containers[name="web"].image`.
pub(crate) fn path_text(path: &[Element]) -> String {
    let mut text = String::new();
    for element in path {
        // Writing to a string cannot fail.
        let _ = match element {
            Element::Field(name) => write!(text, ".{name}"),
            Element::Value(value) => write!(text, "[={value}]"),
            Element::Index(at) => write!(text, "[{at}]"),
            Element::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(text, "[{}]", pairs.join(","))
            }
        };
    }
    text
}

// === impl Set ===

impl Set {
    /// A set of these paths of field names.
    pub(crate) fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<Element> = path.iter().map(|&name| Element::Field(name.into())).collect();
            set.insert(&path);
        }
        set
    }

    /// Reads FieldsV1.
    pub(crate) fn from_fields(fields: &Value) -> Self {
        let mut set = Self::default();
        let Some(map) = fields.as_object() else {
            return set;
        };
        set.member = map.is_empty() || map.contains_key(".");
        for (key, inner) in map {
            if let Some(element) = Element::parse(key) {
                set.children.insert(element, Self::from_fields(inner));
            }
        }
        set
    }

    /// Writes FieldsV1.
    pub(crate) fn to_fields(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, inner) in &self.children {
            map.insert(element.text(), inner.to_fields());
        }
        Value::Object(map)
    }

    /// Adds a path.
    pub(crate) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => self.member = true,
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether no path is in the set.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Whether the path of one step is in the set.
    pub(crate) fn has(&self, element: &Element) -> bool {
        self.children.get(element).is_some_and(|inner| inner.member)
    }

    /// The paths that begin with a step, if there are any.
    pub(crate) fn below(&self, element: &Element) -> Option<&Self> {
        self.children
            .get(element)
            .filter(|inner| inner.children.values().any(|one| !one.is_empty()))
    }

    /// The paths of either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.member |= other.member;
        for (element, inner) in &other.children {
            let here = all.children.entry(element.clone()).or_default();
            *here = here.union(inner);
        }
        all
    }

    /// The paths of both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let both = self.children.iter().filter_map(|(element, inner)| {
            let common = inner.intersection(other.children.get(element)?);
            (!common.is_empty()).then(|| (element.clone(), common))
        });
        Self {
            member: self.member && other.member,
            children: both.collect(),
        }
    }

    /// The paths of this set that are not in the other one.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let left = self.children.iter().filter_map(|(element, inner)| {
            let left = other
                .children
                .get(element)
                .map_or_else(|| inner.clone(), |gone| inner.difference(gone));
            (!left.is_empty()).then(|| (element.clone(), left))
        });
        Self {
            member: self.member && !other.member,
            children: left.collect(),
        }
    }

    /// The same without everything that begins with a path of the other set.
    pub(crate) fn without_below(&self, other: &Self) -> Self {
        let left =
            self.children
                .iter()
                .filter_map(|(element, inner)| match other.children.get(element) {
                    Some(gone) if gone.member => None,
                    Some(gone) => Some((element.clone(), inner.without_below(gone)))
                        .filter(|(_, left)| !left.is_empty()),
                    None => Some((element.clone(), inner.clone())),
                });
        Self {
            member: self.member && !other.member,
            children: left.collect(),
        }
    }

    /// The same with every declared field in it that leads to a path of the set.
    pub(crate) fn with_named_fields(&self, node: Node<'_>) -> Self {
        let children = self.children.iter().map(|(element, inner)| {
            let (below, declared) = match element {
                Element::Field(name) => (node.field(name), node.declared(name).is_some()),
                _ => (Some(node.items()), false),
            };
            let mut inner = inner.with_named_fields(below.unwrap_or_else(Node::any));
            inner.member |= declared && !inner.children.is_empty();
            (element.clone(), inner)
        });
        Self {
            member: self.member,
            children: children.collect(),
        }
    }

    /// Every path of the set, those that end here first.
    pub(crate) fn paths(&self) -> Vec<Vec<Element>> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect(&self, at: &mut Vec<Element>, found: &mut Vec<Vec<Element>>) {
        for (element, inner) in &self.children {
            if inner.member {
                found.push([at.as_slice(), std::slice::from_ref(element)].concat());
            }
        }
        for (element, inner) in &self.children {
            at.push(element.clone());
            inner.collect(at, found);
            at.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_and_written_alike() {
        let fields = json!({"f:spec": {
            "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}}},
            "f:finalizers": {"v:\"a\"": {}},
        }});
        let set = Set::from_fields(&fields);
        assert_eq!(set.to_fields(), fields);
        let paths: Vec<String> = set.paths().iter().map(|path| path_text(path)).collect();
        let wanted = [
            ".spec.containers[name=\"web\"]",
            ".spec.containers[name=\"web\"].image",
            ".spec.finalizers[=\"a\"]",
        ];
        assert_eq!(paths, wanted);
        let image =
            Set::from_fields(&json!({"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}}}));
        assert_eq!(set.difference(&image).paths().len(), 2);
        assert_eq!(set.intersection(&image), image);
        assert!(set.without_below(&Set::of(&[&["spec"]])).is_empty());
    }
}
