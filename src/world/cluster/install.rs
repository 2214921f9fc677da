//! Installation: gitsync's own objects in a cluster, put there and taken away by a person's command.

use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PropagationPolicy,
};
use manifest::{Gvk, Manifest};

use super::{Cluster, ClusterError};
use crate::record::NAMESPACE;
use crate::report::install::{LABEL, NAME};

/// The field manager of installed objects: the daemon's own is another, so the daemon never owns its own rights.
const MANAGER: &str = "gitsync-install";

/// The kinds that an installation has, callers before what they need: group, kind, and whether only gitsync's own
/// namespace holds them.
const KINDS: [(&str, &str, bool); 10] = [
    ("apps/v1", "Deployment", true),
    ("monitoring.coreos.com/v1", "PodMonitor", true),
    ("networking.k8s.io/v1", "NetworkPolicy", true),
    ("policy/v1", "PodDisruptionBudget", true),
    ("v1", "Service", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", false),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", false),
    ("rbac.authorization.k8s.io/v1", "Role", false),
    ("v1", "ServiceAccount", true),
];

/// An object of an installation.
#[derive(Debug, Clone)]
pub struct Installed {
    resource: ApiResource,
    namespace: String,
    name: String,
}

impl Cluster {
    /// Applies an object of an installation.
    ///
    /// # Errors
    ///
    /// When the cluster refuses, does not serve the kind, or cannot be asked.
    pub async fn install(&self, object: &Manifest) -> Result<Installed, ClusterError> {
        let resource = self.resource(&object.gvk()).await?.ok_or_else(|| {
            let message = format!("the cluster serves no kind {}", object.gvk().kind);
            ClusterError::Objects(crate::problem::Problem::new(message).object(&object.id()).into())
        })?;
        let api = self.api(&resource, object.namespace());
        let params = PatchParams::apply(MANAGER).force();
        self.request(api.patch(object.name(), &params, &Patch::Apply(object.value())))
            .await?;
        Ok(Installed {
            resource: resource.api,
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
        })
    }

    /// The objects of an installation, in the order in which they are to go.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub async fn installed(&self) -> Result<Vec<Installed>, ClusterError> {
        let (label, value) = LABEL;
        let params = ListParams::default().labels(&format!("{label}={value},app.kubernetes.io/name={NAME}"));
        let mut found = Vec::new();
        for (api_version, kind, own) in KINDS {
            let Some(resource) = self.resource(&Gvk::new(api_version, kind)).await? else {
                continue;
            };
            let api: Api<DynamicObject> = if own {
                self.api(&resource, NAMESPACE)
            } else {
                Api::all_with(self.client.clone(), &resource.api)
            };
            for object in self.request(api.list(&params)).await?.items {
                found.push(Installed {
                    resource: resource.api.clone(),
                    namespace: object.metadata.namespace.unwrap_or_default(),
                    name: object.metadata.name.unwrap_or_default(),
                });
            }
        }
        Ok(found)
    }

    /// Deletes an object of an installation; one that is gone is no error.
    ///
    /// # Errors
    ///
    /// When the cluster refuses or cannot be asked.
    pub async fn uninstall(&self, installed: &Installed) -> Result<(), ClusterError> {
        let api: Api<DynamicObject> = if installed.namespace.is_empty() {
            Api::all_with(self.client.clone(), &installed.resource)
        } else {
            Api::namespaced_with(self.client.clone(), &installed.namespace, &installed.resource)
        };
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        match self.request(api.delete(&installed.name, &params)).await {
            Err(ClusterError::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// What gitsync's namespace still holds that an installation did not bring: records, Leases and Secrets.
    ///
    /// # Errors
    ///
    /// When it cannot be listed.
    pub async fn remains(&self) -> Result<Vec<String>, ClusterError> {
        let mut found = Vec::new();
        for (api_version, kind) in [
            ("v1", "ConfigMap"),
            ("coordination.k8s.io/v1", "Lease"),
            ("v1", "Secret"),
        ] {
            let Some(resource) = self.resource(&Gvk::new(api_version, kind)).await? else {
                continue;
            };
            let listed = self
                .request(
                    self.api(&resource, NAMESPACE)
                        .list_metadata(&ListParams::default()),
                )
                .await?;
            let names = listed.items.into_iter().filter_map(|object| object.metadata.name);
            let own = names.filter(|name| name != "kube-root-ca.crt");
            found.extend(own.map(|name| format!("{}/{name}", kind.to_lowercase())));
        }
        Ok(found)
    }
}

// === impl Installed ===

impl std::fmt::Display for Installed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.resource.kind.to_lowercase(), self.name)?;
        if !self.namespace.is_empty() {
            write!(f, " in {}", self.namespace)?;
        }
        Ok(())
    }
}
