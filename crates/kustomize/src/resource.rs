//! Resource: one object of a build with the names it had in earlier layers, and the list of them.

use std::collections::{BTreeMap, HashSet};

use manifest::{Node, Place, Style, Tag, yaml};

use crate::build::Context;
use crate::error::BuildError;
use crate::id::{Id, Key, is_nil_or_empty, meta};
use crate::parallel;
use crate::schema::Schema;

/// What a generator does when its object exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behavior {
    #[default]
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "create" => Self::Create,
            "replace" => Self::Replace,
            "merge" => Self::Merge,
            _ => Self::Unspecified,
        }
    }
}

/// An earlier identity of a resource. Its group and version are always those of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Previous {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// What the build remembers about a resource.
///
/// The reference keeps these facts in annotations of the object itself; see [`Resource::marked`] for the
/// one way in which that shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub previous: Vec<Previous>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub needs_hash: bool,
    pub behavior: Option<Behavior>,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
}

impl Memory {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One object of a build.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    pub node: Node,
    pub memory: Memory,
    /// The vars that read from this resource.
    pub vars: Vec<String>,
    /// Where the object comes from.
    pub place: Place,
    /// Lines of the file before the document of the object.
    pub lines_before: u32,
    /// The last link that was given to nodes of this object.
    pub last_link: u32,
    /// The labels were there when the reference last wrote its memory to the annotations, which puts those at the
    /// end of the metadata. A validator's comparison sees the order.
    pub labels_first: bool,
}

const INTERNAL: &str = "internal.config.kubernetes.io/";
const MARK: &str = "internal.config.kubernetes.io/build";

/// Annotations that the reference removes from its output, beside those of [`Memory`].
const REMOVED: [&str; 10] = [
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "internal.config.kubernetes.io/refBy",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];

// === impl Resource ===

impl Resource {
    pub(crate) fn new(node: Node) -> Self {
        let place = node.place;
        let mut resource = Self {
            node,
            memory: Memory::default(),
            vars: Vec::new(),
            place,
            lines_before: 0,
            last_link: 0,
            labels_first: false,
        };
        resource.read_memory();
        resource
    }

    /// Takes over what the input already says in the annotations of the reference.
    fn read_memory(&mut self) {
        let internal = |key: &str| key.starts_with(INTERNAL);
        let has_any = self
            .annotation_nodes()
            .iter()
            .any(|(key, _)| key.as_str().is_some_and(internal));
        if !has_any {
            return;
        }
        let annotations = self.annotations();
        let get = |name: &str| annotations.get(&format!("{INTERNAL}{name}")).map(String::as_str);
        let list = |name: &str| get(name).map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let (names, namespaces, kinds) = (
            list("previousNames"),
            list("previousNamespaces"),
            list("previousKinds"),
        );
        if let (Some(names), Some(namespaces), Some(kinds)) = (names, namespaces, kinds)
            && names.len() == namespaces.len()
            && names.len() == kinds.len()
        {
            let all = names.into_iter().zip(namespaces).zip(kinds);
            self.memory.previous = all
                .map(|((name, namespace), kind)| Previous {
                    kind,
                    name,
                    namespace,
                })
                .collect();
        }
        self.memory.prefixes = list("prefixes").unwrap_or_default();
        self.memory.suffixes = list("suffixes").unwrap_or_default();
        self.memory.needs_hash = get("needsHashSuffix") == Some("enabled");
        self.memory.behavior = get("generatorBehavior").map(Behavior::parse);
        self.memory.allow_name_change = get("allowNameChange") == Some("enabled");
        self.memory.allow_kind_change = get("allowKindChange") == Some("enabled");
    }

    pub(crate) fn is_gone(&self) -> bool {
        is_nil_or_empty(&self.node)
    }

    pub(crate) fn kind(&self) -> &str {
        self.node.get("kind").and_then(Node::as_str).unwrap_or_default()
    }

