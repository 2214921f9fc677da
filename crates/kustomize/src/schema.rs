//! Schema: which lists of an object merge by key, and which kinds are cluster-scoped.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The number of a definition in a [`Table`].
pub(crate) type TypeId = usize;

/// How a strategic merge treats a value of a type.
#[derive(Clone, Debug, Default)]
struct Type {
    fields: HashMap<Box<str>, TypeId>,
    /// The type of every other field.
    any_field: Option<TypeId>,
    items: Option<TypeId>,
    /// The keys by which a list merges; empty for a list of plain values; none for an atomic list.
    merge: Option<Box<[Box<str>]>>,
}

/// Definitions and the kinds that they belong to.
#[derive(Clone, Debug, Default)]
struct Table {
    types: Vec<Type>,
    /// (apiVersion, kind) to the definition.
    kinds: HashMap<(Box<str>, Box<str>), TypeId>,
    /// The definitions by name.
    names: HashMap<Box<str>, TypeId>,
    /// (apiVersion, kind) to whether it is namespaced, beside the builtin kinds.
    namespaced: HashMap<(Box<str>, Box<str>), bool>,
}

/// What `tools/schema.py` writes: sorted lines of scopes (`N` or `C`, apiVersion, kind), then the types.
const TABLE: &str = include_str!("../data/schema.txt");

/// The builtin types. Only a strategic merge needs them.
static BUILTIN: LazyLock<Table> = LazyLock::new(|| Table::parse(TABLE));

/// The builtin kinds, sorted, and whether they are namespaced.
static SCOPES: LazyLock<Vec<((&str, &str), bool)>> = LazyLock::new(|| {
    let scope = |line: &'static str| {
        let (what, key) = line.split_once(' ')?;
        matches!(what, "N" | "C").then_some((key.split_once(' ')?, what == "N"))
    };
    TABLE.lines().map_while(scope).collect()
});

impl Table {
    /// Reads the types of the table.
    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        let count = text.lines().filter(|line| line.starts_with("D ")).count();
        table.types.resize_with(count, Type::default);
        for line in text.lines() {
            let mut words = line.split(' ');
            let (what, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match what {
                "N" | "C" => {}
                "T" => {
                    let kind = words.next().unwrap_or_default();
                    let id = words.next().and_then(|n| n.parse().ok()).unwrap_or_default();
                    table.kinds.insert((first.into(), kind.into()), id);
                }
                _ => {
                    let id: usize = first.parse().unwrap_or_default();
                    table.names.insert(words.next().unwrap_or_default().into(), id);
                    for (name, text) in words.filter_map(|word| word.split_once('=')) {
                        let field = table.field_type(text);
                        if let Some(definition) = table.types.get_mut(id) {
                            definition.fields.insert(name.into(), field);
                        }
                    }
                }
            }
        }
        table
    }

    fn field_type(&mut self, text: &str) -> TypeId {
        let Some(list) = text.strip_prefix('[') else {
            return text.parse().unwrap_or_default();
        };
        let (items, keys) = list
            .split_once('@')
            .map_or((list, None), |(items, keys)| (items, Some(keys)));
        let merge = keys.map(|keys| {
            keys.split(',')
                .filter(|key| !key.is_empty())
                .map(Into::into)
                .collect()
        });
        self.add(Type {
            items: items.parse().ok(),
            merge,
            ..Type::default()
        })
    }

    fn add(&mut self, definition: Type) -> TypeId {
        self.types.push(definition);
        self.types.len() - 1
    }

