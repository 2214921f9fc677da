//! StatefulSets: pods with names of their own, that come in order, go in reverse, and keep their claims.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Plain;
use super::decision::{Decision, Write};
use super::deployments::owner_of;
use super::hash;
use super::template::{self, available_at, is_available, is_finished, is_ready, owner_reference};
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::{items, number, text};

const SETS: &str = "statefulsets.apps";
const REVISIONS: &str = "controllerrevisions.apps";
const COMPONENT: &str = "statefulset-controller";

/// The label with the revision of a pod's template.
pub const REVISION: &str = "controller-revision-hash";

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

/// A set with its pods by their numbers.
struct Set<'a> {
    set: &'a Value,
    pods: BTreeMap<i64, &'a Value>,
    /// The revision of the present template.
    update: String,
    /// The revision that all pods had when they last were alike.
    current: String,
    delay: i64,
}

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        SETS => vec![place.clone()],
        "pods" => owner_of(view, object, SETS, "StatefulSet"),
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(set) = view.at(place) else {
        return decision;
    };
    let set = Set::new(view, set);
    if !is_leaving(set.set) {
        set.keep_revision(view, &mut decision);
        set.step(view, &mut decision);
    }
    let status = set.status(view, &mut decision);
    decision.status(SETS, set.set, status);
    decision
}

impl<'a> Set<'a> {
    fn new(view: &'a View, set: &'a Value) -> Self {
        let prefix = format!("{}-", text(&set["metadata"], "name"));
        let ordinal = |pod: &Value| text(&pod["metadata"], "name").strip_prefix(&prefix)?.parse().ok();
        let pods = view.controlled("pods", set);
        let update = revision_name(set, &set["spec"]["template"]);
        let current = match text(&set["status"], "currentRevision") {
            "" => update.clone(),
            current => current.to_owned(),
        };
        Self {
            set,
            pods: pods
                .into_iter()
                .filter_map(|pod| Some((ordinal(pod)?, pod)))
                .collect(),
            update,
            current,
            delay: number(&set["spec"], "minReadySeconds"),
        }
    }

    fn replicas(&self) -> i64 {
        number(&self.set["spec"], "replicas")
    }

    fn start(&self) -> i64 {
        number(&self.set["spec"]["ordinals"], "start")
    }

    fn is_parallel(&self) -> bool {
        text(&self.set["spec"], "podManagementPolicy") == "Parallel"
    }

    /// Keeps the template of the present revision, as a later rollback needs it.
    fn keep_revision(&self, view: &View, decision: &mut Decision) {
        let namespace = text(&self.set["metadata"], "namespace");
        if view.get(REVISIONS, namespace, &self.update).is_some() {
            return;
        }
        let others = view.controlled(REVISIONS, self.set);
        let newest = others
            .iter()
            .map(|one| number(one, "revision"))
            .max()
            .unwrap_or_default();
        decision.push(Write::Create(
            REVISIONS,
            revision(self.set, &self.update, newest + 1),
        ));
    }

    /// The next steps: what is missing or has ended first, then what is too many, then what is of an old revision.
    fn step(&self, view: &View, decision: &mut Decision) {
        let wanted = self.start()..self.start() + self.replicas();
        for ordinal in wanted.clone() {
            match self.pods.get(&ordinal) {
                None => self.make(view, ordinal, decision),
                Some(pod) if is_leaving(pod) => {}
                Some(pod) if is_finished(pod) => {
                    decision.delete("pods", pod);
                }
                Some(pod) if is_ready(pod) && is_available(pod, self.delay, view.now) => continue,
                Some(_) => {}
            }
            if !self.is_parallel() {
                return;
            }
        }
        let surplus = self
            .pods
            .iter()
            .rev()
            .filter(|(ordinal, _)| !wanted.contains(ordinal));
        for (_, pod) in surplus {
            if !is_leaving(pod) {
                self.end(pod, decision);
            }
            if !self.is_parallel() {
                return;
            }
        }
        if text(&self.set["spec"]["updateStrategy"], "type") == "RollingUpdate" {
            self.update_one(view, decision);
        }
    }

    /// Replaces the pod with the highest number that is of an old revision, when all above it are well again.
    fn update_one(&self, view: &View, decision: &mut Decision) {
        let partition = number(&self.set["spec"]["updateStrategy"]["rollingUpdate"], "partition");
        let first = self.start() + partition;
        for (_, pod) in self
            .pods
            .iter()
            .rev()
            .take_while(|(ordinal, _)| **ordinal >= first)
        {
            if revision_of(pod) != self.update {
                if !is_leaving(pod) {
                    self.end(pod, decision);
                }
                return;
            }
            if is_leaving(pod) || !is_available(pod, self.delay, view.now) {
                return;
            }
        }
    }

    fn end(&self, pod: &Value, decision: &mut Decision) {
        let (name, set) = (
            text(&pod["metadata"], "name"),
            text(&self.set["metadata"], "name"),
        );
        decision.delete("pods", pod);
        let message = format!("delete Pod {name} in StatefulSet {set} successful");
        decision.tell(COMPONENT, self.set, "SuccessfulDelete", message);
    }

