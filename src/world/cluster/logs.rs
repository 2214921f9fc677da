//! Logs: the last lines of the pods that do not come up.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};

use super::{Cluster, ClusterError};
use crate::verify::pods::trouble;

/// At most this many pods are asked for their lines.
const PODS: usize = 3;

/// The last lines of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLines {
    /// The pod and its container.
    pub source: String,
    /// The lines.
    pub lines: Vec<String>,
}

impl Cluster {
    /// The last `count` lines of pods in a namespace that are in trouble, of the run before when there was one.
    ///
    /// # Errors
    ///
    /// When the pods cannot be listed. A pod without a log says nothing.
    pub async fn last_lines(&self, namespace: &str, count: i64) -> Result<Vec<LastLines>, ClusterError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let listed = self.request(pods.list(&ListParams::default())).await?;
        let troubles = listed
            .items
            .iter()
            .filter_map(|pod| trouble(&serde_json::to_value(pod).unwrap_or_default()));
        let mut found = Vec::new();
        for trouble in troubles.take(PODS) {
            let params = |previous: bool| LogParams {
                container: trouble.container.clone(),
                previous,
                tail_lines: Some(count),
                ..LogParams::default()
            };
            let text = match self.request(pods.logs(&trouble.pod, &params(true))).await {
                Ok(text) if !text.is_empty() => text,
                _ => self
                    .request(pods.logs(&trouble.pod, &params(false)))
                    .await
                    .unwrap_or_default(),
            };
            let container = trouble
                .container
                .map(|name| format!("/{name}"))
                .unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if !lines.is_empty() {
                found.push(LastLines {
                    source: format!("{}{container}", trouble.pod),
                    lines,
                });
            }
        }
        Ok(found)
    }
}