    /// Adds the definitions and scopes of an OpenAPI v2 document. Definitions with a known name replace
    /// the old ones or not.
    fn add_openapi(&mut self, document: &Value, replaces: bool) {
        let definitions = document
            .get("definitions")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let new: Vec<_> = definitions
            .filter(|(name, _)| replaces || !self.names.contains_key(name.as_str()))
            .collect();
        for (name, schema) in &new {
            let id = self.add(Type::default());
            self.names.insert(name.as_str().into(), id);
            let kinds = schema
                .get("x-kubernetes-group-version-kind")
                .and_then(Value::as_array);
            for key in kinds.into_iter().flatten().filter_map(type_meta) {
                if replaces || !self.kinds.contains_key(&key) {
                    self.kinds.insert(key, id);
                }
            }
        }
        for (name, schema) in new {
            let definition = self.openapi_type(schema, 0);
            let id = self.names[name.as_str()];
            self.types[id] = definition;
        }
        for (path, item) in document
            .get("paths")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let Some(key) = item
                .pointer("/get/x-kubernetes-group-version-kind")
                .and_then(type_meta)
            else {
                continue;
            };
            let namespaced = path.contains("namespaces/{namespace}");
            let known = self.namespaced.entry(key).or_insert(namespaced);
            *known |= namespaced;
        }
    }

    fn openapi_type(&mut self, schema: &Value, depth: usize) -> Type {
        const DEEPEST: usize = 100;
        let mut definition = Type::default();
        if depth > DEEPEST {
            return definition;
        }
        for (name, field) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let id = self.openapi_ref(field, depth);
            definition.fields.insert(name.as_str().into(), id);
        }
        if let Some(field) = schema
            .get("additionalProperties")
            .filter(|field| field.is_object())
        {
            definition.any_field = Some(self.openapi_ref(field, depth));
        }
        if schema.get("type").and_then(Value::as_str) == Some("array") {
            definition.items = schema.get("items").map(|items| self.openapi_ref(items, depth));
        }
        let text = |key| schema.get(key).and_then(Value::as_str);
        let strategy = text("x-kubernetes-patch-strategy").unwrap_or_default();
        if strategy.split(',').any(|part| part == "merge") {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            definition.merge = Some(match (keys, text("x-kubernetes-patch-merge-key")) {
                (Some(keys), _) => keys.iter().filter_map(Value::as_str).map(Into::into).collect(),
                (None, Some(key)) => [key.into()].into(),
                (None, None) => Box::default(),
            });
        }
        definition
    }

    fn openapi_ref(&mut self, schema: &Value, depth: usize) -> TypeId {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|text| self.names.get(text.strip_prefix("#/definitions/")?));
        if let Some(id) = target {
            return *id;
        }
        let definition = self.openapi_type(schema, depth + 1);
        self.add(definition)
    }
}

fn type_meta(gvk: &Value) -> Option<(Box<str>, Box<str>)> {
    let text = |key| gvk.get(key).and_then(Value::as_str);
    let (version, kind) = (text("version")?, text("kind")?);
    let api_version = match text("group") {
        Some(group) if !group.is_empty() => format!("{group}/{version}"),
        _ => version.to_owned(),
    };
    Some((api_version.into(), kind.into()))
}

/// The schema of one build.
///
/// A kustomization may replace the builtin schema. The reference keeps one schema a process and loads it
/// when it is first needed, so what was loaded before the replacement stays; builds depend on that order.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    custom: Option<Value>,
    version_set: bool,
    loaded: bool,
    /// The builtin table was in use before the custom one came.
    builtin_before: bool,
    /// The builtin table was asked for, but not loaded, before the custom one came: it is loaded after it.
    builtin_after: bool,
    /// The builtin table unless a custom schema is in use.
    table: Option<Table>,
}

impl Schema {
    /// Uses the document of an `openapi.path`. Only the first one of a build counts.
    pub(crate) fn set_custom(&self, document: Value) {
        let mut state = self.state.borrow_mut();
        if state.custom.is_some() || state.version_set {
            return;
        }
        // What is loaded stays, and the custom definitions come on top.
        state.builtin_before = state.loaded;
        state.custom = Some(document);
        state.loaded = false;
    }

    /// Uses a builtin version. Only the first one of a build counts.
    ///
    /// # Errors
    ///
    /// When it is not the version that is built in.
    pub(crate) fn set_version(&self, version: &str) -> Result<(), String> {
        let mut state = self.state.borrow_mut();
        if version.is_empty() || state.custom.is_some() || state.version_set {
            return Ok(());
        }
        if version != "v1.21.2" {
            return Err(format!(
                "the OpenAPI version {version} is not built in, only v1.21.2 is"
            ));
        }
        state.version_set = true;
        Ok(())
    }

    fn load(state: &mut State) {
        if state.loaded {
            return;
        }
        state.loaded = true;
        if let Some(document) = state.custom.take() {
            let builtin = state.builtin_before || state.builtin_after;
            let mut table = if builtin {
                BUILTIN.clone()
            } else {
                Table::default()
            };
            table.add_openapi(&document, state.builtin_before || !builtin);
            state.table = Some(table);
            state.custom = Some(Value::Null);
        }
    }

