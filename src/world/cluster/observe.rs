//! Observation: what a cluster holds of the desired objects, and what applying them would make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::api::{Patch, PatchParams, ValidationDirective};
use manifest::{Gvk, Manifest, ObjectId};
use serde_json::{Value, json};

use super::error::{is_immutable, object_problems};
use super::known::{Answer, BodyHash, Known, body_hash};
use super::read::to_value;
use super::{CONCURRENCY, Cluster, ClusterError, FIELD_MANAGER, Resource};
use crate::config::repository::Environment;
use crate::desired::{Desired, allow};
use crate::diff::{self, Change, Diff, ObjectDiff};
use crate::live::adopt::{self, is_asked_for};
use crate::live::applied::is_applied;
use crate::live::ignore::{Ignored, REPLICAS, yield_to_live};
use crate::live::wishes::{is_left_alone, is_recreated};
use crate::live::{ENVIRONMENT_LABEL, Inventory};
use crate::model::EnvName;
use crate::problem::{Problem, Problems};
use crate::verify::custom_health::Expressions;
use crate::verify::rollout::Progress;

/// A desired object, and what the cluster says of it.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Which object, with the namespace that it really has.
    pub id: ObjectId,
    /// Its group, version and kind.
    pub gvk: Gvk,
    /// How the cluster serves it; `None` while its CRD is part of the same change.
    pub resource: Option<Resource>,
    /// The object as it is applied: as rendered, with its namespace and the environment's label, and without what is ignored.
    pub body: Value,
    /// The pointers of the fields that are left as the cluster has them.
    pub ignored: Vec<String>,
    /// The live object, if it exists and was read.
    pub live: Option<Arc<Value>>,
    /// How far the live object is; `None` when it does not exist.
    pub progress: Option<Progress>,
    /// Whether applying it takes deleting the live object first, because an immutable field changes.
    pub recreate: bool,
}

