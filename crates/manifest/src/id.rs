//! Object id: what names one object in a cluster, whatever version its API is spoken in.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Group, version and kind of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// API version such as `v1`; empty when the object has none.
    pub version: String,
    /// Kind such as `Deployment`.
    pub kind: String,
}

impl Gvk {
    /// Splits an `apiVersion` at its slash.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// The `apiVersion` of an object of this type.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for part in [&self.version, &self.group] {
            if !part.is_empty() {
                write!(f, ".{part}")?;
            }
        }
        Ok(())
    }
}

/// The name of one object: group, kind, namespace and name, but no version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind such as `Deployment`.
    pub kind: String,
    /// Namespace; empty for none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Prints like kubectl: `Deployment.apps default/web`, `Namespace web`.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            kind,
            namespace,
            name,
        } = self;
        f.write_str(kind)?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        f.write_str(" ")?;
        if !namespace.is_empty() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(name)
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

impl ObjectId {
    /// The id in the text of an inventory: `<namespace>_<name>_<group>_<kind>`.
    ///
    /// The format is that of `ObjMetadata` of sigs.k8s.io/cli-utils, where the colons that only names of
    /// RBAC objects may hold are written `__`.
    pub fn to_inventory(&self) -> String {
        let Self {
            group,
            kind,
            namespace,
            name,
        } = self;
        if group == RBAC {
            format!("{namespace}_{}_{group}_{kind}", name.replace(':', "__"))
        } else {
            format!("{namespace}_{name}_{group}_{kind}")
        }
    }

    /// Reads the text that [`ObjectId::to_inventory`] writes.
    ///
    /// # Errors
    ///
    /// When there are not four fields, or the kind or the name is empty.
    pub fn from_inventory(text: &str) -> Result<Self, IdError> {
        let bad = || IdError {
            text: text.to_owned(),
        };
        let (namespace, rest) = text.split_once('_').ok_or_else(bad)?;
        let (rest, kind) = rest.rsplit_once('_').ok_or_else(bad)?;
        let (name, group) = rest.rsplit_once('_').ok_or_else(bad)?;
        let name = if group == RBAC {
            name.replace("__", ":")
        } else {
            name.to_owned()
        };
        if name.is_empty() || kind.is_empty() || name.contains('_') {
            return Err(bad());
        }
        Ok(Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name,
        })
    }
}

impl FromStr for ObjectId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_inventory(text)
    }
}

/// A text that is no inventory id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("inventory id {text:?} is not <namespace>_<name>_<group>_<kind>")]
pub struct IdError {
    /// The text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_id(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
        ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn ids_print_and_round_trip() {
        let rows = [
            (
                mk_id("apps", "Deployment", "default", "web"),
                "Deployment.apps default/web",
                "default_web_apps_Deployment",
            ),
            (
                mk_id("", "Namespace", "", "web"),
                "Namespace web",
                "_web__Namespace",
            ),
            (
                mk_id("", "Service", "a", "web"),
                "Service a/web",
                "a_web__Service",
            ),
            (
                mk_id(RBAC, "ClusterRole", "", "system:node"),
                "ClusterRole.rbac.authorization.k8s.io system:node",
                "_system__node_rbac.authorization.k8s.io_ClusterRole",
            ),
        ];
        for (id, shown, inventory) in rows {
            assert_eq!(id.to_string(), shown);
            assert_eq!(id.to_inventory(), inventory);
            assert_eq!(inventory.parse(), Ok(id));
        }
    }

    #[test]
    fn broken_inventory_ids_are_refused() {
        for text in [
            "",
            "a",
            "a_b",
            "a_b_c",
            "___",
            "a__b_Kind",
            "ns_name_group_",
            "ns_a_b_group_Kind",
        ] {
            assert!(ObjectId::from_inventory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn api_version_round_trips() {
        for text in ["v1", "apps/v1"] {
            assert_eq!(Gvk::new(text, "X").api_version(), text);
        }
        assert_eq!(
            Gvk::new("apps/v1", "Deployment").to_string(),
            "Deployment.v1.apps"
        );
    }
}
