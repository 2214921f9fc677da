//! Deployments: a ReplicaSet for each revision of the template, and the steps from the old ones to the new one.

mod status;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::Plain;
use crate::controllers::conditions;
use crate::controllers::decision::{Decision, Write};
use crate::controllers::hash;
use crate::controllers::revisions::{self, DESIRED, MAXIMUM, REVISION};
use crate::controllers::rolling::{Limits, Share, Size};
use crate::controllers::template::{is_finished, owner_reference};
use crate::controllers::view::{Place, View, controller_of, is_leaving, time};
use crate::kinds::fields::{flag, number, remove, selects, text};

const DEPLOYMENTS: &str = "deployments.apps";
const SETS: &str = "replicasets.apps";

/// Who tells.
const COMPONENT: &str = "deployment-controller";

/// The label that keeps the pods of revisions apart.
const HASH: &str = "pod-template-hash";

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

/// A Deployment with its ReplicaSets as they are now.
struct Rollout<'a> {
    deployment: &'a Value,
    limits: Limits,
    /// The set of the present template.
    new: Option<&'a Value>,
    /// The others, oldest first.
    old: Vec<&'a Value>,
    now: Timestamp,
}

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        DEPLOYMENTS => vec![place.clone()],
        SETS => owner_of(view, object, DEPLOYMENTS, "Deployment"),
        // Recreate waits for the end of the last pod.
        "pods" => {
            let set = owner_of(view, object, SETS, "ReplicaSet");
            let sets = set.iter().filter_map(|place| view.at(place));
            sets.flat_map(|set| owner_of(view, set, DEPLOYMENTS, "Deployment"))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The place of the controller of an object; of everything that may want it when it has none.
pub fn owner_of(view: &View, object: &Value, resource: &str, kind: &str) -> Vec<Place> {
    let namespace = text(&object["metadata"], "namespace");
    match controller_of(object) {
        Some(owner) if text(owner, "kind") == kind => vec![Place {
            resource: resource.into(),
            key: format!("{namespace}/{}", text(owner, "name")),
        }],
        Some(_) => Vec::new(),
        None => {
            let labels = &object["metadata"]["labels"];
            let wants = |one: &&Value| {
                one["spec"]["selector"].is_object() && selects(&one["spec"]["selector"], labels)
            };
            view.within(resource, namespace)
                .filter(wants)
                .map(|one| Place::of(resource, one))
                .collect()
        }
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(deployment) = view.at(place) else {
        return Decision::nothing();
    };
    if let Some(adoption) = adopt(view, deployment) {
        return adoption;
    }
    let rollout = Rollout::new(view, deployment);
    if is_leaving(deployment) {
        return rollout.report(Decision::nothing());
    }
    if let Some(decision) = rollout.pause_or_resume() {
        return decision;
    }
    if flag(&deployment["spec"], "paused") {
        return rollout.report(rollout.scale());
    }
    if rollout.is_recreated() && rollout.has_old_pods(view) {
        return rollout.report(rollout.end_old());
    }
    if let Some(decision) = rollout.settle_revision() {
        return decision;
    }
    if rollout.was_scaled() {
        return rollout.report(rollout.scale());
    }
    rollout.report(rollout.roll())
}

/// Takes ReplicaSets that match and have no controller.
fn adopt(view: &View, deployment: &Value) -> Option<Decision> {
    let mut decision = Decision::nothing();
    let selector = &deployment["spec"]["selector"];
    for set in view.within(SETS, text(&deployment["metadata"], "namespace")) {
        if controller_of(set).is_none() && !is_leaving(set) && selects(selector, &set["metadata"]["labels"]) {
            let mut set = set.clone();
            match set["metadata"]["ownerReferences"].as_array_mut() {
                Some(list) => list.push(owner_reference(deployment)),
                None => set["metadata"]["ownerReferences"] = json!([owner_reference(deployment)]),
            }
            decision.push(Write::Update(SETS.to_owned(), set));
        }
    }
    (!decision.writes.is_empty() && !is_leaving(deployment)).then_some(decision)
}

impl<'a> Rollout<'a> {
    fn new(view: &'a View, deployment: &'a Value) -> Self {
        let mut sets = view.controlled(SETS, deployment);
        sets.sort_by_key(|set| {
            (
                time(&set["metadata"], "creationTimestamp"),
                text(&set["metadata"], "name"),
            )
        });
        let is_new = |set: &&Value| has_template(set, &deployment["spec"]["template"]);
        let new = sets.iter().copied().find(is_new);
        let name = new.map(|new| text(&new["metadata"], "name"));
        sets.retain(|set| Some(text(&set["metadata"], "name")) != name);
        Self {
            deployment,
            limits: Limits::of(deployment),
            new,
            old: sets,
            now: view.now,
        }
    }

    fn all(&self) -> impl Iterator<Item = &'a Value> {
        self.old.iter().copied().chain(self.new)
    }

    /// Notes in the conditions that somebody has paused or resumed the update.
    fn pause_or_resume(&self) -> Option<Decision> {
        let (spec, status) = (&self.deployment["spec"], &self.deployment["status"]);
        if !self.has_deadline() {
            return None;
        }
        let reason = conditions::find(status, "Progressing").map_or("", |one| text(one, "reason"));
        let (reason, message) = match (flag(spec, "paused"), reason) {
            (_, "ProgressDeadlineExceeded") | (true, "DeploymentPaused") => return None,
            (true, _) => ("DeploymentPaused", "Deployment is paused"),
            (false, "DeploymentPaused") => ("DeploymentResumed", "Deployment is resumed"),
            (false, _) => return None,
        };
        let mut status = status.clone();
        self.progress(&mut status, "Unknown", reason, message);
        let mut decision = Decision::nothing();
        decision.status(DEPLOYMENTS, self.deployment, status);
        Some(decision)
    }

    /// Makes the ReplicaSet of the present template, or gives it its number; none if all that is done.
    fn settle_revision(&self) -> Option<Decision> {
        let revision = revisions::next(self.old.iter());
        let mut decision = Decision::nothing();
        let Some(new) = self.new else {
            return Some(self.make_set(revision));
        };
        let mut marked = new.clone();
        revisions::mark(&mut marked, self.deployment, revision, false);
        let delay = &self.deployment["spec"]["minReadySeconds"];
        match delay.as_i64() {
            Some(_) => marked["spec"]["minReadySeconds"] = delay.clone(),
            None => remove(&mut marked["spec"], "minReadySeconds"),
        }
        if marked != *new {
            decision.push(Write::Update(SETS.to_owned(), marked));
            return Some(decision);
        }
        let number = text(&new["metadata"]["annotations"], REVISION);
        let has_number = text(&self.deployment["metadata"]["annotations"], REVISION) == number;
        let has_condition = conditions::find(&self.deployment["status"], "Progressing").is_some();
        if has_number && (has_condition || !self.has_deadline()) {
            return None;
        }
        let mut deployment = self.deployment.clone();
        revisions::annotate(&mut deployment, REVISION, number.to_owned());
        if !has_condition && self.has_deadline() {
            let message = format!("Found new replica set {:?}", text(&new["metadata"], "name"));
            self.progress(&mut deployment["status"], "True", "FoundNewReplicaSet", &message);
        }
        decision.push(Write::Status(DEPLOYMENTS, deployment));
        Some(decision)
    }

    fn make_set(&self, revision: i64) -> Decision {
        let collisions = number(&self.deployment["status"], "collisionCount");
        let metadata = &self.deployment["metadata"];
        let mut template = self.deployment["spec"]["template"].clone();
        let hash = hash::of_template(&template, collisions);
        let name = format!("{}-{hash}", text(metadata, "name"));
        let mut selector = self.deployment["spec"]["selector"].clone();
        template["metadata"]["labels"][HASH] = hash.clone().into();
        selector["matchLabels"][HASH] = hash.into();
        let old: i64 = self.old.iter().map(|set| wanted(set)).sum();
        let size = (self.limits.most() - old).clamp(0, self.limits.replicas);
        let mut set = json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner_reference(self.deployment)],
            },
            "spec": {"replicas": size, "selector": selector, "template": template},
        });
        if let Some(delay) = self.deployment["spec"]["minReadySeconds"].as_i64() {
            set["spec"]["minReadySeconds"] = delay.into();
        }
        revisions::mark(&mut set, self.deployment, revision, true);
        let mut decision = Decision::nothing();
        decision.push(Write::Create(SETS, set));
        if size > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {size}");
            decision.tell(COMPONENT, self.deployment, "ScalingReplicaSet", message);
        }
        if self.has_deadline() {
            let mut deployment = self.deployment.clone();
            revisions::annotate(&mut deployment, REVISION, revision.to_string());
            let message = format!("Created new replica set {name:?}");
            self.progress(
                &mut deployment["status"],
                "True",
                "NewReplicaSetCreated",
                &message,
            );
            decision.push(Write::Status(DEPLOYMENTS, deployment));
        }
        decision
    }

    /// Whether a ReplicaSet has pods, and was sized for another number of replicas.
    fn was_scaled(&self) -> bool {
        let mut active = self.all().filter(|set| wanted(set) > 0);
        active.any(|set| {
            revisions::number_of(set, DESIRED).is_some_and(|desired| desired != self.limits.replicas)
        })
    }

    /// Sizes the sets for a changed number of replicas, in the middle of an update by their shares.
    fn scale(&self) -> Decision {
        let mut decision = Decision::nothing();
        let mut active: Vec<&Value> = self.all().filter(|set| wanted(set) > 0).collect();
        if active.len() <= 1 {
            let newest = || self.new.or_else(|| self.old.last().copied());
            if let Some(set) = active.first().copied().or_else(newest) {
                self.resize(&mut decision, set, self.limits.replicas);
            }
            return decision;
        }
        if self.new.is_some_and(|new| self.is_saturated(new)) {
            for set in self.old.iter().filter(|set| wanted(set) > 0) {
                self.resize(&mut decision, set, 0);
            }
            return decision;
        }
        if self.is_recreated() {
            return decision;
        }
        let total: i64 = active.iter().map(|set| wanted(set)).sum();
        let grows = self.limits.most() > total;
        let age = |set: &Value| time(&set["metadata"], "creationTimestamp");
        active.sort_by(|a, b| {
            let by_age = age(a).cmp(&age(b));
            wanted(b)
                .cmp(&wanted(a))
                .then(if grows { by_age.reverse() } else { by_age })
        });
        let shares: Vec<Share> = active
            .iter()
            .map(|set| Share {
                wanted: wanted(set),
                allowed_before: revisions::number_of(set, MAXIMUM).unwrap_or_default(),
            })
            .collect();
        let sizes = self
            .limits
            .divide(&shares, number(&self.deployment["status"], "replicas"));
        for (set, size) in active.into_iter().zip(sizes) {
            self.resize(&mut decision, set, size);
        }
        decision
    }

    fn is_saturated(&self, set: &Value) -> bool {
        wanted(set) == self.limits.replicas
            && revisions::number_of(set, DESIRED) == Some(self.limits.replicas)
            && available(set) == self.limits.replicas
    }

    fn resize(&self, decision: &mut Decision, set: &Value, size: i64) {
        let mut resized = set.clone();
        let before = wanted(set);
        resized["spec"]["replicas"] = size.into();
        revisions::mark_size(&mut resized, &self.limits);
        if resized == *set {
            return;
        }
        decision.push(Write::Update(SETS.to_owned(), resized));
        if size != before {
            let direction = if size > before { "up" } else { "down" };
            let name = text(&set["metadata"], "name");
            let message = format!("Scaled {direction} replica set {name} from {before} to {size}");
            decision.tell(COMPONENT, self.deployment, "ScalingReplicaSet", message);
        }
    }

    /// The next step of a rolling update.
    fn roll(&self) -> Decision {
        let mut decision = Decision::nothing();
        let Some(new) = self.new else {
            return decision;
        };
        let size = |set: &Value| Size {
            wanted: wanted(set),
            available: available(set),
        };
        let old: Vec<Size> = self.old.iter().map(|set| size(set)).collect();
        // Without a surge and without any pod that may be missing, all new pods come at once: the old ones are gone.
        if let Some(grown) = self.limits.grow(size(new), &old) {
            self.resize(&mut decision, new, grown);
            return decision;
        }
        if let Some(sizes) = self.limits.shrink(size(new), &old) {
            for (set, size) in self.old.iter().zip(sizes) {
                if size != wanted(set) {
                    self.resize(&mut decision, set, size);
                }
            }
            return decision;
        }
        self.forget_history(&mut decision);
        decision
    }

    fn is_recreated(&self) -> bool {
        text(&self.deployment["spec"]["strategy"], "type") == "Recreate"
    }

    /// Whether pods of former revisions are still there, all of which an update by recreation ends first.
    fn has_old_pods(&self, view: &View) -> bool {
        let mut pods = self.old.iter().flat_map(|set| view.controlled("pods", set));
        self.old.iter().any(|set| wanted(set) > 0) || pods.any(|pod| !is_finished(pod))
    }

    /// Ends the pods of former revisions.
    fn end_old(&self) -> Decision {
        let mut decision = Decision::nothing();
        for set in self.old.iter().filter(|set| wanted(set) > 0) {
            self.resize(&mut decision, set, 0);
        }
        decision
    }

    /// Deletes the oldest ReplicaSets beyond the limit, once the update is complete.
    fn forget_history(&self, decision: &mut Decision) {
        let spec = &self.deployment["spec"];
        let Some(limit) = spec["revisionHistoryLimit"].as_u64() else {
            return;
        };
        if !self.is_complete(&self.counts()) {
            return;
        }
        let mut old: Vec<&Value> = self.old.iter().copied().filter(|set| !is_leaving(set)).collect();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|set| revisions::number_of(set, REVISION));
        for set in old.into_iter().take(surplus) {
            if wanted(set) == 0 && number(&set["status"], "replicas") == 0 {
                decision.delete(SETS, set);
            }
        }
    }
}

/// Whether a ReplicaSet has been made from this template, apart from the hash in its labels.
fn has_template(set: &Value, template: &Value) -> bool {
    let mut own = set["spec"]["template"].clone();
    if let Some(labels) = own["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    own == *template
}

fn wanted(set: &Value) -> i64 {
    number(&set["spec"], "replicas")
}

fn available(set: &Value) -> i64 {
    number(&set["status"], "availableReplicas")
}
