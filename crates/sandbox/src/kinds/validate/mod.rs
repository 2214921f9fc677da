//! Validation: what is wrong with an object, in the words of a real server.
//!
//! The rules are those of the `validation.go` files below `k8s.io/kubernetes/pkg/apis` that users meet: required fields,
//! names, ports, quantities, enumerations, selectors, and fields that never change. Names and labels of the object itself
//! are looked at by the API.

mod check;
mod containers;
mod network;
mod other;
mod pods;
mod text;
mod volumes;
mod workloads;

use serde_json::Value;

use self::check::Check;
use super::fields;
use crate::status::FieldError;

/// What is wrong with a new object.
pub fn validate_create(object: &Value) -> Vec<FieldError> {
    let mut check = Check::default();
    validate(object, None, &mut check);
    check.errors
}

/// What is wrong with the replacement of an object.
pub fn validate_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut check = Check::default();
    validate(object, Some(old), &mut check);
    check.errors
}

fn validate(object: &Value, old: Option<&Value>, check: &mut Check) {
    let api_version = fields::text(object, "apiVersion");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let rules: fn(&Value, Option<&Value>, &mut Check) = match (group, fields::text(object, "kind")) {
        ("", "Pod") => pods::pod,
        ("", "ReplicationController") => workloads::replication_controller,
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "ReplicaSet") => workloads::replica_set,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("batch", "Job") => workloads::job,
        ("batch", "CronJob") => workloads::cron_job,
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::autoscaler,
        ("policy", "PodDisruptionBudget") => workloads::budget,
        ("", "Service") => network::service,
        ("networking.k8s.io", "Ingress") => network::ingress,
        ("networking.k8s.io", "NetworkPolicy") => network::policy,
        ("", "ConfigMap") => other::config_map,
        ("", "Secret") => other::secret,
        ("", "PersistentVolumeClaim") => other::claim,
        ("", "PersistentVolume") => other::volume,
        ("storage.k8s.io", "StorageClass") => other::storage_class,
        ("scheduling.k8s.io", "PriorityClass") => other::priority_class,
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => other::role,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => other::role_binding,
        _ => return,
    };
    rules(object, old, check);
}
