//! In use: which ConfigMaps and Secrets live pods need, so that none is pruned under them.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::Api;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use manifest::ObjectId;
use serde::de::DeserializeOwned;

use super::{Cluster, ClusterError};
use crate::apply::references::of_pod_spec;

/// How many objects one page of a list holds.
const PAGE: u32 = 500;

impl Cluster {
    /// The ConfigMaps and Secrets that pods, and ReplicaSets that should have pods, need in these namespaces.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn config_in_use(
        &self,
        namespaces: &BTreeSet<String>,
    ) -> Result<BTreeSet<ObjectId>, ClusterError> {
        let mut found = BTreeSet::new();
        for namespace in namespaces {
            for pod in self.list_all::<Pod>(namespace).await? {
                add(namespace, pod.spec.as_ref(), &mut found);
            }
            let sets = self.list_all::<ReplicaSet>(namespace).await?;
            let specs = sets.into_iter().filter_map(|set| set.spec);
            for spec in specs.filter(|spec| spec.replicas != Some(0)) {
                let template = spec.template.and_then(|template| template.spec);
                add(namespace, template.as_ref(), &mut found);
            }
        }
        Ok(found)
    }

    /// All objects of a kind in a namespace, page by page.
    pub(super) async fn list_all<K>(&self, namespace: &str) -> Result<Vec<K>, ClusterError>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let (mut found, mut params) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            let page = self.request(api.list(&params)).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }
}

fn add(namespace: &str, spec: Option<&PodSpec>, found: &mut BTreeSet<ObjectId>) {
    let Some(spec) = spec.and_then(|spec| serde_json::to_value(spec).ok()) else {
        return;
    };
    let id = |(kind, name): (&'static str, String)| ObjectId {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name,
    };
    found.extend(of_pod_spec(&spec).into_iter().map(id));
}
