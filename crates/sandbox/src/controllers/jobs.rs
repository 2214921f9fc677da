//! Jobs: pods that end, until enough have ended well or too many badly.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Plain;
use super::conditions::{self, Condition};
use super::decision::{Decision, Write};
use super::deployments::owner_of;
use super::template::{self, is_active, is_ready};
use super::view::{Place, View, is_leaving, time};
use crate::clock::stamp;
use crate::kinds::fields::{flag, items, items_mut, number, remove, text};

const JOBS: &str = "jobs.batch";
const COMPONENT: &str = "job-controller";

/// The annotation and label with the number of a pod of an indexed Job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// How long the first failure delays the next pod; each further one doubles it, up to the longest.
const BACKOFF: i64 = 10;
const LONGEST_BACKOFF: i64 = 600;

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

/// A Job with its pods.
struct Run<'a> {
    job: &'a Value,
    pods: Vec<&'a Value>,
    active: Vec<&'a Value>,
    now: Timestamp,
}

/// How a Job has ended.
struct End {
    kind: &'static str,
    reason: &'static str,
    message: String,
}

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    match &*place.resource {
        JOBS => vec![place.clone()],
        "pods" => owner_of(view, object, JOBS, "Job"),
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let mut decision = Decision::nothing();
    let Some(job) = view.at(place) else {
        return decision;
    };
    if is_leaving(job) {
        return decision;
    }
    if has_ended(job) {
        expire(job, view.now, &mut decision);
        return decision;
    }
    let pods = view.controlled("pods", job);
    let run = Run {
        job,
        active: pods.iter().copied().filter(|pod| is_active(pod)).collect(),
        pods,
        now: view.now,
    };
    match run.end(&mut decision) {
        Some(end) => run.finish(&end, &mut decision),
        None => run.go_on(&mut decision),
    }
    decision
}

/// Whether a Job has completed or failed.
pub fn has_ended(job: &Value) -> bool {
    ["Complete", "Failed"]
        .iter()
        .any(|kind| conditions::is(&job["status"], kind, "True"))
}

/// Deletes a Job that has ended long enough ago.
fn expire(job: &Value, now: Timestamp, decision: &mut Decision) {
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else {
        return;
    };
    let ended = items(&job["status"], "conditions")
        .iter()
        .filter(|one| matches!(text(one, "type"), "Complete" | "Failed") && text(one, "status") == "True");
    let ended = ended.filter_map(|one| time(one, "lastTransitionTime")).max();
    match ended.and_then(|ended| ended.checked_add(SignedDuration::from_secs(seconds)).ok()) {
        Some(due) if due <= now => decision.delete(JOBS, job),
        Some(due) => decision.look_at(due),
        None => {}
    }
}

