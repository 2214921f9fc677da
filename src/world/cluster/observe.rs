//! Observation: what a cluster holds of the desired objects, and what applying them would make of it.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{Patch, PatchParams, ValidationDirective};
use manifest::{Gvk, Manifest, ObjectId};
use serde_json::{Value, json};

use super::error::object_problems;
use super::known::{Answer, BodyHash, Known, body_hash};
use super::read::to_value;
use super::{CONCURRENCY, Cluster, ClusterError, FIELD_MANAGER, Resource};
use crate::diff::{self, Change, Diff, ObjectDiff};
use crate::live::applied::is_applied;
use crate::live::{ENVIRONMENT_LABEL, Inventory};
use crate::model::EnvName;
use crate::problem::{Problem, Problems};
use crate::verify::rollout::{Progress, progress};

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
    /// The live object, if it exists and was read.
    pub live: Option<Value>,
    /// How far the live object is; `None` when it does not exist.
    pub progress: Option<Progress>,
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
    /// What is not `known` from watches is read, and what does not show by itself that it is as git asks is dry-run,
    /// side by side. Nothing is said before everything was looked at, so that all problems come at once.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or refuses objects: then with every problem of every object.
    pub async fn observe(
        &self,
        environment: &EnvName,
        desired: &[Manifest],
        inventory: &Inventory,
        known: Option<&Known>,
    ) -> Result<Observation, ClusterError> {
        let mut located = self.locate(environment, desired).await?;
        let hashes = self.find(environment, &mut located, known).await?;
        let changes = self.compare(desired, &located).await?;
        if let Some(known) = known {
            remember(known, &located, &changes, &hashes);
        }
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
                progress: None,
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

    /// Fills in what is live: from the watches what they know, and the rest by reading it.
    async fn find(
        &self,
        environment: &EnvName,
        located: &mut [Observed],
        known: Option<&Known>,
    ) -> Result<Vec<BodyHash>, ClusterError> {
        let hashes: Vec<BodyHash> = located.iter().map(|observed| body_hash(&observed.body)).collect();
        let mut unknown = Vec::new();
        for (index, observed) in located.iter_mut().enumerate() {
            match known.map_or(Answer::Unknown, |known| {
                known.answer(&observed.id, &hashes[index])
            }) {
                Answer::Applied(progress) => observed.progress = Some(progress),
                Answer::Live(live) => observed.live = Some(*live),
                Answer::Unknown => unknown.push(index),
            }
        }
        for (index, live) in self.read(environment, located, unknown.into_iter()).await? {
            located[index].live = Some(live);
        }
        for observed in located.iter_mut() {
            if let Some(live) = &observed.live {
                observed.progress = Some(progress(live));
            }
        }
        Ok(hashes)
    }

    /// What would happen to each object: known where the live object shows it, else by a dry-run.
    async fn compare(&self, desired: &[Manifest], located: &[Observed]) -> Result<Vec<Change>, ClusterError> {
        let missing = missing_namespaces(desired, located);
        let looks: Vec<_> = located
            .iter()
            .map(|observed| self.look_at(observed, &missing))
            .collect();
        let outcomes: Vec<_> = stream::iter(looks).buffered(CONCURRENCY).collect().await;
        let (mut changes, mut problems) = (Vec::with_capacity(located.len()), Problems::default());
        for ((outcome, observed), manifest) in outcomes.into_iter().zip(located).zip(desired) {
            match outcome {
                Ok(change) => changes.push(change),
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

    /// What applying the desired object would make of the live one.
    async fn look_at(
        &self,
        observed: &Observed,
        missing_namespaces: &BTreeSet<&str>,
    ) -> Result<Change, ClusterError> {
        let Some(resource) = &observed.resource else {
            return Ok(diff::compare(None, &observed.body));
        };
        match &observed.live {
            None if observed.progress.is_some() => return Ok(Change::Same),
            // The server could only say that the namespace is missing, and the same change brings it.
            None if missing_namespaces.contains(observed.id.namespace.as_str()) => {
                return Ok(diff::compare(None, &observed.body));
            }
            Some(live) if is_applied(&observed.body, live, FIELD_MANAGER) => return Ok(Change::Same),
            _ => {}
        }
        let api = self.api(resource, &observed.id.namespace);
        let params = PatchParams {
            dry_run: true,
            ..apply_params()
        };
        let after = self
            .request(api.patch(&observed.id.name, &params, &Patch::Apply(&observed.body)))
            .await?;
        Ok(diff::compare(observed.live.as_ref(), &to_value(&after, resource)))
    }

    async fn leftovers(
        &self,
        located: &[Observed],
        inventory: &Inventory,
    ) -> Result<Vec<Leftover>, ClusterError> {
        let wanted: BTreeSet<&ObjectId> = located.iter().map(|observed| &observed.id).collect();
        let gone = inventory.iter().filter(|(id, _)| !wanted.contains(id));
        let reads: Vec<_> = gone.map(|(id, version)| self.leftover(id, version)).collect();
        let found: Vec<Option<Leftover>> = stream::iter(reads).buffered(CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn leftover(&self, id: &ObjectId, version: &str) -> Result<Option<Leftover>, ClusterError> {
        let gvk = Gvk {
            group: id.group.clone(),
            version: version.to_owned(),
            kind: id.kind.clone(),
        };
        // A kind that is no longer served has no objects left.
        let Some(resource) = self.resource(&gvk).await? else {
            return Ok(None);
        };
        let live = self.read_one(&resource, &id.namespace, &id.name).await?;
        Ok(live.map(|live| Leftover {
            id: id.clone(),
            resource,
            live,
        }))
    }
}

/// Tells the watches' memory what was found out of the objects that were looked at.
fn remember(known: &Known, located: &[Observed], changes: &[Change], hashes: &[BodyHash]) {
    for ((observed, change), hash) in located.iter().zip(changes).zip(hashes) {
        if let Some(live) = &observed.live {
            known.judged(&observed.id, live, *hash, *change == Change::Same);
        }
    }
}

/// The namespaces that this change brings and that do not exist yet.
fn missing_namespaces<'a>(desired: &'a [Manifest], located: &[Observed]) -> BTreeSet<&'a str> {
    let brought = desired.iter().zip(located).filter(|(manifest, observed)| {
        manifest.gvk() == Gvk::new("v1", "Namespace") && observed.progress.is_none()
    });
    brought.map(|(manifest, _)| manifest.name()).collect()
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
