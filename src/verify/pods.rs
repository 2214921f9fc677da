//! Pod trouble: the reason that a human needs when a rollout does not move, looked up where it is: in the pods.

use serde_json::Value;

/// Why a pod is not ready, in the words of whoever knows: the kubelet, the scheduler, the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The pod's name.
    pub pod: String,
    /// The container, when it is one container's trouble.
    pub container: Option<String>,
    /// The machine-readable reason, for example `ImagePullBackOff`.
    pub reason: String,
    /// The message beside it; may be empty.
    pub message: String,
    /// Whether waiting alone is unlikely to mend it.
    pub lasting: bool,
}

/// Reasons that do not go away by waiting: somebody has to change the image, the configuration or the code.
const LASTING: [&str; 7] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Reasons that are part of every start.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// The trouble of one pod, if it has any: its containers first, then what the scheduler says.
#[must_use]
pub fn trouble(pod: &Value) -> Option<Trouble> {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let name = pod
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let statuses = |field: &str| {
        pod.pointer(&format!("/status/{field}"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    statuses("initContainerStatuses")
        .chain(statuses("containerStatuses"))
        .find_map(|status| container_trouble(&name, status))
        .or_else(|| unschedulable(&name, pod))
}

fn container_trouble(pod: &str, status: &Value) -> Option<Trouble> {
    let waiting = status.pointer("/state/waiting")?;
    let reason = waiting["reason"].as_str()?;
    if ORDINARY.contains(&reason) {
        return None;
    }
    let mut message = waiting["message"].as_str().unwrap_or_default().to_owned();
    if let Some(last) = status.pointer("/lastState/terminated") {
        let code = last["exitCode"].as_i64().unwrap_or_default();
        let why = last["reason"].as_str().unwrap_or("Error");
        let restarts = status["restartCount"].as_i64().unwrap_or_default();
        let said = last["message"]
            .as_str()
            .map(|text| format!(": {}", text.trim()))
            .unwrap_or_default();
        message = format!("exited with code {code} ({why}), {restarts} restarts{said}");
    }
    Some(Trouble {
        pod: pod.to_owned(),
        container: status["name"].as_str().map(str::to_owned),
        reason: reason.to_owned(),
        message,
        lasting: LASTING.contains(&reason),
    })
}

fn unschedulable(name: &str, pod: &Value) -> Option<Trouble> {
    let conditions = pod.pointer("/status/conditions")?.as_array()?;
    let scheduled = conditions
        .iter()
        .find(|c| c["type"] == "PodScheduled" && c["status"] == "False")?;
    Some(Trouble {
        pod: name.to_owned(),
        container: None,
        reason: scheduled["reason"].as_str().unwrap_or("Unschedulable").to_owned(),
        message: scheduled["message"].as_str().unwrap_or_default().to_owned(),
        lasting: false,
    })
}

// === impl Trouble ===

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: pod {}", self.reason, self.pod)?;
        if let Some(container) = &self.container {
            write!(f, ", container {container}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_pod(status: Value) -> Value {
        json!({"metadata": {"name": "web-1"}, "status": status})
    }

    #[test]
    fn the_reason_is_the_one_of_whoever_knows() {
        let waiting = |reason: &str, message: &str| {
            json!({"containerStatuses": [{"name": "web", "restartCount": 4,
            "state": {"waiting": {"reason": reason, "message": message}}}]})
        };
        for (name, status, text, lasting) in [
            (
                "image cannot be pulled",
                waiting("ImagePullBackOff", "manifest unknown"),
                "ImagePullBackOff: pod web-1, container web: manifest unknown",
                true,
            ),
            (
                "first failed pull",
                waiting("ErrImagePull", "i/o timeout"),
                "ErrImagePull: pod web-1, container web: i/o timeout",
                false,
            ),
            (
                "crash loop",
                json!({"containerStatuses": [{"name": "web", "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no such table\n"}}}]}),
                "CrashLoopBackOff: pod web-1, container web: exited with code 1 (Error), 4 restarts: no such table",
                true,
            ),
            (
                "no node",
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available"}]}),
                "Unschedulable: pod web-1: 0/1 nodes are available",
                false,
            ),
        ] {
            let found = trouble(&mk_pod(status)).expect(name);
            assert_eq!(
                (found.to_string().as_str(), found.lasting),
                (text, lasting),
                "{name}"
            );
        }
        assert_eq!(trouble(&mk_pod(waiting("ContainerCreating", ""))), None);
        assert_eq!(trouble(&mk_pod(json!({"phase": "Running"}))), None);
    }
}
