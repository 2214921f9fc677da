//! Observation: what a cluster holds of the desired objects, and what applying them would make of it.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use manifest::{Gvk, Manifest, ObjectId};
use serde_json::{Value, json};

use super::error::object_problems;
use super::{CONCURRENCY, Cluster, ClusterError, FIELD_MANAGER, Resource};
use crate::diff::{self, Change, Diff, ObjectDiff};
use crate::live::{ENVIRONMENT_LABEL, Inventory};
use crate::model::EnvName;
use crate::problem::{Problem, Problems};

/// A desired object, and what the cluster says of it.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Which object, with the namespace that it really has.
    pub id: ObjectId,
    /// Its group, version and kind.
    pub gvk: Gvk,
    /// How the cluster serves it; `None` while its CRD is part of the same change.
    pub resource: Option<Resource>,
    /// The object as it is applied: as rendered, with its namespace and the environment's label.
    pub body: Value,
    /// The live object, if it exists.
    pub live: Option<Value>,
}

/// An environment as its cluster shows it.
#[derive(Debug, Clone, Default)]
pub struct Observation {
    /// The desired objects.
    pub objects: Vec<Observed>,
    /// What would happen to them, in the same order; pruned ones follow.
    pub diff: Diff,
    /// Live objects that git no longer has.
    pub leftovers: Vec<Leftover>,
}

/// A live object of the inventory that git no longer has.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// Which object.
    pub id: ObjectId,
    /// How the cluster serves it.
    pub resource: Resource,
    /// The live object.
    pub live: Value,
}

impl Cluster {
    /// Compares the desired objects of an environment with what is live. Nothing is changed.
    ///
    /// Every object is read and dry-run, side by side, before anything is said, so that all problems come at once.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or refuses objects: then with every problem of every object.
    pub async fn observe(
        &self,
        environment: &EnvName,
        desired: &[Manifest],
        inventory: &Inventory,
    ) -> Result<Observation, ClusterError> {
        let mut located = self.locate(environment, desired).await?;
        let changes = self.read_and_dry_run(desired, &mut located).await?;
        let mut diff = Diff::default();
        for ((observed, manifest), change) in located.iter().zip(desired).zip(changes) {
            diff.objects.push(ObjectDiff {
                id: observed.id.clone(),
                gvk: observed.gvk.clone(),
                origin: Some(manifest.origin().clone()),
                change,
            });
        }
        let leftovers = self.leftovers(&located, inventory).await?;
        for leftover in &leftovers {
            let gvk = Gvk::new(&leftover.resource.api.api_version, &leftover.resource.api.kind);
            let change = Change::Prune(crate::live::normalise(&leftover.live));
            diff.objects.push(ObjectDiff {
                id: leftover.id.clone(),
                gvk,
                origin: None,
                change,
            });
        }
        Ok(Observation {
            objects: located,
            diff,
            leftovers,
        })
    }

    /// Finds how each object is served and which namespace it really has.
    async fn locate(
        &self,
        environment: &EnvName,
        desired: &[Manifest],
    ) -> Result<Vec<Observed>, ClusterError> {
        let coming: BTreeSet<(String, String)> = desired.iter().filter_map(defined_kind).collect();
        let (mut located, mut problems) = (Vec::with_capacity(desired.len()), Problems::default());
        for manifest in desired {
            let gvk = manifest.gvk();
            let resource = self.resource(&gvk).await?;
            if resource.is_none() && !coming.contains(&(gvk.group.clone(), gvk.kind.clone())) {
                problems.0.push(self.unknown_kind(manifest, &gvk));
                continue;
            }
            let namespaced = resource.as_ref().is_none_or(|resource| resource.namespaced);
            let (id, body) = self.place(environment, manifest, namespaced);
            located.push(Observed {
                id,
                gvk,
                resource,
                body,
                live: None,
            });
        }
        problems.into_result().map_err(ClusterError::Objects)?;
        Ok(located)
    }

    fn unknown_kind(&self, manifest: &Manifest, gvk: &Gvk) -> Problem {
        let message = format!(
            "cluster {} serves no kind {} of {}",
            self.name,
            gvk.kind,
            gvk.api_version()
        );
        let hint = format!(
            "install its CRD, or look for the right version: kubectl --context {} api-resources",
            self.name
        );
        let origin = manifest.line_of("/kind");
        Problem::new(message)
            .at(origin.as_ref().or(Some(manifest.origin())))
            .object(&manifest.id())
            .hint(hint)
    }