    fn with_table<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        Self::load(&mut self.state.borrow_mut());
        match &self.state.borrow().table {
            Some(table) => read(table),
            None => read(&BUILTIN),
        }
    }

    /// Whether the schema knows the kind and knows it as cluster-scoped.
    pub(crate) fn is_cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        if let Ok(at) = SCOPES.binary_search_by_key(&(api_version, kind), |(key, _)| *key) {
            return !SCOPES[at].1;
        }
        let mut state = self.state.borrow_mut();
        if !state.loaded {
            if state.custom.is_none() {
                state.builtin_after = true;
                return false;
            }
            Self::load(&mut state);
        }
        state
            .table
            .as_ref()
            .and_then(|table| table.namespaced.get(&(api_version.into(), kind.into())))
            .is_some_and(|namespaced| !namespaced)
    }

    /// The type of the objects of a kind.
    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Option<TypeId> {
        self.with_table(|table| {
            table
                .kinds
                .get(&(Box::from(api_version), Box::from(kind)))
                .copied()
        })
    }

    /// The type of a field of a type.
    pub(crate) fn field(&self, id: TypeId, name: &str) -> Option<TypeId> {
        self.with_table(|table| {
            let definition = table.types.get(id)?;
            definition.fields.get(name).copied().or(definition.any_field)
        })
    }

    /// The type of the items of a list type.
    pub(crate) fn items(&self, id: TypeId) -> Option<TypeId> {
        self.with_table(|table| table.types.get(id)?.items)
    }

    /// The keys by which a list of this type merges; `None` when it is replaced as a whole.
    pub(crate) fn merge_keys(&self, id: TypeId) -> Option<Vec<String>> {
        self.with_table(|table| {
            let keys = table.types.get(id)?.merge.as_ref()?;
            Some(keys.iter().map(ToString::to_string).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn builtin_lists_merge_by_key() {
        let schema = Schema::default();
        let path = |kind: &str, fields: &[&str]| {
            let mut id = schema.kind("apps/v1", kind)?;
            for field in fields {
                id = if *field == "[]" {
                    schema.items(id)?
                } else {
                    schema.field(id, field)?
                };
            }
            schema.merge_keys(id)
        };
        let containers = ["spec", "template", "spec", "containers"];
        assert_eq!(path("Deployment", &containers), Some(vec!["name".to_owned()]));
        let ports = [&containers[..], &["[]", "ports"]].concat();
        assert_eq!(
            path("Deployment", &ports),
            Some(vec!["containerPort".to_owned(), "protocol".to_owned()])
        );
        assert_eq!(path("Deployment", &["metadata", "finalizers"]), Some(vec![]));
        assert_eq!(
            path(
                "Deployment",
                &["spec", "template", "spec", "containers", "[]", "args"]
            ),
            None
        );
    }

    #[test]
    fn scopes_are_known() {
        assert!(
            SCOPES.is_sorted() && SCOPES.len() > 80,
            "binary search needs the order"
        );
        let schema = Schema::default();
        assert!(schema.is_cluster_scoped("v1", "Namespace"));
        assert!(schema.is_cluster_scoped("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"));
        assert!(!schema.is_cluster_scoped("v1", "Pod"));
        assert!(!schema.is_cluster_scoped("example.com/v1", "Anything"));
    }

    #[test]
    fn a_custom_schema_replaces_the_builtin_one() {
        let document = json!({"definitions": {"a.Thing": {
            "x-kubernetes-group-version-kind": [{"group": "a.b", "version": "v1", "kind": "Thing"}],
            "properties": {"list": {"type": "array", "items": {"$ref": "#/definitions/a.Item"},
                "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "id"}}},
            "a.Item": {"properties": {"id": {"type": "string"}}}}});
        let schema = Schema::default();
        schema.set_custom(document);
        let thing = schema.kind("a.b/v1", "Thing").unwrap();
        let list = schema.field(thing, "list").unwrap();
        assert_eq!(schema.merge_keys(list), Some(vec!["id".to_owned()]));
        assert!(schema.field(schema.items(list).unwrap(), "id").is_some());
        assert_eq!(schema.kind("apps/v1", "Deployment"), None);
        assert!(
            schema.is_cluster_scoped("v1", "Node"),
            "scopes of builtin kinds stay known"
        );
    }
}
