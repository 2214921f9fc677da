//! Endpoints: the ready pods behind a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::ListParams;

use super::{Cluster, ClusterError};
use crate::verify::backends::{Backend, backend};

impl Cluster {
    /// The pods that are ready endpoints of a Service, in the order of their names.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn backends(&self, namespace: &str, service: &str) -> Result<Vec<Backend>, ClusterError> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = self.request(slices.list(&of_service)).await?;
        let ready: BTreeSet<String> = slices
            .items
            .iter()
            .flat_map(|slice| slice.endpoints.iter())
            .filter(|endpoint| {
                endpoint
                    .conditions
                    .as_ref()
                    .is_none_or(|c| c.ready.unwrap_or(true))
            })
            .filter_map(|endpoint| endpoint.target_ref.as_ref())
            .filter(|target| target.kind.as_deref() == Some("Pod"))
            .filter_map(|target| target.name.clone())
            .collect();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = self.request(pods.list(&ListParams::default())).await?;
        let mut found: Vec<Backend> = pods
            .items
            .iter()
            .filter(|pod| {
                pod.metadata
                    .name
                    .as_ref()
                    .is_some_and(|name| ready.contains(name))
            })
            .map(|pod| backend(&serde_json::to_value(pod).unwrap_or_default()))
            .collect();
        found.sort_by(|a, b| a.pod.cmp(&b.pod));
        Ok(found)
    }
}
