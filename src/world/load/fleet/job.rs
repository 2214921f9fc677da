//! Job: the manifest by which workers run as pods.

use std::time::Duration;

use serde_json::{Value, json};

/// The container of a worker's pod.
pub const CONTAINER: &str = "load";

/// How long a finished Job stays for people to look at, in seconds.
const KEPT: u64 = 300;

/// The Job of `pods` workers that run `image` and end by themselves after `limit` at the latest.
///
/// A worker reads what to do from its standard input; so it needs no service account, no port and no file, and ends
/// when nobody holds its input any more.
#[must_use]
pub fn job(image: &str, pods: u32, limit: Duration) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": "gitsync",
        "app.kubernetes.io/component": "load",
        "app.kubernetes.io/managed-by": "gitsync",
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "gitsync-load-", "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            // A worker that was lost has lost its samples: the check breaks, and nothing is started anew.
            "backoffLimit": 0,
            "activeDeadlineSeconds": limit.as_secs().max(1),
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {"labels": labels},
                "spec": pod(image, &labels),
            },
        },
    })
}

fn pod(image: &str, labels: &Value) -> Value {
    json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels},
        }],
        "containers": [{
            "name": CONTAINER,
            "image": image,
            "args": ["check", "--worker"],
            "stdin": true,
            "stdinOnce": true,
            "resources": {
                "requests": {"cpu": "250m", "memory": "64Mi"},
                "limits": {"memory": "512Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pods_run_at_once_and_none_twice() {
        let job = job("registry.example/gitsync:1", 4, Duration::from_secs(90));
        let spec = &job["spec"];
        assert_eq!(
            (
                &spec["completionMode"],
                &spec["completions"],
                &spec["parallelism"],
                &spec["backoffLimit"]
            ),
            (&json!("Indexed"), &json!(4), &json!(4), &json!(0))
        );
        assert_eq!(spec["activeDeadlineSeconds"], 90);
        let container = &spec["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example/gitsync:1");
        assert_eq!(
            (&container["stdin"], &container["stdinOnce"]),
            (&json!(true), &json!(true))
        );
    }

    #[test]
    fn a_worker_has_no_rights() {
        let job = job("i", 1, Duration::ZERO);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["containers"][0]["securityContext"]["capabilities"]["drop"],
            json!(["ALL"])
        );
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 1);
    }
}
