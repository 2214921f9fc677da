//! Resource id: what names a resource inside a build, now or in an earlier layer.

use std::fmt;

use manifest::{Gvk, Node};

use crate::schema::Schema;

/// The namespace of ids of cluster-scoped kinds.
pub(crate) const NO_NAMESPACE: &str = "_non_namespaceable_";
/// The namespace of ids that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Type, name and namespace of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Id {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub cluster_scoped: bool,
}

impl Id {
    pub(crate) fn new(schema: &Schema, api_version: &str, kind: &str, name: &str, namespace: &str) -> Self {
        Self {
            gvk: Gvk::new(api_version, kind),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            cluster_scoped: schema.is_cluster_scoped(api_version, kind),
        }
    }

    /// The id of an object as it is now.
    pub(crate) fn of(schema: &Schema, node: &Node) -> Self {
        let text = |key| node.get(key).and_then(Node::as_str).unwrap_or_default();
        Self::new(
            schema,
            text("apiVersion"),
            text("kind"),
            meta(node, "name"),
            meta(node, "namespace"),
        )
    }

    /// The namespace for comparing ids: none is `default`.
    pub(crate) fn effective_namespace(&self) -> &str {
        if self.cluster_scoped {
            NO_NAMESPACE
        } else if self.namespace.is_empty() {
            DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// The same object: equal but for how the default namespace is written.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.gvk == other.gvk
            && self.name == other.name
            && self.effective_namespace() == other.effective_namespace()
    }

    /// A key that is equal for ids of the same object.
    pub(crate) fn key(&self) -> Key {
        let Gvk { group, version, kind } = &self.gvk;
        Key([group, version, kind, &self.name, self.effective_namespace()]
            .join("\0")
            .into())
    }
}

/// See [`Id::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(Box<str>);

/// `Deployment.apps/v1 shop/web`
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.gvk)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// The text of a field of `metadata`; empty when it is missing or empty.
pub(crate) fn meta<'n>(node: &'n Node, field: &str) -> &'n str {
    let value = node.get("metadata").and_then(|metadata| metadata.get(field));
    value
        .filter(|value| !is_nil_or_empty(value))
        .and_then(Node::as_str)
        .unwrap_or_default()
}

/// Whether a node counts as absent: null, or a collection without content.
pub(crate) fn is_nil_or_empty(node: &Node) -> bool {
    node.is_null()
        || (node.is_mapping() && node.entries().is_empty())
        || (node.is_sequence() && node.items().is_empty())
}
