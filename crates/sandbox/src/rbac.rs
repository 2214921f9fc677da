//! Rbac: what a user may do, by the roles that are bound to it.
//!
//! Administrators (`system:masters`) may do anything. Everybody else may find out what there is and who they are, and for
//! the rest needs a Role or a ClusterRole and a binding, as with a real server's `--authorization-mode=RBAC`.

use serde_json::{Value, json};

use crate::api::{Api, Caller};
use crate::kinds::fields::{items, text};
use crate::status::Status;

const GROUP: &str = "rbac.authorization.k8s.io";
const REVIEWS: [&str; 3] = [
    "selfsubjectreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
];
const DISCOVERY: [&str; 8] = [
    "/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz", "/",
];
const READS: [&str; 3] = ["get", "list", "watch"];

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// The verb of Kubernetes.
    pub verb: String,
    /// The path, where it is no resource's; then all that follows is empty.
    pub path: String,
    /// The API group.
    pub group: String,
    /// The resource, with the subresource if there is one: `pods`, `pods/log`.
    pub resource: String,
    /// The namespace; empty for cluster-scoped objects and for all namespaces.
    pub namespace: String,
    /// The name; empty for a collection.
    pub name: String,
}

// === impl Access ===

impl Access {
    /// Whether a caller may do it.
    pub(crate) fn is_allowed(&self, api: &Api, caller: &Caller) -> bool {
        caller.groups.iter().any(|group| group == "system:masters")
            || self.is_basic(caller)
            || rules(api, &self.namespace, caller)
                .iter()
                .any(|rule| self.is_in(rule))
    }

    /// 403, in a real server's words.
    pub(crate) fn refused(&self, caller: &Caller) -> Status {
        let why = self.refusal(caller);
        if self.resource.is_empty() {
            return Status::new(403, "Forbidden", format!("forbidden: {why}"));
        }
        let resource = self.resource.split('/').next().unwrap_or_default();
        let qualified = if self.group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{}", self.group)
        };
        Status::forbidden(&qualified, &self.name, &why)
    }

    fn refusal(&self, caller: &Caller) -> String {
        let user = &caller.user;
        if self.resource.is_empty() {
            return format!("User {user:?} cannot {} path {:?}", self.verb, self.path);
        }
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        let (verb, resource, group) = (&self.verb, &self.resource, &self.group);
        format!("User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
    }

    /// What every user may do: find out what there is, and who they are.
    fn is_basic(&self, caller: &Caller) -> bool {
        let is_known = caller.groups.iter().any(|group| group == "system:authenticated");
        let finds_out = self.resource.is_empty() && self.verb == "get" && {
            let root = self.path.split('/').nth(1).unwrap_or_default();
            DISCOVERY.contains(&format!("/{root}").as_str())
        };
        let asks_of_itself = self.verb == "create" && REVIEWS.contains(&self.resource.as_str());
        is_known && (finds_out || asks_of_itself)
    }

    fn is_in(&self, rule: &Value) -> bool {
        let has = |field: &str, wanted: &str| {
            let mut known = items(rule, field).iter().filter_map(Value::as_str);
            known.any(|one| one == "*" || one == wanted)
        };
        if !has("verbs", &self.verb) {
            return false;
        }
        if self.resource.is_empty() {
            let covers = |url: &str| {
                url == self.path
                    || url
                        .strip_suffix('*')
                        .is_some_and(|one| self.path.starts_with(one))
            };
            let mut urls = items(rule, "nonResourceURLs").iter().filter_map(Value::as_str);
            return urls.any(covers);
        }
        let below = self.resource.split_once('/').map(|(_, below)| below);
        let is_resource = has("resources", &self.resource)
            || below.is_some_and(|below| has("resources", &format!("*/{below}")));
        let named = items(rule, "resourceNames");
        is_resource
            && has("apiGroups", &self.group)
            && (named.is_empty() || named.iter().any(|one| *one == self.name))
    }
}

