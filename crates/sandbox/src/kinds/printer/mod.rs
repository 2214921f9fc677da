//! Printer: the tables of `kubectl get`, column by column as a real server makes them.

mod network;
mod other;
mod pods;
mod text;
mod workloads;

use crate::registry::Cell;

/// The table of a kind, if it has one of its own.
pub fn table(group: &str, kind: &str) -> Option<&'static [Cell]> {
    Some(match (group, kind) {
        ("", "Pod") => &pods::POD,
        ("", "PodTemplate") => &pods::TEMPLATE,
        ("", "ReplicationController") => &workloads::CONTROLLER,
        ("apps", "Deployment") => &workloads::DEPLOYMENT,
        ("apps", "ReplicaSet") => &workloads::REPLICA_SET,
        ("apps", "StatefulSet") => &workloads::STATEFUL_SET,
        ("apps", "DaemonSet") => &workloads::DAEMON_SET,
        ("apps", "ControllerRevision") => &workloads::REVISION,
        ("batch", "Job") => &workloads::JOB,
        ("batch", "CronJob") => &workloads::CRON_JOB,
        ("autoscaling", "HorizontalPodAutoscaler") => &workloads::AUTOSCALER,
        ("policy", "PodDisruptionBudget") => &workloads::BUDGET,
        ("", "Service") => &network::SERVICE,
        ("", "Endpoints") => &network::ENDPOINTS,
        ("discovery.k8s.io", "EndpointSlice") => &network::SLICE,
        ("networking.k8s.io", "Ingress") => &network::INGRESS,
        ("networking.k8s.io", "IngressClass") => &network::INGRESS_CLASS,
        ("networking.k8s.io", "NetworkPolicy") => &network::POLICY,
        ("", "Node") => &other::NODE,
        ("", "Event") => &other::EVENT,
        ("", "Namespace") => &other::NAMESPACE,
        ("", "Secret") => &other::SECRET,
        ("", "ConfigMap") => &other::CONFIG_MAP,
        ("", "ServiceAccount") => &other::ACCOUNT,
        ("", "PersistentVolume") => &other::VOLUME,
        ("", "PersistentVolumeClaim") => &other::CLAIM,
        ("", "ResourceQuota") => &other::QUOTA,
        ("storage.k8s.io", "StorageClass") => &other::STORAGE_CLASS,
        ("scheduling.k8s.io", "PriorityClass") => &other::PRIORITY_CLASS,
        ("coordination.k8s.io", "Lease") => &other::LEASE,
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &other::BINDING,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => &other::ADMISSION_POLICY,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => &other::ADMISSION_BINDING,
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => &other::WEBHOOKS,
        _ => return None,
    })
}
