//! Family: what the objects of an environment made themselves (ReplicaSets, pods), and what their cluster tells of them.
//!
//! Nothing is decided by it. It is for people who look, and only asked for when somebody does.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::{Cluster, ClusterError};
use crate::report::board::{ChildView, EventView, Health};
use crate::verify::pods::trouble;

/// The most objects of one kind that are read of a namespace.
const LIMIT: u32 = 500;

/// The most events that are kept.
const EVENTS: usize = 50;

/// What belongs to the objects of some namespaces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    /// Children by their owner's kind, namespace and name.
    children: BTreeMap<[String; 3], Vec<ChildView>>,
    /// The latest events, newest first.
    pub events: Vec<EventView>,
}

impl Cluster {
    /// The ReplicaSets, pods and events of `namespaces`.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked.
    pub async fn family(&self, namespaces: &BTreeSet<String>) -> Result<Family, ClusterError> {
        let mut family = Family::default();
        let params = ListParams::default().limit(LIMIT);
        for namespace in namespaces {
            let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
            for set in self.request(sets.list(&params)).await?.items {
                family.add(&set.metadata, replica_set(&set));
            }
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            for found in self.request(pods.list(&params)).await?.items {
                family.add(&found.metadata, pod(&found));
            }
            let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
            let events = self.request(events.list(&params)).await?;
            family.events.extend(events.items.iter().map(event));
        }
        family.events.sort_by(|a, b| b.time.cmp(&a.time));
        family.events.truncate(EVENTS);
        Ok(family)
    }
}

// === impl Family ===

impl Family {
    /// What belongs to an object, each child followed by its own children.
    #[must_use]
    pub fn of(&self, kind: &str, namespace: &str, name: &str) -> Vec<ChildView> {
        let mut found = Vec::new();
        self.collect(kind, namespace, name, 1, &mut found);
        found
    }

    fn collect(&self, kind: &str, namespace: &str, name: &str, depth: u32, found: &mut Vec<ChildView>) {
        let key = [kind, namespace, name].map(str::to_owned);
        for child in self.children.get(&key).into_iter().flatten() {
            found.push(ChildView {
                depth,
                ..child.clone()
            });
            if depth < 3 {
                self.collect(&child.kind, namespace, &child.name, depth + 1, found);
            }
        }
    }

    fn add(&mut self, metadata: &ObjectMeta, child: Option<ChildView>) {
        let Some(child) = child else { return };
        for owner in metadata.owner_references.iter().flatten() {
            let key = [&owner.kind, &child.namespace, &owner.name].map(Clone::clone);
            self.children.entry(key).or_default().push(child.clone());
        }
    }
}

/// A ReplicaSet that is in use; the others are only remembered for a rollback.
fn replica_set(set: &ReplicaSet) -> Option<ChildView> {
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let status = set.status.as_ref();
    let there = status.map_or(0, |status| status.replicas);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    if wanted == 0 && there == 0 {
        return None;
    }
    let health = if ready == wanted && there == wanted {
        Health::Healthy
    } else {
        Health::Progressing
    };
    Some(ChildView {
        kind: "ReplicaSet".to_owned(),
        name: set.name_any(),
        namespace: set.namespace().unwrap_or_default(),
        depth: 0,
        health,
        reason: format!("{ready} of {wanted} ready"),
    })
}

fn pod(pod: &Pod) -> Option<ChildView> {
    let status = pod.status.as_ref();
    let phase = status
        .and_then(|status| status.phase.clone())
        .unwrap_or_else(|| "Pending".to_owned());
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| {
        all.iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    let trouble = trouble(&serde_json::to_value(pod).unwrap_or_default());
    let (health, reason) = match trouble {
        Some(trouble) if trouble.lasting => (Health::Failed, trouble.to_string()),
        Some(trouble) => (Health::Progressing, trouble.to_string()),
        None if pod.metadata.deletion_timestamp.is_some() => (Health::Progressing, "terminating".to_owned()),
        None if ready || phase == "Succeeded" => (Health::Healthy, phase),
        None => (Health::Progressing, phase),
    };
    Some(ChildView {
        kind: "Pod".to_owned(),
        name: pod.name_any(),
        namespace: pod.namespace().unwrap_or_default(),
        depth: 0,
        health,
        reason,
    })
}

fn event(event: &Event) -> EventView {
    let about = &event.involved_object;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = event.last_timestamp.as_ref().map(|time| time.0.to_string());
    let micro = event.event_time.as_ref().map(|time| time.0.to_string());
    EventView {
        time: time.or(micro).unwrap_or_default(),
        warning: event.type_.as_deref() == Some("Warning"),
        object: format!(
            "{} {}/{}",
            text(&about.kind),
            text(&about.namespace),
            text(&about.name)
        ),
        reason: text(&event.reason),
        message: text(&event.message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mk<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn pods_stand_below_the_replica_set_that_is_in_use() {
        let owned = |name: &str, kind: &str, owner: &str| json!({"name": name, "namespace": "shop", "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": owner, "uid": "1"}]});
        let set = |name: &str, replicas: u32| -> ReplicaSet {
            mk(
                json!({"metadata": owned(name, "Deployment", "web"), "spec": {"replicas": replicas, "selector": {}},
                "status": {"replicas": replicas, "readyReplicas": 0}}),
            )
        };
        let mut family = Family::default();
        for found in [set("web-old", 0), set("web-new", 2)] {
            family.add(&found.metadata, replica_set(&found));
        }
        let found: Pod = mk(
            json!({"metadata": owned("web-new-1", "ReplicaSet", "web-new"), "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}]}}),
        );
        family.add(&found.metadata, pod(&found));
        let seen: Vec<_> = family
            .of("Deployment", "shop", "web")
            .into_iter()
            .map(|child| (child.depth, child.name, child.health, child.reason))
            .collect();
        let expected = [
            (
                1,
                "web-new".to_owned(),
                Health::Progressing,
                "0 of 2 ready".to_owned(),
            ),
            (2, "web-new-1".to_owned(), Health::Healthy, "Running".to_owned()),
        ];
        assert_eq!(seen, expected);
        assert!(family.of("Deployment", "other", "web").is_empty());
    }
}
