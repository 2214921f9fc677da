//! Execution: a plan, carried out. It decides nothing; it applies wave by wave and deletes what it is told to.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use manifest::Manifest;
use serde_json::{Value, json};

use super::error::object_problems;
use super::known::Known;
use super::observe::{Leftover, Observation, Observed, apply_params};
use super::read::to_value;
use super::{CONCURRENCY, Cluster, ClusterError, FIELD_MANAGER};
use crate::apply::Wave;
use crate::live::adopt::take_over;
use crate::problem::{Problem, Problems};

/// How often a request that may pass by itself is sent.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How long an object that is created again may take to go.
const DELETION: Duration = Duration::from_secs(60);

impl Cluster {
    /// Applies the waves of a plan, one after the other, the objects of a wave side by side; `known` learns what came of it.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or refuses objects although the dry-run passed. The objects of earlier
    /// waves stay applied; the next pass continues from there.
    pub async fn apply(
        &self,
        desired: &[Manifest],
        observation: &Observation,
        waves: &[Wave],
        known: &Known,
    ) -> Result<(), ClusterError> {
        for wave in waves {
            let applies: Vec<_> = wave
                .iter()
                .map(|index| self.apply_one(&observation.objects[*index]))
                .collect();
            let outcomes: Vec<_> = stream::iter(applies).buffered(CONCURRENCY).collect().await;
            let mut problems = Problems::default();
            for (index, outcome) in wave.iter().copied().zip(outcomes) {
                match outcome {
                    Ok(live) => known.applied(&observation.objects[index].id, live),
                    Err(ClusterError::Api(status)) => {
                        problems.0.extend(object_problems(
                            &desired[index],
                            &observation.objects[index].id,
                            &status,
                        ));
                    }
                    Err(other) => return Err(other),
                }
            }
            problems.into_result().map_err(ClusterError::Objects)?;
        }
        Ok(())
    }

    async fn apply_one(&self, observed: &Observed) -> Result<Value, ClusterError> {
        let (mut attempt, mut pause) = (1, FIRST_PAUSE);
        loop {
            match self.try_apply(observed).await {
                Err(error) if attempt < TRIES && worth_another_try(&error) => tokio::time::sleep(pause).await,
                done => return done,
            }
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }

    /// Applies one object, and gives it as the server stored it.
    async fn try_apply(&self, observed: &Observed) -> Result<Value, ClusterError> {
        let resource = match &observed.resource {
            Some(resource) => resource.clone(),
            // Its CRD was applied in an earlier wave, and the server needs a moment to serve it.
            None => self
                .resource(&observed.gvk)
                .await?
                .ok_or_else(|| not_served_yet(observed))?,
        };
        let api = self.api(&resource, &observed.id.namespace);
        if observed.recreate {
            self.delete_and_wait(&api, observed).await?;
        } else {
            self.adopt(&api, observed).await?;
        }
        let (params, patch) = (apply_params(), Patch::Apply(&observed.body));
        let applied = self
            .request(api.patch(&observed.id.name, &params, &patch))
            .await?;
        Ok(to_value(applied, &resource))
    }

    /// Deletes an object whose immutable fields change, and waits until it is gone; the dry-run of the new one passed.
    async fn delete_and_wait(
        &self,
        api: &Api<DynamicObject>,
        observed: &Observed,
    ) -> Result<(), ClusterError> {
        let uid = observed.live.as_deref().and_then(uid_of);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions {
                uid: uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.request(api.delete(&observed.id.name, &params)).await {
            // Gone already, or already another one: an earlier try got so far.
            Err(ClusterError::Api(status)) if matches!(status.code, 404 | 409) => {}
            other => drop(other?),
        }
        let deadline = tokio::time::Instant::now() + DELETION;
        loop {
            let there = self.request(api.get_metadata_opt(&observed.id.name)).await?;
            if there.is_none_or(|there| there.metadata.uid != uid) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let message = format!(
                    "is to be created again, and the old one is not gone after {} s; its finalizers hold it",
                    DELETION.as_secs()
                );
                let problem = Problem::new(message).object(&observed.id);
                return Err(ClusterError::Objects(problem.into()));
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
    }

    /// Makes what kubectl, Helm, Flux or Argo CD own of an object gitsync's, the first time that it is applied.
    async fn adopt(&self, api: &Api<DynamicObject>, observed: &Observed) -> Result<(), ClusterError> {
        let Some(live) = &observed.live else {
            return Ok(());
        };
        let version = &observed.gvk.api_version();
        let Some(fields) = take_over(live, version, FIELD_MANAGER) else {
            return Ok(());
        };
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": live["metadata"]["uid"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            // With it the server refuses the change if somebody else was faster.
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]);
        let operations = serde_json::from_value(operations).unwrap_or_default();
        let patch = Patch::Json::<()>(operations);
        let params = PatchParams::default();
        match self.request(api.patch(&observed.id.name, &params, &patch)).await {
            // An earlier try took it over, or somebody changed it: what is applied now is right all the same.
            Err(ClusterError::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes objects that git no longer has, side by side, and namespaces and the like after what is in them; with what
    /// came of each.
    pub async fn prune<'a>(
        &self,
        leftovers: &[&'a Leftover],
    ) -> Vec<(&'a Leftover, Result<(), ClusterError>)> {
        let (inner, outer): (Vec<&Leftover>, Vec<&Leftover>) = leftovers
            .iter()
            .partition(|leftover| !leftover.id.namespace.is_empty());
        let mut outcomes = Vec::with_capacity(leftovers.len());
        for group in [inner, outer] {
            let prunes = group
                .into_iter()
                .map(async |leftover| (leftover, self.prune_one(leftover).await));
            let prunes: Vec<_> = prunes.collect();
            outcomes.extend(
                stream::iter(prunes)
                    .buffered(CONCURRENCY)
                    .collect::<Vec<_>>()
                    .await,
            );
        }
        outcomes
    }

    /// Deletes one object that git no longer has, if it is still the one that was judged.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked or refuses. An object that is already gone is no error.
    pub async fn prune_one(&self, leftover: &Leftover) -> Result<(), ClusterError> {
        let text = |field: &str| leftover.live["metadata"][field].as_str().map(str::to_owned);
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            // The same object, unchanged since it was judged: nothing that somebody took over meanwhile.
            preconditions: Some(Preconditions {
                uid: text("uid"),
                resource_version: text("resourceVersion"),
            }),
            ..DeleteParams::default()
        };
        let api = self.api(&leftover.resource, &leftover.id.namespace);
        match self.request(api.delete(&leftover.id.name, &params)).await {
            Err(ClusterError::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }
}

fn uid_of(live: &Value) -> Option<String> {
    live["metadata"]["uid"].as_str().map(str::to_owned)
}

/// A new namespace, CRD or webhook may need a moment before the objects that depend on it are accepted.
fn worth_another_try(error: &ClusterError) -> bool {
    let settling = |message: &str| message.contains("not found") || message.contains("being terminated");
    match error {
        ClusterError::Api(status) => {
            error.is_transient() || (matches!(status.code, 403 | 404 | 409) && settling(&status.message))
        }
        ClusterError::Objects(_) => true,
        _ => error.is_transient(),
    }
}

fn not_served_yet(observed: &Observed) -> ClusterError {
    let message = format!(
        "the cluster does not serve {} {} yet",
        observed.gvk.api_version(),
        observed.gvk.kind
    );
    ClusterError::Objects(Problem::new(message).object(&observed.id).into())
}
