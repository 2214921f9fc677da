//! The table of pods: what a person sees of a pod's state.

use jiff::Timestamp;
use serde_json::Value;

use super::text::{AGE, NAME, NONE, labels, of_containers, since};
use crate::kinds::fields::{flag, is_empty, items, number, some, text};
use crate::registry::Cell;

pub const POD: [Cell; 9] = [
    NAME,
    Cell::new("Ready", "string", |pod, _| {
        let state = State::of(pod);
        format!("{}/{}", state.ready, state.total).into()
    }),
    Cell::new("Status", "string", |pod, _| State::of(pod).reason.into()),
    Cell::new("Restarts", "string", restarts),
    AGE,
    Cell::wide("IP", "string", |pod, _| {
        or_none(pod["status"]["podIPs"][0]["ip"].as_str())
    }),
    Cell::wide("Node", "string", |pod, _| {
        or_none(pod["spec"]["nodeName"].as_str())
    }),
    Cell::wide("Nominated Node", "string", |pod, _| {
        or_none(pod["status"]["nominatedNodeName"].as_str())
    }),
    Cell::wide("Readiness Gates", "string", |pod, _| gates(pod).into()),
];

pub const TEMPLATE: [Cell; 4] = [
    NAME,
    Cell::new("Containers", "string", |object, _| {
        of_containers(&object["template"]["spec"], "name").into()
    }),
    Cell::new("Images", "string", |object, _| {
        of_containers(&object["template"]["spec"], "image").into()
    }),
    Cell::new("Pod Labels", "string", |object, _| {
        labels(&object["template"]["metadata"], "labels").into()
    }),
];

/// What the containers of a pod come to.
struct State {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Value>,
    reason: String,
}

fn or_none(text: Option<&str>) -> Value {
    text.filter(|text| !text.is_empty()).unwrap_or(NONE).into()
}

fn restarts(pod: &Value, now: Timestamp) -> Value {
    let state = State::of(pod);
    match state.last_restart {
        Some(last) if state.restarts > 0 => format!("{} ({} ago)", state.restarts, since(&last, now)).into(),
        _ => state.restarts.to_string().into(),
    }
}