    pub(crate) fn api_version(&self) -> &str {
        self.node
            .get("apiVersion")
            .and_then(Node::as_str)
            .unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        meta(&self.node, "name")
    }

    pub(crate) fn namespace(&self) -> &str {
        meta(&self.node, "namespace")
    }

    pub(crate) fn id(&self, schema: &Schema) -> Id {
        Id::of(schema, &self.node)
    }

    /// The ids of earlier layers, oldest first.
    pub(crate) fn previous_ids(&self, schema: &Schema) -> Vec<Id> {
        let api_version = self.api_version();
        let previous = self.memory.previous.iter();
        previous
            .map(|p| Id::new(schema, api_version, &p.kind, &p.name, &p.namespace))
            .collect()
    }

    /// The id that the object had when it was loaded.
    pub(crate) fn original_id(&self, schema: &Schema) -> Id {
        match self.memory.previous.first() {
            Some(p) => Id::new(schema, self.api_version(), &p.kind, &p.name, &p.namespace),
            None => self.id(schema),
        }
    }

    /// All ids, the current one last.
    pub(crate) fn any_ids(&self, schema: &Schema) -> Vec<Id> {
        let mut ids = self.previous_ids(schema);
        ids.push(self.id(schema));
        ids
    }

    /// Remembers the current id before it changes.
    pub(crate) fn store_id(&mut self, schema: &Schema) {
        let id = self.id(schema);
        self.store(id);
    }

    /// Remembers `id`, the current one, before it changes.
    pub(crate) fn store(&mut self, id: Id) {
        let namespace = id.effective_namespace().to_owned();
        self.memory.previous.push(Previous {
            kind: id.gvk.kind,
            name: id.name,
            namespace,
        });
        self.clear_empty_annotations();
        self.move_annotations();
    }

    /// What writing its memory to the annotations does to their place in the reference: they come last.
    pub(crate) fn move_annotations(&mut self) {
        let Some(metadata) = self.node.get_mut("metadata") else {
            return;
        };
        self.labels_first = metadata.get("labels").is_some();
        if let Some(entries) = metadata.entries_mut()
            && let Some(at) = entries
                .iter()
                .position(|(key, _)| key.as_str() == Some("annotations"))
        {
            let annotations = entries.remove(at);
            entries.push(annotations);
        }
    }

    /// What writing an annotation does to an empty `annotations` in the reference.
    fn clear_empty_annotations(&mut self) {
        if let Some(metadata) = self.node.get_mut("metadata")
            && metadata
                .get("annotations")
                .is_some_and(|a| a.entries().is_empty() && a.items().is_empty())
        {
            metadata.remove("annotations");
        }
    }

    pub(crate) fn set_meta(&mut self, field: &str, value: Node) {
        let metadata = child_mapping(&mut self.node, "metadata");
        // The node was just made a mapping if it was none.
        let _ = crate::walk::set_field(metadata, field, value);
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        self.set_meta("name", Node::scalar(name));
    }