    fn make(&self, view: &View, ordinal: i64, decision: &mut Decision) {
        let partition = number(&self.set["spec"]["updateStrategy"]["rollingUpdate"], "partition");
        let is_old = ordinal < self.start() + partition && self.current != self.update;
        let namespace = text(&self.set["metadata"], "namespace");
        let old = view.get(REVISIONS, namespace, &self.current).filter(|_| is_old);
        let template = old.map_or(
            &self.set["spec"]["template"],
            |old| &old["data"]["spec"]["template"],
        );
        let revision = if old.is_some() {
            &self.current
        } else {
            &self.update
        };
        let set = text(&self.set["metadata"], "name");
        let name = format!("{set}-{ordinal}");
        let mut pod = template::pod(self.set, template);
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("generateName");
        }
        pod["metadata"]["name"] = name.clone().into();
        let labels = &mut pod["metadata"]["labels"];
        labels[REVISION] = revision.as_str().into();
        labels["statefulset.kubernetes.io/pod-name"] = name.clone().into();
        labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
        pod["spec"]["hostname"] = name.clone().into();
        if !text(&self.set["spec"], "serviceName").is_empty() {
            pod["spec"]["subdomain"] = self.set["spec"]["serviceName"].clone();
        }
        self.claims(view, ordinal, &mut pod, decision);
        decision.push(Write::Create("pods", pod));
        let message = format!("create Pod {name} in StatefulSet {set} successful");
        decision.tell(COMPONENT, self.set, "SuccessfulCreate", message);
    }

    /// Makes the claims of a pod that are not there yet, and mounts them.
    fn claims(&self, view: &View, ordinal: i64, pod: &mut Value, decision: &mut Decision) {
        let (set, namespace) = (
            text(&self.set["metadata"], "name"),
            text(&self.set["metadata"], "namespace"),
        );
        for template in items(&self.set["spec"], "volumeClaimTemplates") {
            let volume = text(&template["metadata"], "name");
            let name = format!("{volume}-{set}-{ordinal}");
            if view.get("persistentvolumeclaims", namespace, &name).is_none() {
                let mut claim = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": template["metadata"],
                    "spec": template["spec"],
                });
                claim["metadata"]["name"] = name.clone().into();
                claim["metadata"]["namespace"] = namespace.into();
                claim["metadata"]["labels"] = self.set["spec"]["selector"]["matchLabels"].clone();
                decision.push(Write::Create("persistentvolumeclaims", claim));
            }
            let mount = json!({"name": volume, "persistentVolumeClaim": {"claimName": name}});
            match pod["spec"]["volumes"].as_array_mut() {
                Some(volumes) => {
                    volumes.retain(|one| text(one, "name") != volume);
                    volumes.push(mount);
                }
                None => pod["spec"]["volumes"] = json!([mount]),
            }
        }
    }

    fn status(&self, view: &View, decision: &mut Decision) -> Value {
        let pods = || self.pods.values().filter(|pod| !is_finished(pod));
        let of = |revision: &str| {
            pods()
                .filter(|pod| !is_leaving(pod) && revision_of(pod) == revision)
                .count()
        };
        let available = pods()
            .filter(|pod| is_available(pod, self.delay, view.now))
            .count();
        let (current, updated) = (of(&self.current), of(&self.update));
        let is_done = i64::try_from(updated).ok() == Some(self.replicas())
            && i64::try_from(available).ok() == Some(self.replicas())
            && pods().count() == updated;
        let (revision, current) = if is_done {
            (&self.update, updated)
        } else {
            (&self.current, current)
        };
        let mut status = json!({
            "observedGeneration": self.set["metadata"]["generation"],
            "replicas": pods().count(),
            "readyReplicas": pods().filter(|pod| is_ready(pod)).count(),
            "currentReplicas": current,
            "updatedReplicas": updated,
            "currentRevision": revision,
            "updateRevision": self.update,
            "collisionCount": 0,
            "availableReplicas": available,
        });
        if let Some(map) = status.as_object_mut() {
            let always = ["replicas", "collisionCount", "availableReplicas"];
            map.retain(|name, count| always.contains(&name.as_str()) || *count != 0);
        }
        let coming = pods()
            .filter_map(|pod| available_at(pod, self.delay))
            .filter(|time| *time > view.now);
        if let Some(next) = coming.min() {
            decision.look_at(next);
        }
        status
    }
}

/// The revision that a pod was made from.
pub fn revision_of(pod: &Value) -> &str {
    text(&pod["metadata"]["labels"], REVISION)
}

/// The name of the revision of a template.
pub fn revision_name(owner: &Value, template: &Value) -> String {
    format!(
        "{}-{}",
        text(&owner["metadata"], "name"),
        hash::of_template(template, 0)
    )
}

/// A ControllerRevision that keeps the template of its owner.
pub fn revision(owner: &Value, name: &str, number: i64) -> Value {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": owner["spec"]["template"]["metadata"]["labels"],
            "annotations": owner["metadata"]["annotations"],
            "ownerReferences": [owner_reference(owner)],
        },
        "data": {"spec": {"template": template}},
        "revision": number,
    })
}
