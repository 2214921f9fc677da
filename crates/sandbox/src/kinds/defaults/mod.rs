//! Defaults: what a server fills in where a user has left something out, kind by kind.
//!
//! The rules are those of the `defaults.go` files below `k8s.io/kubernetes/pkg/apis`. They expect an object
//! whose fields have the right types.

mod network;
mod other;
mod pods;
mod workloads;

use serde_json::Value;

use super::fields::text;

/// Fills an object of a builtin kind; leaves objects of other kinds alone.
pub fn default(object: &mut Value) {
    let group = text(object, "apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    let fill: fn(&mut Value) = match (group, text(object, "kind")) {
        ("", "Pod") => pods::pod,
        ("", "PodTemplate") => |object| pods::template(&mut object["template"]),
        ("", "ReplicationController") => workloads::replication_controller,
        ("apps", "Deployment") => workloads::deployment,
        ("apps", "ReplicaSet") => workloads::replica_set,
        ("apps", "StatefulSet") => workloads::stateful_set,
        ("apps", "DaemonSet") => workloads::daemon_set,
        ("batch", "Job") => workloads::job,
        ("batch", "CronJob") => workloads::cron_job,
        ("", "Service") => network::service,
        ("", "Endpoints") => network::endpoints,
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice,
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy,
        ("networking.k8s.io", "IngressClass") => network::ingress_class,
        ("autoscaling", "HorizontalPodAutoscaler") => workloads::autoscaler,
        ("", "Secret") => other::secret,
        ("", "Namespace") => other::namespace,
        ("", "Node") => other::node,
        ("", "LimitRange") => other::limit_range,
        ("", "PersistentVolume") => other::volume,
        ("", "PersistentVolumeClaim") => other::claim,
        ("storage.k8s.io", "StorageClass") => other::storage_class,
        ("scheduling.k8s.io", "PriorityClass") => other::priority_class,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => other::role_binding,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => other::validating_webhooks,
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => other::mutating_webhooks,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => other::admission_policy,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => other::admission_binding,
        _ => return,
    };
    fill(object);
}