/// What was found out of one object.
struct Look {
    change: Change,
    recreate: bool,
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
    /// What people should know of how the objects are applied.
    pub warnings: Vec<Problem>,
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

// === impl Observation ===

impl Observation {
    /// Lets go of the live objects that are as git asks; nothing is to be done about them, and they are most of the memory.
    pub fn forget_same(&mut self) {
        for (observed, diff) in self.objects.iter_mut().zip(&self.diff.objects) {
            if diff.change == Change::Same {
                observed.live = None;
            }
        }
    }
}

// === impl Cluster ===

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
        environment: &Environment,
        desired: &Desired,
        inventory: &Inventory,
        known: Option<&Known>,
    ) -> Result<Observation, ClusterError> {
        let hooks = &desired.hooks;
        let desired = desired.objects.as_slice();
        let mut located = self.locate(environment, desired).await?;
        for hook in hooks.iter() {
            // A hook is not looked at before its time, but one that must not be is refused with all the rest.
            self.locate(environment, std::slice::from_ref(&hook.manifest))
                .await?;
        }
        let warnings = ignore(environment, desired, &mut located);
        let (hashes, others) = self.find(environment, &mut located, known).await?;
        refuse_foreign(environment, desired, &located)?;
        let changes = self.compare(desired, &mut located).await?;
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
        let leftovers = self.leftovers(&located, inventory, known, others).await?;
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
            warnings,
        })
    }

    /// Finds how each object is served and which namespace it really has.
    pub(super) async fn locate(
        &self,
        environment: &Environment,
        desired: &[Manifest],
    ) -> Result<Vec<Observed>, ClusterError> {
        let allow = environment.spec.allow.as_ref();
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
            let (id, body) = self.place(&environment.name, manifest, namespaced);
            if let Some(problem) = allow.and_then(|allow| allow::check(allow, &id, manifest)) {
                problems.0.push(problem);
            }
            located.push(Observed {
                id,
                gvk,
                resource,
                body,
                ignored: Vec::new(),
                live: None,
                progress: None,
                recreate: false,
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

    /// Fills in what is live: from the watches what they know, and the rest by reading it. What was read beside it is
    /// given back.
    async fn find(
        &self,
        environment: &Environment,
        located: &mut [Observed],
        known: Option<&Known>,
    ) -> Result<(Vec<BodyHash>, BTreeMap<ObjectId, Value>), ClusterError> {
        let health = Expressions::new(&environment.spec.health_check_exprs);
        let hashes: Vec<BodyHash> = located
            .iter()
            .map(|observed| body_hash(&observed.body, &observed.ignored, health.text_of(&observed.body)))
            .collect();
        let mut unknown = Vec::new();
        for (index, observed) in located.iter_mut().enumerate() {
            match known.map_or(Answer::Unknown, |known| {
                known.answer(&observed.id, &hashes[index])
            }) {
                Answer::Applied(progress) => observed.progress = Some(progress),
                Answer::Live(live) => observed.live = Some(live),
                Answer::Unknown => unknown.push(index),
            }
        }
        let read = self.read(&environment.name, located, unknown.into_iter()).await?;
        for (index, live) in read.found {
            located[index].live = Some(Arc::new(live));
        }
        for observed in located.iter_mut() {
            if observed.live.is_none() && is_left_alone(&observed.body, None) {
                observed.progress = Some(Progress::Current);
            }
            if let Some(live) = &observed.live {
                observed.progress = Some(health.progress(live));
                yield_to_live(&mut observed.body, live, &observed.ignored, FIELD_MANAGER);
            }
        }
        Ok((hashes, read.others))
    }

    /// What would happen to each object: known where the live object shows it, else by a dry-run.
    async fn compare(
        &self,
        desired: &[Manifest],
        located: &mut [Observed],
    ) -> Result<Vec<Change>, ClusterError> {
        let outcomes: Vec<_> = {
            let missing = missing_namespaces(desired, located);
            let looks: Vec<_> = located
                .iter()
                .map(|observed| self.look_at(observed, &missing))
                .collect();
            stream::iter(looks).buffered(CONCURRENCY).collect().await
        };
        let (mut changes, mut problems) = (Vec::with_capacity(located.len()), Problems::default());
        for ((outcome, observed), manifest) in outcomes.into_iter().zip(located).zip(desired) {
            match outcome {
                Ok(look) => {
                    observed.recreate = look.recreate;
                    changes.push(look.change);
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

    /// What applying the desired object would make of the live one.
    async fn look_at(
        &self,
        observed: &Observed,
        missing_namespaces: &BTreeSet<&str>,
    ) -> Result<Look, ClusterError> {
        let look = |change| Look {
            change,
            recreate: false,
        };
        let Some(resource) = &observed.resource else {
            return Ok(look(diff::compare(None, &observed.body, &[])));
        };
        match &observed.live {
            live if is_left_alone(&observed.body, live.as_deref()) => return Ok(look(Change::Same)),
            None if observed.progress.is_some() => return Ok(look(Change::Same)),
            // The server could only say that the namespace is missing, and the same change brings it.
            None if missing_namespaces.contains(observed.id.namespace.as_str()) => {
                return Ok(look(diff::compare(None, &observed.body, &[])));
            }
            Some(live) if is_applied(&observed.body, live, FIELD_MANAGER) => return Ok(look(Change::Same)),
            _ => {}
        }
        let (after, recreate) = match self.dry_run(observed, resource, &observed.body).await {
            Err(ClusterError::Api(status)) if is_immutable(&status) && is_recreated(&observed.body) => {
                (self.dry_run_as_new(observed, resource).await?, true)
            }
            other => (other?, false),
        };
        Ok(Look {
            change: diff::compare(observed.live.as_deref(), &after, &observed.ignored),
            recreate,
        })
    }

    /// What the server would make of `body`.
    async fn dry_run(
        &self,
        observed: &Observed,
        resource: &Resource,
        body: &Value,
    ) -> Result<Value, ClusterError> {
        let api = self.api(resource, &observed.id.namespace);
        let params = PatchParams {
            dry_run: true,
            ..apply_params()
        };
        let name = body["metadata"]["name"].as_str().unwrap_or(&observed.id.name);
        let after = self
            .request(api.patch(name, &params, &Patch::Apply(body)))
            .await?;
        Ok(to_value(after, resource))
    }

    /// What the server would make of the object if it did not exist: asked under a name that is free.
    async fn dry_run_as_new(&self, observed: &Observed, resource: &Resource) -> Result<Value, ClusterError> {
        let mut body = observed.body.clone();
        // Some names must be labels of at most 63 characters.
        let short: String = observed.id.name.chars().take(48).collect();
        body["metadata"]["name"] = json!(format!("{}-dry-run", short.trim_end_matches(['-', '.'])));
        let mut after = self.dry_run(observed, resource, &body).await?;
        after["metadata"]["name"] = json!(observed.id.name);
        Ok(after)
    }

    async fn leftovers(
        &self,
        located: &[Observed],
        inventory: &Inventory,
        known: Option<&Known>,
        mut listed: BTreeMap<ObjectId, Value>,
    ) -> Result<Vec<Leftover>, ClusterError> {
        let wanted: BTreeSet<&ObjectId> = located.iter().map(|observed| &observed.id).collect();
        let gone = inventory.iter().filter(|(id, _)| !wanted.contains(id));
        let reads: Vec<_> = gone
            .map(|(id, version)| {
                let live = listed
                    .remove(id)
                    .or_else(|| known.and_then(|known| known.live(id)));
                self.leftover(id, version, live)
            })
            .collect();
        let found: Vec<Option<Leftover>> = stream::iter(reads).buffered(CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn leftover(
        &self,
        id: &ObjectId,
        version: &str,
        live: Option<Value>,
    ) -> Result<Option<Leftover>, ClusterError> {
        let gvk = Gvk {
            group: id.group.clone(),
            version: version.to_owned(),
            kind: id.kind.clone(),
        };
        // A kind that is no longer served has no objects left.
        let Some(resource) = self.resource(&gvk).await? else {
            return Ok(None);
        };
        let live = match live {
            Some(live) => Some(live),
            None => self.read_one(&resource, &id.namespace, &id.name).await?,
        };
        Ok(live.map(|live| Leftover {
            id: id.clone(),
            resource,
            live,
        }))
    }
}

/// Notes which fields of each object are left as the cluster has them, and warns of replicas that have no effect.
fn ignore(environment: &Environment, desired: &[Manifest], located: &mut [Observed]) -> Vec<Problem> {
    let objects = located.iter().map(|observed| (&observed.id, &observed.body));
    let ignored = Ignored::new(&environment.spec.sync.ignore_differences, objects);
    let mut warnings = Vec::new();
    let mut pointers = Vec::with_capacity(located.len());
    for (observed, manifest) in located.iter().zip(desired) {
        pointers.push(ignored.pointers(&observed.id));
        let autoscaler = ignored.autoscaler(&observed.id);
        if let Some(autoscaler) = autoscaler.filter(|_| observed.body.pointer(REPLICAS).is_some()) {
            let message = format!("left to {autoscaler}; what git says is for a new object only");
            warnings.push(
                Problem::new(message)
                    .at(manifest.line_of(REPLICAS).as_ref())
                    .object(&observed.id)
                    .field("spec.replicas"),
            );
        }
    }
    for (observed, pointers) in located.iter_mut().zip(pointers) {
        observed.ignored = pointers;
    }
    warnings
}

/// Refuses objects that another tool, or another environment, looks after, unless git says to take them over.
fn refuse_foreign(
    environment: &Environment,
    desired: &[Manifest],
    located: &[Observed],
) -> Result<(), ClusterError> {
    if environment.spec.sync.adopt {
        return Ok(());
    }
    let mut problems = Problems::default();
    for (observed, manifest) in located.iter().zip(desired) {
        let owner = observed
            .live
            .as_deref()
            .filter(|live| !is_asked_for(&observed.body) && !is_left_alone(&observed.body, Some(live)))
            .and_then(|live| adopt::owner(live, environment.name.as_str(), FIELD_MANAGER));
        if let Some(owner) = owner {
            let message = format!("{owner} looks after this object; two tools would fight over it");
            let hint = "take it out of there without deleting it, and take it over by the annotation \
                        gitsync.dev/adopt: \"true\", or all such objects by spec.sync.adopt: true";
            problems.0.push(
                Problem::new(message)
                    .at(Some(manifest.origin()))
                    .object(&observed.id)
                    .hint(hint),
            );
        }
    }
    problems.into_result().map_err(ClusterError::Objects)
}

/// Tells the watches' memory what was found out of the objects that were looked at.
fn remember(known: &Known, located: &[Observed], changes: &[Change], hashes: &[BodyHash]) {
    for ((observed, change), hash) in located.iter().zip(changes).zip(hashes) {
        if let (Some(live), Some(progress)) = (&observed.live, &observed.progress) {
            known.judged(&observed.id, live, progress, *hash, *change == Change::Same);
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
