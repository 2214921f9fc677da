//! Hooks in the cluster: a Job is started, looked at and replaced; nothing of it is remembered here.

use kube::api::{DeleteParams, Patch, PropagationPolicy};
use manifest::Manifest;
use serde_json::{Value, json};

use super::error::object_problems;
use super::observe::apply_params;
use super::{Cluster, ClusterError};
use crate::config::repository::Environment;
use crate::desired::hooks::Hook;
use crate::problem::{Problem, Problems};
use crate::verify::rollout::{Progress, progress};

/// What a hook's Job ran for: the hash of what git asked for.
const RAN_FOR: &str = "gitsync.dev/hook-ran-for";

/// How far a hook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookState {
    /// It succeeded.
    Succeeded,
    /// It runs, or is about to; the text says how far it is.
    Running(String),
    /// It failed; the text says why.
    Failed(String),
}

impl Cluster {
    /// Takes a hook one step further: starts its Job for `objects`, the hash of what git asks for, or looks at it.
    ///
    /// A Job of an earlier state is deleted first; a pod template cannot be changed.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or refuses the Job.
    pub async fn run_hook(
        &self,
        environment: &Environment,
        hook: &Hook,
        objects: &str,
    ) -> Result<HookState, ClusterError> {
        let (id, body, resource) = self.hook_body(environment, &hook.manifest, objects).await?;
        let api = self.api(&resource, &id.namespace);
        let live = self.read_one(&resource, &id.namespace, &id.name).await?;
        let Some(live) = live else {
            let patch = Patch::Apply(&body);
            return match self.request(api.patch(&id.name, &apply_params(), &patch)).await {
                Ok(_) => Ok(HookState::Running("has begun".to_owned())),
                Err(ClusterError::Api(status)) if !ClusterError::Api(status.clone()).is_transient() => {
                    let problems = object_problems(&hook.manifest, &id, &status);
                    Err(ClusterError::Objects(Problems(problems)))
                }
                Err(other) => Err(other),
            };
        };
        let ran_for = live["metadata"]["annotations"][RAN_FOR].as_str();
        if ran_for != Some(objects) {
            self.delete_hook(environment, hook).await?;
            return Ok(HookState::Running(
                "the Job of an earlier sync is being replaced".to_owned(),
            ));
        }
        Ok(match progress(&live) {
            Progress::Current => HookState::Succeeded,
            Progress::InProgress(why) => HookState::Running(why),
            Progress::Failed(why) => HookState::Failed(why),
            Progress::Terminating => HookState::Running("is being deleted".to_owned()),
        })
    }

    /// Deletes a hook's Job with its pods; one that is already gone is no error.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked or refuses.
    pub async fn delete_hook(&self, environment: &Environment, hook: &Hook) -> Result<(), ClusterError> {
        let (id, _, resource) = self.hook_body(environment, &hook.manifest, "").await?;
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self
            .request(self.api(&resource, &id.namespace).delete(&id.name, &params))
            .await
        {
            Err(ClusterError::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    async fn hook_body(
        &self,
        environment: &Environment,
        manifest: &Manifest,
        objects: &str,
    ) -> Result<(manifest::ObjectId, Value, super::Resource), ClusterError> {
        let mut located = self.locate(environment, std::slice::from_ref(manifest)).await?;
        let found = located.pop().and_then(|observed| {
            let resource = observed.resource?;
            Some((observed.id, observed.body, resource))
        });
        let (id, mut body, resource) = found.ok_or_else(|| {
            let problem = Problem::new("the cluster serves no Jobs").at(Some(manifest.origin()));
            ClusterError::Objects(problem.into())
        })?;
        body["metadata"]["annotations"][RAN_FOR] = json!(objects);
        Ok((id, body, resource))
    }
}
