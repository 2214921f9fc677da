//! Place: one environment's sandbox cluster, and what the daemon would do there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use manifest::{Manifest, ObjectId};
use sandbox::Handle;
use serde_json::{Value, json};

use super::{Applied, End, RehearsalError, images};
use crate::apply::prune::{self, Verdict};
use crate::apply::waves;
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::diff::Diff;
use crate::live::Inventory;
use crate::verify::health::{self, Health};
use crate::world::cluster::known::Known;
use crate::world::cluster::observe::Observation;
use crate::world::cluster::{Cluster, ClusterError};

/// How often a rollout is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// The namespace of objects that name none.
const NAMESPACE: &str = "default";

/// One environment's cluster.
pub struct Place {
    /// The cluster, as the daemon reaches a real one.
    pub cluster: Cluster,
    environment: Environment,
    inventory: Inventory,
    handle: Handle,
}

// === impl Place ===

impl Place {
    /// Starts an empty cluster.
    ///
    /// # Errors
    ///
    /// When it has no port.
    pub async fn start(environment: &Environment) -> Result<Self, RehearsalError> {
        let name = &environment.name;
        let options = sandbox::Options {
            name: name.to_string(),
            runtime: Arc::new(images::behaviour),
            ..sandbox::Options::default()
        };
        let handle = sandbox::Cluster::start(options).await;
        let handle = handle.map_err(|error| RehearsalError::Start(name.clone(), error))?;
        let client = kube::Client::new(handle.cluster().service(), NAMESPACE);
        Ok(Self {
            cluster: Cluster::new(client, name.to_string(), NAMESPACE.to_owned()),
            environment: environment.clone(),
            inventory: Inventory::default(),
            handle,
        })
    }

    /// Applies what an environment asks for, waits until it is healthy, and prunes what it no longer has.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer. What it refuses is an outcome.
    pub async fn apply(&mut self, desired: &Desired, limit: Duration) -> Result<Applied, RehearsalError> {
        let mut notes = Vec::new();
        let objects = self.known_kinds(&desired.objects, &mut notes).await?;
        self.make_namespaces(&objects, &mut notes).await?;
        if !desired.hooks.is_empty() {
            notes.push("hooks were not run: their images are not here".to_owned());
        }
        let desired = &Desired {
            objects: Arc::new(objects),
            hooks: Arc::default(),
            ..desired.clone()
        };
        let observed = self.observe(desired).await;
        let observation = match observed {
            Err(ClusterError::Objects(problems)) => {
                let refused = Applied::without(End::Refused(problems));
                return Ok(Applied { notes, ..refused });
            }
            observed => observed?,
        };
        for observed in &observation.objects {
            let version = observed.gvk.version.clone();
            self.inventory.insert(observed.id.clone(), version);
        }
        let (planned, known) = (waves(&observation.diff, &BTreeSet::new()), Known::default());
        match self
            .cluster
            .apply(&desired.objects, &observation, &planned, &known)
            .await
        {
            Err(ClusterError::Objects(problems)) => {
                return Ok(Applied {
                    diff: observation.diff,
                    notes,
                    end: End::Refused(problems),
                });
            }
            applied => applied?,
        }
        let end = self.wait(desired, limit).await?;
        let staying = match end {
            End::Healthy => self.prune(&observation, &mut notes).await?,
            _ => BTreeSet::new(),
        };
        Ok(Applied {
            diff: without(observation.diff, &staying),
            notes,
            end,
        })
    }

    async fn observe(&self, desired: &Desired) -> Result<Observation, ClusterError> {
        self.cluster
            .observe(&self.environment, desired, &self.inventory, None)
            .await
    }

    /// The objects whose kinds the sandbox serves, or will once the CRDs among them are there.
    async fn known_kinds(
        &self,
        objects: &[Manifest],
        notes: &mut Vec<String>,
    ) -> Result<Vec<Manifest>, RehearsalError> {
        let coming: BTreeSet<(&str, &str)> = objects.iter().filter_map(defined_kind).collect();
        let mut known = Vec::new();
        for object in objects {
            let gvk = object.gvk();
            let is_coming = coming.contains(&(gvk.group.as_str(), gvk.kind.as_str()));
            if is_coming || self.cluster.resource(&gvk).await?.is_some() {
                known.push(object.clone());
            } else {
                let note = "was set aside: its kind is custom, and git has no CRD for it";
                notes.push(format!("{} {note}", object.id()));
            }
        }
        Ok(known)
    }

    /// Makes the namespaces that objects are in and that git does not bring; a real cluster has them already.
    async fn make_namespaces(
        &self,
        objects: &[Manifest],
        notes: &mut Vec<String>,
    ) -> Result<(), RehearsalError> {
        let is_namespace =
            |object: &&Manifest| object.gvk().kind == "Namespace" && object.gvk().group.is_empty();
        let brought: BTreeSet<&str> = objects.iter().filter(is_namespace).map(Manifest::name).collect();
        let client = self.handle.cluster().client("gitsync-rehearsal");
        let mut missing = BTreeSet::new();
        for object in objects {
            let namespace = object.namespace();
            let is_known = namespace.is_empty()
                || brought.contains(namespace)
                || client.get("namespaces", "", namespace).is_ok();
            let resource = self.cluster.resource(&object.gvk()).await?;
            if !is_known && resource.is_none_or(|resource| resource.namespaced) {
                missing.insert(namespace);
            }
        }
        for namespace in missing {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            // A name that cannot be one is refused with the objects that are in it.
            if client.create("namespaces", object).is_ok() {
                notes.push(format!("namespace {namespace} was made: git does not have it"));
            }
        }
        Ok(())
    }

    async fn wait(&self, desired: &Desired, limit: Duration) -> Result<End, RehearsalError> {
        let began = Instant::now();
        loop {
            let observation = match self.observe(desired).await {
                Err(ClusterError::Objects(problems)) => return Ok(End::Refused(problems)),
                observation => observation?,
            };
            let troubles = self.cluster.troubles(&observation.objects).await?;
            let states = observation
                .objects
                .iter()
                .map(|observed| (&observed.id, observed.progress.as_ref()));
            match health::judge(states, &troubles, began.elapsed(), limit) {
                Health::Healthy => return Ok(End::Healthy),
                Health::Failed(why) => return Ok(End::Unhealthy(why)),
                Health::Progressing(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Deletes what may be deleted; gives what stays.
    async fn prune(
        &mut self,
        observation: &Observation,
        notes: &mut Vec<String>,
    ) -> Result<BTreeSet<ObjectId>, RehearsalError> {
        let mut staying = BTreeSet::new();
        for leftover in &observation.leftovers {
            let (is_ours, why) = match prune::judge(&leftover.live, &self.environment.name, false) {
                Verdict::Delete => {
                    self.cluster.prune_one(leftover).await?;
                    self.inventory.remove(&leftover.id);
                    continue;
                }
                Verdict::Release(why) => (false, why),
                Verdict::Keep(why) => (true, why),
            };
            if !is_ours {
                self.inventory.remove(&leftover.id);
            }
            notes.push(format!("{} stays: {why}", leftover.id));
            staying.insert(leftover.id.clone());
        }
        Ok(staying)
    }
}

/// The difference with the prunes alone that would really happen.
fn without(mut diff: Diff, staying: &BTreeSet<ObjectId>) -> Diff {
    diff.objects.retain(|object| !staying.contains(&object.id));
    diff
}

/// The group and kind that a CRD brings.
fn defined_kind(object: &Manifest) -> Option<(&str, &str)> {
    if object.gvk().kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| object.value().pointer(pointer).and_then(Value::as_str);
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}