    pub(crate) fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            if let Some(metadata) = self.node.get_mut("metadata") {
                metadata.remove("namespace");
            }
        } else {
            self.set_meta("namespace", Node::scalar(namespace));
        }
    }

    fn annotation_nodes(&self) -> &[(Node, Node)] {
        self.node
            .path(&["metadata", "annotations"])
            .map(Node::entries)
            .unwrap_or_default()
    }

    /// Annotations by key, values as text.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        texts(self.annotation_nodes())
    }

    /// Labels by key, values as text.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        texts(
            self.node
                .path(&["metadata", "labels"])
                .map(Node::entries)
                .unwrap_or_default(),
        )
    }

    /// Replaces all annotations, each as a string; none removes the field.
    pub(crate) fn set_annotations(&mut self, annotations: &BTreeMap<String, String>) {
        self.set_map("annotations", annotations);
    }

    /// Replaces all labels, each as a string; none removes the field.
    pub(crate) fn set_labels(&mut self, labels: &BTreeMap<String, String>) {
        self.set_map("labels", labels);
    }

    fn set_map(&mut self, field: &str, values: &BTreeMap<String, String>) {
        let metadata = child_mapping(&mut self.node, "metadata");
        if values.is_empty() {
            metadata.remove(field);
            return;
        }
        let old = metadata.get(field);
        let place = old.as_ref().map_or_else(Place::default, |old| old.place);
        let entries = values.iter().map(|(key, value)| {
            let mut node = Node::string(value.as_str());
            if !yaml::is_string_1_1(value) && !value.is_empty() {
                node.style = Style::DoubleQuoted;
            }
            let mut name = Node::scalar(key.as_str());
            if let Some((was_key, was)) = old
                .as_ref()
                .and_then(|old| old.entries().iter().find(|(k, _)| k.as_str() == Some(key)))
            {
                name.place = was_key.place;
                node.place = was.place;
            }
            (name, node)
        });
        let map = Node {
            tag: Tag::None,
            style: old.as_ref().map_or(Style::Plain, |old| old.style),
            ..Node::mapping(entries.collect())
        }
        .with_place(place);
        // The reference makes the field anew, as the last one.
        metadata.remove(field);
        if let Some(entries) = metadata.entries_mut() {
            entries.push((Node::scalar(field), map));
        }
        self.labels_first = field == "annotations" && metadata.get("labels").is_some();
    }

    /// Runs a patch with a mark in the annotations, where the reference keeps its memory: a patch that
    /// replaces or removes all annotations makes the reference forget earlier names, and so this build.
    pub(crate) fn marked<T>(&mut self, patch: impl FnOnce(&mut Self) -> T) -> T {
        let remembers = !self.memory.is_empty();
        if remembers {
            self.clear_empty_annotations();
            let annotations = child_mapping(child_mapping(&mut self.node, "metadata"), "annotations");
            let _ = crate::walk::set_field(annotations, MARK, Node::string("x"));
        }
        let result = patch(self);
        if remembers && !self.is_gone() {
            let annotations = self
                .node
                .get_mut("metadata")
                .and_then(|metadata| metadata.get_mut("annotations"));
            if annotations
                .and_then(|annotations| annotations.remove(MARK))
                .is_none()
            {
                self.memory = Memory::default();
            } else {
                self.clear_empty_annotations();
            }
        }
        result
    }

    /// Puts the mark into the annotations of a patch that may change names: there the reference notes it,
    /// and makes texts of all annotations on the way.
    pub(crate) fn mark(&mut self) {
        let mut annotations = self.annotations();
        annotations.insert(MARK.to_owned(), "x".to_owned());
        self.set_annotations(&annotations);
    }

    /// Whether there is a memory that the reference would hold in annotations.
    pub(crate) fn remembers(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Removes what only the build needs, and makes every annotation a string.
    pub(crate) fn clean_annotations(&mut self, keep_origin: bool, keep_transformations: bool) {
        let mut annotations = self.annotations();
        let memory = |key: &str| {
            key.strip_prefix(INTERNAL).is_some_and(|name| {
                matches!(
                    name,
                    "previousKinds"
                        | "previousNames"
                        | "previousNamespaces"
                        | "prefixes"
                        | "suffixes"
                        | "needsHashSuffix"
                        | "generatorBehavior"
                        | "allowNameChange"
                        | "allowKindChange"
                )
            })
        };
        annotations.retain(|key, _| !memory(key) && !REMOVED.contains(&key.as_str()));
        if !keep_origin {
            annotations.remove(crate::origin::ORIGIN);
        }
        if !keep_transformations {
            annotations.remove(crate::origin::TRANSFORMATIONS);
        }
        self.set_annotations(&annotations);
    }
}