    fn place(&self, environment: &EnvName, manifest: &Manifest, namespaced: bool) -> (ObjectId, Value) {
        let (mut id, mut body) = (manifest.id(), manifest.value().clone());
        if !namespaced {
            id.namespace.clear();
        } else if id.namespace.is_empty() {
            id.namespace.clone_from(&self.default_namespace);
            body["metadata"]["namespace"] = json!(self.default_namespace);
        }
        if !body["metadata"]["labels"].is_object() {
            body["metadata"]["labels"] = json!({});
        }
        body["metadata"]["labels"][ENVIRONMENT_LABEL] = json!(environment.as_str());
        (id, body)
    }

    async fn read_and_dry_run(
        &self,
        desired: &[Manifest],
        located: &mut [Observed],
    ) -> Result<Vec<Change>, ClusterError> {
        let new_namespaces: BTreeSet<String> = desired
            .iter()
            .filter(|m| m.gvk() == Gvk::new("v1", "Namespace"))
            .map(|m| m.name().to_owned())
            .collect();
        let looks: Vec<_> = located
            .iter()
            .map(|observed| self.look_at(observed, &new_namespaces))
            .collect();
        let outcomes: Vec<_> = stream::iter(looks).buffered(CONCURRENCY).collect().await;
        let (mut changes, mut problems) = (Vec::with_capacity(located.len()), Problems::default());
        for ((outcome, observed), manifest) in outcomes.into_iter().zip(located.iter_mut()).zip(desired) {
            match outcome {
                Ok((live, change)) => {
                    observed.live = live;
                    changes.push(change);
                }
                Err(ClusterError::Api(status)) => {
                    problems
                        .0
                        .extend(object_problems(manifest, &observed.id, &status))
                }
                Err(other) => return Err(other),
            }
        }
        problems.into_result().map_err(ClusterError::Objects)?;
        Ok(changes)
    }

    /// The live object, and what applying the desired one would make of it.
    async fn look_at(
        &self,
        observed: &Observed,
        new_namespaces: &BTreeSet<String>,
    ) -> Result<(Option<Value>, Change), ClusterError> {
        let Some(resource) = &observed.resource else {
            return Ok((None, diff::compare(None, &observed.body)));
        };
        let api = self.api(resource, &observed.id.namespace);
        let live = self
            .request(api.get_opt(&observed.id.name))
            .await?
            .map(|object| to_value(&object));
        if live.is_none()
            && new_namespaces.contains(&observed.id.namespace)
            && !self.namespace_exists(&observed.id.namespace).await?
        {
            // The server could only say that the namespace is missing, and the same change brings it.
            return Ok((None, diff::compare(None, &observed.body)));
        }
        let params = PatchParams {
            dry_run: true,
            ..apply_params()
        };
        let after = self
            .request(api.patch(&observed.id.name, &params, &Patch::Apply(&observed.body)))
            .await?;
        let change = diff::compare(live.as_ref(), &to_value(&after));
        Ok((live, change))
    }

    async fn namespace_exists(&self, name: &str) -> Result<bool, ClusterError> {
        let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(self.client.clone());
        Ok(self.request(api.get_metadata_opt(name)).await?.is_some())
    }

    async fn leftovers(
        &self,
        located: &[Observed],
        inventory: &Inventory,
    ) -> Result<Vec<Leftover>, ClusterError> {
        let wanted: BTreeSet<&ObjectId> = located.iter().map(|observed| &observed.id).collect();
        let mut found = Vec::new();
        for (id, version) in inventory.iter().filter(|(id, _)| !wanted.contains(id)) {
            let gvk = Gvk {
                group: id.group.clone(),
                version: version.to_owned(),
                kind: id.kind.clone(),
            };
            // A kind that is no longer served has no objects left.
            let Some(resource) = self.resource(&gvk).await? else {
                continue;
            };
            let api = self.api(&resource, &id.namespace);
            if let Some(object) = self.request(api.get_opt(&id.name)).await? {
                found.push(Leftover {
                    id: id.clone(),
                    resource,
                    live: to_value(&object),
                });
            }
        }
        Ok(found)
    }
}

/// How gitsync applies: as the owner, forcing, with strict validation of fields.
///
/// Forcing is what heals drift: a hand edit makes somebody else the owner of the field, and git still decides.
pub(super) fn apply_params() -> PatchParams {
    PatchParams {
        force: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    }
}

/// A dynamic object as JSON.
pub(super) fn to_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// The group and kind that a CRD in git would bring.
fn defined_kind(manifest: &Manifest) -> Option<(String, String)> {
    if manifest.gvk().kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| {
        manifest
            .value()
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}
