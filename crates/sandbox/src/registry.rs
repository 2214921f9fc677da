//! Registry: which kinds the API serves, under which names, and what each of them does at the points of a request.
//!
//! A builtin kind comes from [`crate::kinds`], a custom one from its CustomResourceDefinition. The order of the
//! hooks in a request is the order of a real server's registry strategies:
//!
//! ```text
//! create:  default → prepare_for_create → validate_create → store
//! update:  default → prepare_for_update → validate_update → store
//! status:  default → (spec and labels stay as they are) → prepare_for_status → validate_status → store
//! read:    table             for the table that `kubectl get` prints
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde_json::Value;

use crate::client::Client;
use crate::clock::Clock;
use crate::crd::Structural;
use crate::schema::{Node, Schema, Type};
use crate::status::{FieldError, Status, qualified};

/// One served kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version, as `v1`.
    pub version: String,
    /// The kind, as `Deployment`.
    pub kind: String,
    /// The resource, as `deployments`.
    pub plural: String,
    /// The resource in the singular, as `deployment`.
    pub singular: String,
    /// Other names on the command line, as `deploy`.
    pub short_names: Vec<String>,
    /// Groups of kinds on the command line, as `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What may be asked.
    pub verbs: Verbs,
    /// The paths below an object.
    pub subresources: Vec<Subresource>,
    /// Paths of fields that a field selector may name, beside `metadata.name` and `metadata.namespace`.
    pub selectable: Vec<String>,
    /// Whether an update has to tell the resource version that it replaces.
    pub insists_on_version: bool,
    /// Whether an update makes an object that is not there.
    pub created_by_update: bool,
    /// What happens at the points of a request.
    pub hooks: Hooks,
    /// The schema of a custom kind.
    pub structural: Option<Arc<Structural>>,
    /// The type of a builtin kind.
    pub(crate) of: Option<Type>,
}

/// What may be asked of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// Everything.
    All,
    /// Only `create`: reviews, which answer and store nothing.
    Create,
    /// Everything but `deletecollection`: namespaces, services.
    NoDeleteCollection,
}

/// A path below an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// `/status`: the same object, of which only the status changes.
    Status,
    /// `/scale`: an `autoscaling/v1` Scale made of three fields of the object.
    Scale(ScalePaths),
    /// `/log` of pods.
    Log,
    /// `/eviction` of pods.
    Eviction,
    /// `/binding` of pods.
    Binding,
    /// `/token` of accounts.
    Token,
    /// `/finalize` of namespaces.
    Finalize,
    /// `/approval` and others that behave as an update of the object.
    Plain(&'static str),
}

/// Where a Scale finds its fields, as JSON pointers into the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// `/spec/replicas`.
    pub spec: String,
    /// `/status/replicas`.
    pub status: String,
    /// `/spec/selector`, a label selector or its text; none if the kind tells no selector.
    pub selector: Option<String>,
}

/// One column of the table that `kubectl get` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading, as `Ready`.
    pub name: String,
    /// `string`, `integer`, `date` and so on.
    pub kind: String,
    /// `name` for the name's column; empty else.
    pub format: String,
    /// The help text.
    pub description: String,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: u8,
}

/// One column of a builtin kind's table, with the cell that an object has in it at a time.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The heading.
    pub name: &'static str,
    /// `string`, `integer`, `date` and so on.
    pub kind: &'static str,
    /// Whether it is shown with `-o wide` only.
    pub is_wide: bool,
    /// The cell.
    pub value: fn(&Value, Timestamp) -> Value,
}

/// What a hook may know beside the object: the other objects, and the time. It must not write.
#[derive(Clone, Debug)]
pub struct Context {
    /// The objects.
    pub client: Client,
    /// The time.
    pub clock: Clock,
}