/// The rules of the roles that are bound to a caller, in a namespace and everywhere.
pub(crate) fn rules(api: &Api, namespace: &str, caller: &Caller) -> Vec<Value> {
    let below = |resource: &str, prefix: &str| {
        let list = api.store.list(&format!("{resource}.{GROUP}"), prefix);
        list.objects.iter().map(|one| one.value()).collect::<Vec<Value>>()
    };
    let mut bindings = below("clusterrolebindings", "");
    if !namespace.is_empty() {
        bindings.extend(below("rolebindings", &format!("{namespace}/")));
    }
    let is_bound = |binding: &&Value| {
        items(binding, "subjects")
            .iter()
            .any(|one| names(one, binding, caller))
    };
    let mut roles: Vec<Value> = bindings
        .iter()
        .filter(is_bound)
        .filter_map(|binding| role(api, binding))
        .collect();
    if caller.groups.iter().any(|group| group == "system:masters") {
        roles.extend(usual("cluster-admin"));
    }
    roles
        .iter()
        .flat_map(|rules| rules.as_array().into_iter().flatten())
        .cloned()
        .collect()
}

/// The rules of the role that a binding refers to.
fn role(api: &Api, binding: &Value) -> Option<Value> {
    let (role, namespace) = (&binding["roleRef"], text(&binding["metadata"], "namespace"));
    let name = text(role, "name");
    let found = match text(role, "kind") {
        "Role" => api
            .store
            .get(&format!("roles.{GROUP}"), &format!("{namespace}/{name}"))?,
        _ => match api.store.get(&format!("clusterroles.{GROUP}"), name) {
            Some(found) => found,
            None => return usual(name),
        },
    };
    Some(found.value()["rules"].clone())
}

/// Whether a subject of a binding is the caller.
fn names(subject: &Value, binding: &Value, caller: &Caller) -> bool {
    let name = text(subject, "name");
    match text(subject, "kind") {
        "User" => name == caller.user,
        "Group" => caller.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let own = text(&binding["metadata"], "namespace");
            let namespace = subject["namespace"].as_str().unwrap_or(own);
            caller.user == account(namespace, name)
        }
        _ => false,
    }
}

/// The name of a ServiceAccount as a user.
pub(crate) fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// The rules of the ClusterRoles that every cluster has, where nobody has made one of the name.
fn usual(name: &str) -> Option<Value> {
    let workloads = json!([
        {"verbs": READS, "apiGroups": [""], "resources": [
            "bindings", "configmaps", "endpoints", "events", "limitranges", "namespaces", "persistentvolumeclaims", "pods",
            "pods/log", "pods/status", "replicationcontrollers", "resourcequotas", "serviceaccounts", "services",
        ]},
        {"verbs": READS, "apiGroups": ["apps", "autoscaling", "batch", "discovery.k8s.io", "networking.k8s.io", "policy"],
         "resources": ["*"]},
    ]);
    let writes = json!([
        {"verbs": ["*"], "apiGroups": [""], "resources": [
            "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/eviction",
            "replicationcontrollers", "secrets", "serviceaccounts", "serviceaccounts/token", "services",
        ]},
        {"verbs": ["*"], "apiGroups": ["apps", "autoscaling", "batch", "networking.k8s.io", "policy"], "resources": ["*"]},
    ]);
    let roles = json!([{"verbs": ["*"], "apiGroups": [GROUP], "resources": ["roles", "rolebindings"]}]);
    let all = json!([
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]);
    let parts: &[&Value] = match name {
        "cluster-admin" => &[&all],
        "admin" => &[&workloads, &writes, &roles],
        "edit" => &[&workloads, &writes],
        "view" => &[&workloads],
        _ => return None,
    };
    let rules = parts
        .iter()
        .flat_map(|part| part.as_array().into_iter().flatten());
    Some(rules.cloned().collect())
}
