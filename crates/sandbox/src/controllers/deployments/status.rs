//! The status of a Deployment: its numbers, and what its conditions say of its availability and progress.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{DEPLOYMENTS, Rollout, wanted};
use crate::clock::stamp;
use crate::controllers::conditions::{self, Condition};
use crate::controllers::decision::Decision;
use crate::controllers::view::{is_leaving, time};
use crate::kinds::fields::{flag, items, number, text};

/// A Deployment without a deadline for progress.
const NO_DEADLINE: i64 = i32::MAX as i64;

impl<'a> Rollout<'a> {
    /// The numbers of the status.
    pub(super) fn counts(&self) -> Value {
        let sum = |sets: &mut dyn Iterator<Item = &'a Value>, field: &str| -> i64 {
            sets.map(|set| number(&set["status"], field)).sum()
        };
        let total: i64 = self.all().map(wanted).sum();
        let available = sum(&mut self.all(), "availableReplicas");
        let mut status = json!({
            "observedGeneration": self.deployment["metadata"]["generation"],
            "replicas": sum(&mut self.all(), "replicas"),
            "updatedReplicas": sum(&mut self.new.into_iter(), "replicas"),
            "readyReplicas": sum(&mut self.all(), "readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": (total - available).max(0),
        });
        if let Some(map) = status.as_object_mut() {
            map.retain(|_, count| *count != 0);
        }
        status["terminatingReplicas"] = sum(&mut self.all(), "terminatingReplicas").into();
        if !self.deployment["status"]["collisionCount"].is_null() {
            status["collisionCount"] = self.deployment["status"]["collisionCount"].clone();
        }
        status["conditions"] = json!(items(&self.deployment["status"], "conditions"));
        status
    }

    pub(super) fn is_complete(&self, status: &Value) -> bool {
        let replicas = self.limits.replicas;
        ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|field| number(status, field) == replicas)
    }

    /// Adds the status to the other writes.
    pub(super) fn report(&self, mut decision: Decision) -> Decision {
        let (before, mut status) = (&self.deployment["status"], self.counts());
        let is_available = number(&status, "availableReplicas") >= self.limits.fewest();
        let (word, reason, message) = if is_available {
            (
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            )
        } else {
            (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        };
        self.condition(&mut status, "Available", word, reason, message);
        if self.has_deadline() && !is_leaving(self.deployment) && !flag(&self.deployment["spec"], "paused") {
            if let Some(deadline) = self.judge_progress(before, &mut status) {
                decision.look_at(deadline);
            }
        } else if !self.has_deadline() {
            conditions::remove(&mut status, "Progressing");
        }
        self.report_failure(&mut status);
        decision.status(DEPLOYMENTS, self.deployment, status);
        decision
    }

    /// Sets the condition `Progressing`; gives the time at which the deadline passes.
    fn judge_progress(&self, before: &Value, status: &mut Value) -> Option<Timestamp> {
        let found = conditions::find(before, "Progressing");
        let reason = found.map_or("", |one| text(one, "reason"));
        let is_done = number(status, "replicas") == number(status, "updatedReplicas")
            && reason == "NewReplicaSetAvailable";
        if is_done {
            return None;
        }
        let (kind, name) = match self.new {
            Some(new) => ("ReplicaSet", text(&new["metadata"], "name")),
            None => ("Deployment", text(&self.deployment["metadata"], "name")),
        };
        if self.is_complete(status) {
            let message = format!("{kind} {name:?} has successfully progressed.");
            self.progress(status, "True", "NewReplicaSetAvailable", &message);
            return None;
        }
        if has_progressed(before, status) {
            let message = format!("{kind} {name:?} is progressing.");
            self.progress(status, "True", "ReplicaSetUpdated", &message);
        }
        let found = conditions::find(status, "Progressing")?;
        if matches!(
            text(found, "reason"),
            "ProgressDeadlineExceeded" | "NewReplicaSetAvailable"
        ) {
            return None;
        }
        let limit = SignedDuration::from_secs(number(&self.deployment["spec"], "progressDeadlineSeconds"));
        let deadline = time(found, "lastUpdateTime")?.checked_add(limit).ok()?;
        if deadline >= self.now {
            // Times are kept in seconds, so the deadline has passed in the second after it.
            return deadline.checked_add(SignedDuration::from_millis(1)).ok();
        }
        let message = format!("{kind} {name:?} has timed out progressing.");
        self.progress(status, "False", "ProgressDeadlineExceeded", &message);
        None
    }

    /// Takes over the failure to make pods from the ReplicaSets.
    fn report_failure(&self, status: &mut Value) {
        let failures = self.new.into_iter().chain(self.old.iter().copied());
        let mut failures = failures.filter_map(|set| conditions::find(&set["status"], "ReplicaFailure"));
        match failures.next() {
            Some(failure) => {
                let (word, reason) = (text(failure, "status"), text(failure, "reason"));
                self.condition(status, "ReplicaFailure", word, reason, text(failure, "message"));
            }
            None => conditions::remove(status, "ReplicaFailure"),
        }
    }

    pub(super) fn has_deadline(&self) -> bool {
        let deadline = &self.deployment["spec"]["progressDeadlineSeconds"];
        deadline.as_i64().is_some_and(|seconds| seconds != NO_DEADLINE)
    }

    pub(super) fn progress(&self, status: &mut Value, word: &str, reason: &str, message: &str) {
        self.condition(status, "Progressing", word, reason, message);
        // Progress moves the deadline even where nothing but the numbers has changed.
        if reason == "ReplicaSetUpdated"
            && let Some(mut found) = conditions::find(status, "Progressing").cloned()
        {
            found["lastUpdateTime"] = stamp(self.now).into();
            put_last(status, "Progressing", found);
        }
    }

    fn condition(&self, status: &mut Value, kind: &str, word: &str, reason: &str, message: &str) {
        let condition = Condition {
            kind,
            status: word,
            reason,
            message,
        };
        let old = conditions::find(status, kind).cloned();
        if old
            .as_ref()
            .is_some_and(|old| text(old, "status") == word && text(old, "reason") == reason)
        {
            return;
        }
        conditions::set(status, condition, self.now);
        let found = conditions::find(status, kind).cloned().unwrap_or_default();
        let since = found["lastTransitionTime"].clone();
        let new = json!({
            "type": kind, "status": word, "lastUpdateTime": stamp(self.now), "lastTransitionTime": since,
            "reason": reason, "message": message,
        });
        put_last(status, kind, new);
    }
}

/// Puts a condition at the end, so that the conditions stand in the order of their changes.
fn put_last(status: &mut Value, kind: &str, condition: Value) {
    conditions::remove(status, kind);
    conditions::put(status, kind, condition);
}

fn has_progressed(before: &Value, after: &Value) -> bool {
    let grew = |field: &str| number(after, field) > number(before, field);
    let old = |status: &Value| number(status, "replicas") - number(status, "updatedReplicas");
    grew("updatedReplicas") || grew("readyReplicas") || grew("availableReplicas") || old(after) < old(before)
}