/// What happens at the points of a request; each is a plain function, and [`Hooks::default`] does the usual.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Fills what the user has left out. Sees every object that is written.
    pub default: fn(&mut Value),
    /// Resets what a user may not set (status, generation), and allocates (cluster IP, ports).
    pub prepare_for_create: fn(&mut Value, &Context) -> Result<(), Status>,
    /// As for a create; gets the new object and the one that it replaces.
    pub prepare_for_update: fn(&mut Value, &Value, &Context) -> Result<(), Status>,
    /// As for an update, for the status subresource. The spec has been reset already.
    pub prepare_for_status: fn(&mut Value, &Value),
    /// What is wrong with a new object.
    pub validate_create: fn(&Value) -> Vec<FieldError>,
    /// What is wrong with the new object, given the old one: `(new, old)`.
    pub validate_update: fn(&Value, &Value) -> Vec<FieldError>,
    /// What is wrong with a new status: `(new, old)`.
    pub validate_status: fn(&Value, &Value) -> Vec<FieldError>,
    /// The table that `kubectl get` prints.
    pub table: &'static [Cell],
    /// What `/log` of a pod answers.
    pub log: fn(&Value, &LogQuery, &Context) -> Result<String, Status>,
}

/// What a reader of a pod's log asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// The container; none if the pod has but one.
    pub container: Option<String>,
    /// Whether the container's former instance is meant.
    pub previous: bool,
    /// Only so many lines of the end.
    pub tail_lines: Option<usize>,
    /// Only the last seconds.
    pub since_seconds: Option<i64>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}

/// The kinds that are served now.
#[derive(Debug, Default)]
pub struct Registry {
    kinds: RwLock<BTreeMap<String, Vec<Arc<Kind>>>>,
}

// === impl Kind ===

impl Kind {
    /// A namespaced kind with all verbs, a status subresource, and the usual hooks.
    pub fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            verbs: Verbs::All,
            subresources: Vec::new(),
            selectable: Vec::new(),
            insists_on_version: false,
            created_by_update: false,
            hooks: Hooks::default(),
            structural: None,
            of: Schema::builtin().type_of(group, version, kind),
        }
    }

    /// The type of its objects; none if nothing is known about them.
    pub(crate) fn node(&self) -> Option<Node<'_>> {
        match &self.structural {
            Some(custom) => Some(custom.node()),
            None => self.of.as_ref().map(|of| Schema::builtin().node(of)),
        }
    }

    /// Fills what the user has left out.
    pub(crate) fn default(&self, object: &mut Value) {
        match &self.structural {
            Some(custom) => custom.default(object),
            None => {
                if self.resource() == crate::crd::RESOURCE {
                    crate::crd::default_definition(object);
                }
                (self.hooks.default)(object);
            }
        }
    }

    /// The columns of the table.
    pub(crate) fn columns(&self) -> Vec<Column> {
        match &self.structural {
            Some(custom) => custom.columns(),
            None => self.hooks.table.iter().map(Cell::column).collect(),
        }
    }

    /// The cells of an object's row.
    pub(crate) fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.structural {
            Some(custom) => custom.row(object, now),
            None => self
                .hooks
                .table
                .iter()
                .map(|cell| (cell.value)(object, now))
                .collect(),
        }
    }

    /// Resets what a user may not set, and allocates.
    pub(crate) fn prepare_for_create(&self, object: &mut Value, context: &Context) -> Result<(), Status> {
        if self.structural.is_some() {
            crate::crd::prepare_for_create(self, object);
        }
        if self.resource() == crate::crd::RESOURCE {
            crate::crd::complete(object, &context.clock.stamp());
        }
        (self.hooks.prepare_for_create)(object, context)
    }

    /// The same for an update.
    pub(crate) fn prepare_for_update(
        &self,
        object: &mut Value,
        old: &Value,
        context: &Context,
    ) -> Result<(), Status> {
        if self.structural.is_some() {
            crate::crd::prepare_for_update(self, object, old);
        }
        if self.resource() == crate::crd::RESOURCE {
            crate::crd::complete(object, &context.clock.stamp());
        }
        (self.hooks.prepare_for_update)(object, old, context)
    }

    /// What is wrong with a new object.
    pub(crate) fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = self
            .structural
            .as_ref()
            .map(|custom| custom.validate(object))
            .unwrap_or_default();
        if self.resource() == crate::crd::RESOURCE {
            errors.extend(crate::crd::validate_definition(object));
        }
        errors.extend((self.hooks.validate_create)(object));
        errors
    }

    /// What is wrong with a changed object.
    pub(crate) fn validate_update(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self
            .structural
            .as_ref()
            .map(|custom| custom.validate(object))
            .unwrap_or_default();
        errors.extend((self.hooks.validate_update)(object, old));
        errors
    }

    /// What is wrong with a changed status.
    pub(crate) fn validate_status(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self
            .structural
            .as_ref()
            .map(|custom| custom.validate(object))
            .unwrap_or_default();
        errors.extend((self.hooks.validate_status)(object, old));
        errors
    }

    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource with its group, as `deployments.apps`: the name under which [`Client`] knows the kind.
    pub fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Whether there is such a path below an object.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|one| one.name() == name)
    }
}

