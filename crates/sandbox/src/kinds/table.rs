//! Table: the names, scope, verbs and subresources of the builtin kinds, as discovery tells them.

use crate::registry::{Kind, ScalePaths, Subresource, Verbs};

/// The subresources in the short form of [`ROWS`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    Status,
    /// Status and scale; the selector is a label selector, or the text of one.
    Scale,
    Pod,
    Namespace,
    Csr,
    Account,
}

use Below::{Account, Csr, Namespace, Nothing, Pod, Scale, Status};

/// Group, version, kind, plural, short names, categories, namespaced, subresources, other fields of field selectors.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
    Below,
    &'static str,
);

const AUTH: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const NET: &str = "networking.k8s.io";
const ADM: &str = "admissionregistration.k8s.io";

const POD_FIELDS: &str = "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName \
                          spec.hostNetwork status.phase status.podIP status.nominatedNodeName";
const EVENT_FIELDS: &str = "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid \
                            involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath \
                            reason reportingComponent source type";

const ROWS: &[Row] = &[
    ("", "v1", "ConfigMap", "configmaps", "cm", "", true, Nothing, ""),
    ("", "v1", "Endpoints", "endpoints", "ep", "", true, Nothing, ""),
    ("", "v1", "Event", "events", "ev", "", true, Nothing, EVENT_FIELDS),
    (
        "",
        "v1",
        "LimitRange",
        "limitranges",
        "limits",
        "",
        true,
        Nothing,
        "",
    ),
    (
        "",
        "v1",
        "Namespace",
        "namespaces",
        "ns",
        "",
        false,
        Namespace,
        "status.phase",
    ),
    (
        "",
        "v1",
        "Node",
        "nodes",
        "no",
        "",
        false,
        Status,
        "spec.unschedulable",
    ),
    (
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "pvc",
        "",
        true,
        Status,
        "",
    ),
    (
        "",
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        "pv",
        "",
        false,
        Status,
        "",
    ),
    ("", "v1", "Pod", "pods", "po", "all", true, Pod, POD_FIELDS),
    ("", "v1", "PodTemplate", "podtemplates", "", "", true, Nothing, ""),
    (
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "rc",
        "all",
        true,
        Scale,
        "status.replicas",
    ),
    (
        "",
        "v1",
        "ResourceQuota",
        "resourcequotas",
        "quota",
        "",
        true,
        Status,
        "",
    ),
    ("", "v1", "Secret", "secrets", "", "", true, Nothing, "type"),
    (
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        "sa",
        "",
        true,
        Account,
        "",
    ),
    (
        "",
        "v1",
        "Service",
        "services",
        "svc",
        "all",
        true,
        Status,
        "spec.clusterIP spec.type",
    ),
    (
        "apps",
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        "",
        "",
        true,
        Nothing,
        "",
    ),
    (
        "apps",
        "v1",
        "DaemonSet",
        "daemonsets",
        "ds",
        "all",
        true,
        Status,
        "",
    ),
    (
        "apps",
        "v1",
        "Deployment",
        "deployments",
        "deploy",
        "all",
        true,
        Scale,
        "",
    ),
    (
        "apps",
        "v1",
        "ReplicaSet",
        "replicasets",
        "rs",
        "all",
        true,
        Scale,
        "status.replicas",
    ),
    (
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        "sts",
        "all",
        true,
        Scale,
        "",
    ),
    (
        "batch", "v1", "CronJob", "cronjobs", "cj", "all", true, Status, "",
    ),
    (
        "batch",
        "v1",
        "Job",
        "jobs",
        "",
        "all",
        true,
        Status,
        "status.successful",
    ),
    (
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "hpa",
        "all",
        true,
        Status,
        "",
    ),
    (
        "policy",
        "v1",
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "pdb",
        "",
        true,
        Status,
        "",
    ),
    (
        NET,
        "v1",
        "IngressClass",
        "ingressclasses",
        "",
        "",
        false,
        Nothing,
        "",
    ),
    (NET, "v1", "Ingress", "ingresses", "ing", "", true, Status, ""),
    (
        NET,
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "netpol",
        "",
        true,
        Nothing,
        "",
    ),
    (
        RBAC,
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        "",
        "",
        false,
        Nothing,
        "",
    ),
    (
        RBAC,
        "v1",
        "ClusterRole",
        "clusterroles",
        "",
        "",
        false,
        Nothing,
        "",
    ),
    (
        RBAC,
        "v1",
        "RoleBinding",
        "rolebindings",
        "",
        "",
        true,
        Nothing,
        "",
    ),
    (RBAC, "v1", "Role", "roles", "", "", true, Nothing, ""),
    (
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
        "endpointslices",
        "",
        "",
        true,
        Nothing,
        "",
    ),
    (
        "events.k8s.io",
        "v1",
        "Event",
        "events",
        "ev",
        "",
        true,
        Nothing,
        "",
    ),
    (
        "coordination.k8s.io",
        "v1",
        "Lease",
        "leases",
        "",
        "",
        true,
        Nothing,
        "",
    ),
    (
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        "sc",
        "",
        false,
        Nothing,
        "",
    ),
    (
        "storage.k8s.io",
        "v1",
        "CSIDriver",
        "csidrivers",
        "",
        "",
        false,
        Nothing,
        "",
    ),
    (
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        "pc",
        "",
        false,
        Nothing,
        "",
    ),
    (
        "node.k8s.io",
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "",
        "",
        false,
        Nothing,
        "",
    ),
    (
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "csr",
        "",
        false,
        Csr,
        "spec.signerName",
    ),
    (
        ADM,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "",
        "api-extensions",
        false,
        Nothing,
        "",
    ),
    (
        ADM,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "",
        "api-extensions",
        false,
        Nothing,
        "",
    ),
    (
        ADM,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "",
        "api-extensions",
        false,
        Status,
        "",
    ),
    (
        ADM,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "",
        "api-extensions",
        false,
        Nothing,
        "",
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "crd crds",
        "api-extensions",
        false,
        Status,
        "",
    ),
    (
        "apiregistration.k8s.io",
        "v1",
        "APIService",
        "apiservices",
        "",
        "api-extensions",
        false,
        Status,
        "",
    ),
];