/// The mapping in a field, made when it is missing.
fn child_mapping<'n>(node: &'n mut Node, field: &str) -> &'n mut Node {
    if !node.is_mapping() {
        *node = Node::mapping(Vec::new()).with_place(node.place);
    }
    if node.get(field).is_none() {
        node.set(
            field,
            Node {
                tag: Tag::None,
                ..Node::mapping(Vec::new())
            },
        );
    }
    let child = match &mut node.data {
        manifest::Data::Mapping(entries) => entries
            .iter_mut()
            .find(|(key, _)| key.as_str() == Some(field))
            .map(|(_, value)| value),
        _ => None,
    };
    let child = child.expect("because the field was just set");
    if !child.is_mapping() {
        *child = Node::mapping(Vec::new()).with_place(child.place);
    }
    child
}

/// Key and value texts of a mapping; of duplicate keys the last counts.
pub(crate) fn texts(entries: &[(Node, Node)]) -> BTreeMap<String, String> {
    let text = |node: &Node| node.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

/// The resources of a layer, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResMap {
    list: Vec<Resource>,
    /// The keys of the current ids, while nothing but additions happens.
    index: Option<HashSet<Key>>,
}

impl ResMap {
    pub(crate) fn list(&self) -> &[Resource] {
        &self.list
    }

    pub(crate) fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.index = None;
        &mut self.list
    }

    pub(crate) fn into_list(self) -> Vec<Resource> {
        self.list
    }

    /// Changes each resource by itself, all of them at once.
    ///
    /// # Errors
    ///
    /// Why the first one that cannot be changed is not.
    pub(crate) fn each(
        &mut self,
        context: &Context<'_>,
        change: impl Fn(&mut Resource) -> Result<(), String> + Sync,
    ) -> crate::error::Result<()> {
        let changed = parallel::change(self.list_mut(), parallel::OBJECTS, change);
        changed.map_err(|(at, why)| {
            let error = BuildError::new(why);
            context.located(self.list[at].place, error).into()
        })
    }

    /// Adds a resource at the end.
    ///
    /// # Errors
    ///
    /// When its id is taken.
    pub(crate) fn append(&mut self, schema: &Schema, resource: Resource) -> Result<(), String> {
        let id = resource.id(schema);
        let list = &self.list;
        let index = self
            .index
            .get_or_insert_with(|| list.iter().map(|r| r.id(schema).key()).collect());
        if !index.insert(id.key()) {
            return Err(format!(
                "may not add resource with an already registered id: {id}"
            ));
        }
        self.list.push(resource);
        Ok(())
    }

    /// Fails when two resources have the same id.
    pub(crate) fn check_ids(&self, schema: &Schema) -> Result<(), String> {
        let mut seen = HashSet::with_capacity(self.list.len());
        for id in self.list.iter().map(|resource| resource.id(schema)) {
            if !seen.insert(id.key()) {
                return Err(format!(
                    "may not add resource with an already registered id: {id}"
                ));
            }
        }
        Ok(())
    }

    /// The positions of the resources that have, or had, an id with this name that matches.
    pub(crate) fn matching_any(
        &self,
        schema: &Schema,
        name: &str,
        matches: impl Fn(&Id) -> bool,
    ) -> Vec<usize> {
        // Ids cost more than names.
        let is_named = |resource: &Resource| {
            resource.name() == name || resource.memory.previous.iter().any(|id| id.name == name)
        };
        let matches = |id: &Id| id.name == name && matches(id);
        let found = |resource: &Resource| {
            is_named(resource) && !resource.is_gone() && resource.any_ids(schema).iter().any(matches)
        };
        self.list
            .iter()
            .enumerate()
            .filter(|(_, r)| found(r))
            .map(|(at, _)| at)
            .collect()
    }

    pub(crate) fn drop_gone(&mut self) {
        if self.list.iter().any(Resource::is_gone) {
            self.list_mut().retain(|resource| !resource.is_gone());
        }
    }
}