fn gates(pod: &Value) -> String {
    let gates = items(&pod["spec"], "readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let is_true = |gate: &&Value| {
        let mut conditions = items(&pod["status"], "conditions").iter();
        conditions.any(|one| one["type"] == gate["conditionType"] && one["status"] == "True")
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

// === impl State ===

impl State {
    fn of(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let sidecars = items(spec, "initContainers")
            .iter()
            .filter(|one| text(one, "restartPolicy") == "Always");
        let phase = text(status, "phase");
        let mut state = Self {
            ready: 0,
            total: items(spec, "containers").len() + sidecars.count(),
            restarts: 0,
            last_restart: None,
            reason: match text(status, "reason") {
                "" => phase.to_owned(),
                reason => reason.to_owned(),
            },
        };
        let gated =
            |one: &Value| text(one, "type") == "PodScheduled" && text(one, "reason") == "SchedulingGated";
        if items(status, "conditions").iter().any(gated) {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let starts = state.initialise(pod);
        let is_initialized =
            |one: &Value| text(one, "type") == "Initialized" && text(one, "status") == "True";
        if !starts || items(status, "conditions").iter().any(is_initialized) {
            state.run(pod);
        }
        let is_over = matches!(phase, "Succeeded" | "Failed");
        if !pod["metadata"]["deletionTimestamp"].is_null() && !is_over {
            "Terminating".clone_into(&mut state.reason);
        }
        state
    }

    /// Goes through the init containers; says whether one of them is not done.
    fn initialise(&mut self, pod: &Value) -> bool {
        let containers = items(&pod["spec"], "initContainers");
        for (index, container) in items(&pod["status"], "initContainerStatuses").iter().enumerate() {
            self.restarted(container);
            let is_sidecar = containers
                .get(index)
                .is_some_and(|one| text(one, "restartPolicy") == "Always");
            let (waiting, ended) = (&container["state"]["waiting"], &container["state"]["terminated"]);
            if some(&container["state"], "terminated") && number(ended, "exitCode") == 0 {
                continue;
            }
            if is_sidecar && flag(container, "started") {
                self.ready += usize::from(flag(container, "ready"));
                continue;
            }
            self.reason = if some(&container["state"], "terminated") {
                match text(ended, "reason") {
                    "" => format!("Init:ExitCode:{}", number(ended, "exitCode")),
                    reason => format!("Init:{reason}"),
                }
            } else if !is_empty(waiting, "reason") && text(waiting, "reason") != "PodInitializing" {
                format!("Init:{}", text(waiting, "reason"))
            } else {
                format!("Init:{index}/{}", containers.len())
            };
            return true;
        }
        false
    }

    fn run(&mut self, pod: &Value) {
        // The restarts of init containers are of no interest any more.
        (self.restarts, self.last_restart) = (0, None);
        let (mut has_running, mut failure) = (false, String::new());
        for container in items(&pod["status"], "containerStatuses").iter().rev() {
            self.restarted(container);
            let (waiting, ended) = (&container["state"]["waiting"], &container["state"]["terminated"]);
            if !is_empty(waiting, "reason") {
                text(waiting, "reason").clone_into(&mut self.reason);
            } else if some(&container["state"], "terminated") {
                self.reason = match text(ended, "reason") {
                    "" => format!("ExitCode:{}", number(ended, "exitCode")),
                    reason => reason.to_owned(),
                };
                if number(ended, "exitCode") != 0 {
                    failure.clone_from(&self.reason);
                }
            } else if flag(container, "ready") && some(&container["state"], "running") {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            let is_ready = |one: &Value| text(one, "type") == "Ready" && text(one, "status") == "True";
            if has_running && items(&pod["status"], "conditions").iter().any(is_ready) {
                "Running".clone_into(&mut self.reason);
            } else if !failure.is_empty() {
                self.reason = failure;
            } else if has_running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }

    fn restarted(&mut self, container: &Value) {
        self.restarts += number(container, "restartCount");
        let ended = &container["lastState"]["terminated"]["finishedAt"];
        let is_later = |last: &Value| ended.as_str() > last.as_str();
        if ended.is_string() && self.last_restart.as_ref().is_none_or(is_later) {
            self.last_restart = Some(ended.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_state_in_one_word() {
        let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason}}, "restartCount": 4});
        let running = json!({"state": {"running": {}}, "ready": true});
        let ended =
            |reason: &str, code: i32| json!({"state": {"terminated": {"reason": reason, "exitCode": code}}});
        for (wanted, ready, phase, inits, statuses) in [
            ("Pending", "0/1", "Pending", json!([]), json!([])),
            ("Running", "1/1", "Running", json!([]), json!([running])),
            (
                "CrashLoopBackOff",
                "0/1",
                "Running",
                json!([]),
                json!([waiting("CrashLoopBackOff")]),
            ),
            (
                "Completed",
                "0/1",
                "Succeeded",
                json!([]),
                json!([ended("Completed", 0)]),
            ),
            ("Error", "0/1", "Failed", json!([]), json!([ended("Error", 1)])),
            (
                "Init:0/1",
                "0/1",
                "Pending",
                json!([{"state": {"running": {}}}]),
                json!([waiting("PodInitializing")]),
            ),
            (
                "Init:Error",
                "0/1",
                "Pending",
                json!([ended("Error", 1)]),
                json!([]),
            ),
        ] {
            let pod = json!({
                "spec": {"containers": [{"name": "app"}], "initContainers": [{"name": "init"}]},
                "status": {"phase": phase, "initContainerStatuses": inits, "containerStatuses": statuses},
            });
            let state = State::of(&pod);
            assert_eq!(
                (
                    state.reason.as_str(),
                    format!("{}/{}", state.ready, state.total).as_str()
                ),
                (wanted, ready)
            );
        }
    }
}
