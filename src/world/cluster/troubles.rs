//! Pod look-through: the pods of the workloads that do not move, and what troubles them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use manifest::ObjectId;
use serde_json::Value;

use super::observe::Observed;
use super::{Cluster, ClusterError};
use crate::verify::pods::{Trouble, trouble};
use crate::verify::rollout::Progress;

impl Cluster {
    /// The troubles of the workloads that are not current, one per workload.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn troubles(&self, objects: &[Observed]) -> Result<BTreeMap<ObjectId, Trouble>, ClusterError> {
        let mut found = BTreeMap::new();
        for observed in objects {
            if matches!(observed.progress, None | Some(Progress::Current)) {
                continue;
            }
            let Some(selector) = pod_selector(&observed.body) else {
                continue;
            };
            let params = ListParams::default().labels(&selector);
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &observed.id.namespace);
            let pods = self.request(pods.list(&params)).await?;
            let troubles = pods
                .items
                .iter()
                .filter_map(|pod| trouble(&serde_json::to_value(pod).unwrap_or_default()));
            // A trouble that lasts says more than one that may pass.
            if let Some(worst) = troubles.max_by_key(|trouble| trouble.lasting) {
                found.insert(observed.id.clone(), worst);
            }
        }
        Ok(found)
    }
}

/// The label selector of a workload's pods, as the API takes it; `None` for what has no pods.
fn pod_selector(workload: &Value) -> Option<String> {
    workload.pointer("/spec/template")?;
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}
