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

/// How many workloads of a namespace are asked about one by one before one list of all its pods is cheaper.
const FEW: usize = 2;

/// A workload that is not current, and the labels of its pods.
type Moving<'a> = (&'a ObjectId, Vec<(&'a str, &'a str)>);

impl Cluster {
    /// The troubles of the workloads that are not current, one per workload.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn troubles(&self, objects: &[Observed]) -> Result<BTreeMap<ObjectId, Trouble>, ClusterError> {
        let mut namespaces: BTreeMap<&str, Vec<Moving<'_>>> = BTreeMap::new();
        for observed in objects {
            if matches!(observed.progress, None | Some(Progress::Current)) {
                continue;
            }
            if let Some(labels) = pod_labels(&observed.body) {
                let moving = namespaces.entry(&observed.id.namespace).or_default();
                moving.push((&observed.id, labels));
            }
        }
        let mut found = BTreeMap::new();
        for (namespace, moving) in namespaces {
            let all = match moving.len() > FEW {
                true => Some(self.list_all::<Pod>(namespace).await?),
                false => None,
            };
            for (id, labels) in moving {
                let listed;
                let pods = match &all {
                    Some(all) => all,
                    None => {
                        listed = self.labelled_pods(namespace, &labels).await?;
                        &listed
                    }
                };
                let troubles = pods
                    .iter()
                    .filter(|pod| has_labels(pod, &labels))
                    .filter_map(|pod| trouble(&serde_json::to_value(pod).unwrap_or_default()));
                // A trouble that lasts says more than one that may pass.
                if let Some(worst) = troubles.max_by_key(|trouble| trouble.lasting) {
                    found.insert(id.clone(), worst);
                }
            }
        }
        Ok(found)
    }

    async fn labelled_pods(
        &self,
        namespace: &str,
        labels: &[(&str, &str)],
    ) -> Result<Vec<Pod>, ClusterError> {
        let pairs: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let params = ListParams::default().labels(&pairs.join(","));
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.request(pods.list(&params)).await?.items)
    }
}

fn has_labels(pod: &Pod, labels: &[(&str, &str)]) -> bool {
    let own = pod.metadata.labels.as_ref();
    own.is_some_and(|own| {
        labels
            .iter()
            .all(|(key, value)| own.get(*key).is_some_and(|has| has == value))
    })
}

/// The labels of a workload's pods; `None` for what has no pods, and is to have none.
fn pod_labels(workload: &Value) -> Option<Vec<(&str, &str)>> {
    workload.pointer("/spec/template")?;
    if workload.pointer("/spec/replicas").and_then(Value::as_u64) == Some(0) {
        return None;
    }
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<(&str, &str)> = labels
        .iter()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect();
    (!pairs.is_empty()).then_some(pairs)
}