/// Kinds that are not updated without telling the resource version.
const INSISTING: [&str; 9] = [
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "Lease",
    "RuntimeClass",
    "PodDisruptionBudget",
    "CSIDriver",
];

/// Kinds of which an update makes an object that is not there.
const CREATED_BY_UPDATE: [&str; 10] = [
    "Lease",
    "Endpoints",
    "Event",
    "LimitRange",
    "Service",
    "RuntimeClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];

/// Kinds of which nothing is stored: a create answers a question. Group, kind, plural, namespaced.
const REVIEWS: [(&str, &str, &str, bool); 6] = [
    (AUTH, "SelfSubjectReview", "selfsubjectreviews", false),
    (AUTH, "TokenReview", "tokenreviews", false),
    (
        AUTHZ,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        true,
    ),
    (
        AUTHZ,
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        false,
    ),
    (AUTHZ, "SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    (AUTHZ, "SubjectAccessReview", "subjectaccessreviews", false),
];

/// The builtin kinds without their hooks.
pub(super) fn kinds() -> Vec<Kind> {
    let stored = ROWS.iter().map(kind_of);
    let reviews = REVIEWS.iter().map(|&(group, kind, plural, namespaced)| Kind {
        verbs: Verbs::Create,
        namespaced,
        ..Kind::new(group, "v1", kind, plural)
    });
    stored.chain(reviews).collect()
}

fn kind_of(row: &Row) -> Kind {
    let &(group, version, kind, plural, short, categories, namespaced, below, fields) = row;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    Kind {
        short_names: words(short),
        categories: words(categories),
        namespaced,
        verbs: if matches!(kind, "Namespace") {
            Verbs::NoDeleteCollection
        } else {
            Verbs::All
        },
        subresources: subresources(below, kind),
        selectable: words(fields),
        insists_on_version: INSISTING.contains(&kind),
        created_by_update: CREATED_BY_UPDATE.contains(&kind),
        ..Kind::new(group, version, kind, plural)
    }
}

fn subresources(below: Below, kind: &str) -> Vec<Subresource> {
    let scale = || {
        Subresource::Scale(ScalePaths {
            spec: "/spec/replicas".to_owned(),
            status: "/status/replicas".to_owned(),
            selector: Some("/spec/selector".to_owned()),
        })
    };
    match below {
        Nothing => Vec::new(),
        Status => vec![Subresource::Status],
        Scale if kind == "ReplicationController" => vec![scale(), Subresource::Status],
        Scale => vec![scale(), Subresource::Status],
        Pod => vec![
            Subresource::Binding,
            Subresource::Eviction,
            Subresource::Log,
            Subresource::Plain("ephemeralcontainers"),
            Subresource::Plain("resize"),
            Subresource::Status,
        ],
        Account => vec![Subresource::Token],
        Namespace => vec![Subresource::Finalize, Subresource::Status],
        Csr => vec![Subresource::Plain("approval"), Subresource::Status],
    }
}