// === impl Subresource ===

impl Subresource {
    /// The last part of its path.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale(_) => "scale",
            Self::Log => "log",
            Self::Eviction => "eviction",
            Self::Binding => "binding",
            Self::Token => "token",
            Self::Finalize => "finalize",
            Self::Plain(name) => name,
        }
    }
}

// === impl Column ===

impl Column {
    /// A column that is always shown. The kind is `string`, `integer`, `date` and so on.
    pub fn new(name: &str, kind: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: if name == "Name" {
                "name".to_owned()
            } else {
                String::new()
            },
            description: description.to_owned(),
            priority: 0,
        }
    }

    /// The same column, shown with `-o wide` only.
    #[must_use = "the column is given back"]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

// === impl Hooks ===

impl Default for Hooks {
    fn default() -> Self {
        Self {
            default: |_| (),
            prepare_for_create: |_, _| Ok(()),
            prepare_for_update: |_, _, _| Ok(()),
            prepare_for_status: |_, _| (),
            validate_create: |_| Vec::new(),
            validate_update: |_, _| Vec::new(),
            validate_status: |_, _| Vec::new(),
            table: &NAME_AND_AGE,
            log: |_, _, _| Ok(String::new()),
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}

/// The table of a kind that has none of its own.
const NAME_AND_AGE: [Cell; 2] = [
    Cell::new("Name", "string", |object, _| object["metadata"]["name"].clone()),
    Cell::new("Created At", "date", |object, _| {
        object["metadata"]["creationTimestamp"].clone()
    }),
];

// === impl Cell ===

impl Cell {
    /// A cell that is always shown. The kind is `string`, `integer`, `date` and so on.
    pub const fn new(name: &'static str, kind: &'static str, value: fn(&Value, Timestamp) -> Value) -> Self {
        Self {
            name,
            kind,
            is_wide: false,
            value,
        }
    }

    /// A cell that is shown with `-o wide` only.
    pub const fn wide(name: &'static str, kind: &'static str, value: fn(&Value, Timestamp) -> Value) -> Self {
        Self {
            is_wide: true,
            ..Self::new(name, kind, value)
        }
    }

    fn column(&self) -> Column {
        let column = Column::new(self.name, self.kind, "");
        if self.is_wide { column.wide() } else { column }
    }
}

// === impl Registry ===

impl Registry {
    /// A registry of these kinds. Of several versions of a resource, the first one is preferred.
    pub fn new(kinds: Vec<Kind>) -> Self {
        let registry = Self::default();
        for kind in kinds {
            registry.add(kind);
        }
        registry
    }

    /// Serves a kind, in place of the same version of it if there was one.
    pub fn add(&self, kind: Kind) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        let versions = kinds.entry(kind.resource()).or_default();
        match versions.iter_mut().find(|other| other.version == kind.version) {
            Some(other) => *other = Arc::new(kind),
            None => versions.push(Arc::new(kind)),
        }
    }

    /// Serves these kinds, which are all versions of one resource, and no other versions of it.
    pub(crate) fn replace(&self, versions: Vec<Kind>) {
        let Some(resource) = versions.first().map(Kind::resource) else {
            return;
        };
        let versions = versions.into_iter().map(Arc::new).collect();
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        kinds.insert(resource, versions);
    }

    /// Serves a resource, written `deployments.apps`, no longer.
    pub fn remove(&self, resource: &str) {
        let mut kinds = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
        kinds.remove(resource);
    }

    /// A resource in its preferred version, written `deployments.apps`.
    pub fn resource(&self, resource: &str) -> Option<Arc<Kind>> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(resource)?.first().cloned()
    }

    /// A resource of a group and version.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let versions = kinds.get(&qualified(plural, group))?;
        versions.iter().find(|kind| kind.version == version).cloned()
    }

    /// All versions of all kinds, by resource.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        kinds.values().flatten().cloned().collect()
    }
}