impl Run<'_> {
    fn with_phase(&self, phase: &str) -> impl Iterator<Item = &Value> {
        self.pods
            .iter()
            .copied()
            .filter(move |pod| text(&pod["status"], "phase") == phase)
    }

    fn is_indexed(&self) -> bool {
        text(&self.job["spec"], "completionMode") == "Indexed"
    }

    fn indices(&self, phase: &str) -> BTreeSet<i64> {
        self.with_phase(phase).filter_map(index_of).collect()
    }

    fn succeeded(&self) -> i64 {
        let count = if self.is_indexed() {
            self.indices("Succeeded").len()
        } else {
            self.with_phase("Succeeded").count()
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// Pods that have failed, and restarts of containers in pods that have not.
    fn failures(&self) -> i64 {
        let restarts = |pod: &&Value| -> i64 {
            items(&pod["status"], "containerStatuses")
                .iter()
                .map(|status| number(status, "restartCount"))
                .sum()
        };
        let failed = i64::try_from(self.with_phase("Failed").count()).unwrap_or(i64::MAX);
        failed + self.active.iter().map(restarts).sum::<i64>()
    }

    /// Whether and how the Job ends now.
    fn end(&self, decision: &mut Decision) -> Option<End> {
        let spec = &self.job["spec"];
        if self.failures() > number(spec, "backoffLimit") {
            return Some(End {
                kind: "Failed",
                reason: "BackoffLimitExceeded",
                message: "Job has reached the specified backoff limit".to_owned(),
            });
        }
        let start = time(&self.job["status"], "startTime");
        if let (Some(limit), Some(start)) = (spec["activeDeadlineSeconds"].as_i64(), start) {
            let deadline = start
                .checked_add(SignedDuration::from_secs(limit))
                .unwrap_or(Timestamp::MAX);
            if deadline <= self.now {
                return Some(End {
                    kind: "Failed",
                    reason: "DeadlineExceeded",
                    message: "Job was active longer than specified deadline".to_owned(),
                });
            }
            decision.look_at(deadline);
        }
        let is_complete = match spec["completions"].as_i64() {
            Some(wanted) => self.succeeded() >= wanted,
            None => self.succeeded() > 0 && self.active.is_empty(),
        };
        is_complete.then(|| End {
            kind: "Complete",
            reason: "CompletionsReached",
            message: "Reached expected number of succeeded pods".to_owned(),
        })
    }

    fn finish(&self, end: &End, decision: &mut Decision) {
        for pod in &self.active {
            decision.delete("pods", pod);
        }
        let mut status = self.counts();
        for count in ["active", "ready"] {
            remove(&mut status, count);
        }
        status["ready"] = 0.into();
        let early = if end.kind == "Complete" {
            "SuccessCriteriaMet"
        } else {
            "FailureTarget"
        };
        for kind in [early, end.kind] {
            self.condition(&mut status, kind, end.reason, &end.message);
        }
        if end.kind == "Complete" {
            status["completionTime"] = stamp(self.now).into();
            decision.tell(COMPONENT, self.job, "Completed", "Job completed".to_owned());
        } else {
            decision.warn(COMPONENT, self.job, end.reason, end.message.clone());
        }
        decision.status(JOBS, self.job, status);
    }

    fn condition(&self, status: &mut Value, kind: &str, reason: &str, message: &str) {
        let condition = Condition {
            kind,
            status: "True",
            reason,
            message,
        };
        conditions::set(status, condition, self.now);
        if let Some(list) = status["conditions"].as_array_mut()
            && let Some(found) = list.iter_mut().find(|one| text(one, "type") == kind)
        {
            found["lastProbeTime"] = stamp(self.now).into();
        }
    }

    fn go_on(&self, decision: &mut Decision) {
        let is_suspended = flag(&self.job["spec"], "suspend");
        let mut status = self.counts();
        if is_suspended {
            for pod in &self.active {
                decision.delete("pods", pod);
            }
            if !conditions::is(&status, "Suspended", "True") {
                self.condition(&mut status, "Suspended", "JobSuspended", "Job suspended");
                decision.tell(COMPONENT, self.job, "Suspended", "Job suspended".to_owned());
            }
            remove(&mut status, "startTime");
        } else if conditions::is(&status, "Suspended", "True") {
            let resumed = Condition {
                kind: "Suspended",
                status: "False",
                reason: "JobResumed",
                message: "Job resumed",
            };
            conditions::set(&mut status, resumed, self.now);
            decision.tell(COMPONENT, self.job, "Resumed", "Job resumed".to_owned());
        }
        if !is_suspended {
            self.make_pods(decision);
        }
        decision.status(JOBS, self.job, status);
    }

    fn make_pods(&self, decision: &mut Decision) {
        let spec = &self.job["spec"];
        let active = i64::try_from(self.active.len()).unwrap_or(i64::MAX);
        let open = spec["completions"]
            .as_i64()
            .map(|wanted| wanted - self.succeeded());
        // Without a number of completions, one success is the end, and no pod is made after it.
        let open = open.unwrap_or(if self.succeeded() > 0 { active } else { i64::MAX });
        let wanted = number(spec, "parallelism").min(open);
        for pod in self
            .active
            .iter()
            .skip(usize::try_from(wanted).unwrap_or_default())
        {
            decision.delete("pods", pod);
        }
        if active >= wanted {
            return;
        }
        if let Some(due) = self.after_failures()
            && due > self.now
        {
            return decision.look_at(due);
        }
        let taken = |index: &i64| {
            self.indices("Succeeded").contains(index)
                || self.active.iter().any(|pod| index_of(pod) == Some(*index))
        };
        let mut free = (0..number(spec, "completions")).filter(|index| !taken(index));
        for _ in active..wanted {
            let index = if self.is_indexed() { free.next() } else { None };
            let pod = self.pod(index);
            let message = format!("Created pod: {}", text(&pod["metadata"], "name"));
            decision.push(Write::Create("pods", pod));
            decision.tell(COMPONENT, self.job, "SuccessfulCreate", message);
        }
    }

    /// When the next pod may come after the failures so far.
    fn after_failures(&self) -> Option<Timestamp> {
        let count = u32::try_from(self.with_phase("Failed").count())
            .ok()?
            .checked_sub(1)?;
        let delay = BACKOFF
            .checked_shl(count)
            .unwrap_or(LONGEST_BACKOFF)
            .min(LONGEST_BACKOFF);
        let ended = self.with_phase("Failed").filter_map(|pod| {
            let statuses = items(&pod["status"], "containerStatuses").iter();
            statuses
                .filter_map(|status| time(&status["state"]["terminated"], "finishedAt"))
                .max()
        });
        ended.max()?.checked_add(SignedDuration::from_secs(delay)).ok()
    }

    fn pod(&self, index: Option<i64>) -> Value {
        let mut pod = template::pod(self.job, &self.job["spec"]["template"]);
        let base = text(&self.job["metadata"], "name");
        let base = index.map_or_else(|| base.to_owned(), |index| format!("{base}-{index}"));
        pod["metadata"]["name"] = format!("{base}-{}", super::hash::suffix()).into();
        if let Some(index) = index {
            let index = index.to_string();
            pod["metadata"]["annotations"][INDEX] = index.clone().into();
            pod["metadata"]["labels"][INDEX] = index.clone().into();
            pod["spec"]["hostname"] = base.into();
            for container in items_mut(&mut pod["spec"], "containers") {
                let variable = json!({"name": "JOB_COMPLETION_INDEX", "value": index});
                match container["env"].as_array_mut() {
                    Some(list) => list.push(variable),
                    None => container["env"] = json!([variable]),
                }
            }
        }
        pod
    }

    fn counts(&self) -> Value {
        let mut status = json!({
            "conditions": items(&self.job["status"], "conditions"),
            "startTime": self.job["status"]["startTime"],
            "active": self.active.len(),
            "succeeded": self.succeeded(),
            "failed": self.with_phase("Failed").count(),
            "terminating": self.pods.iter().filter(|pod| is_leaving(pod)).count(),
            "uncountedTerminatedPods": {},
            "ready": self.active.iter().filter(|pod| is_ready(pod)).count(),
        });
        if status["startTime"].is_null() {
            status["startTime"] = stamp(self.now).into();
        }
        if self.is_indexed() {
            let done: Vec<i64> = self.indices("Succeeded").into_iter().collect();
            status["completedIndexes"] = ranges(&done).into();
        }
        let optional = ["active", "succeeded", "failed"];
        if let Some(map) = status.as_object_mut() {
            map.retain(|name, value| {
                !(optional.contains(&name.as_str()) && *value == 0 || *value == "" || *value == json!([]))
            });
        }
        status
    }
}

fn index_of(pod: &Value) -> Option<i64> {
    text(&pod["metadata"]["annotations"], INDEX).parse().ok()
}

/// `0-2,5`: numbers in ascending order, with neighbours joined.
fn ranges(numbers: &[i64]) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let text = |&(start, end): &(i64, i64)| match end - start {
        0 => start.to_string(),
        1 => format!("{start},{end}"),
        _ => format!("{start}-{end}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined() {
        for (numbers, wanted) in [
            (vec![], ""),
            (vec![0], "0"),
            (vec![0, 1], "0,1"),
            (vec![0, 1, 2, 5], "0-2,5"),
        ] {
            assert_eq!(ranges(&numbers), wanted);
        }
    }
}
