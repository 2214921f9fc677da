//! Environment: one place where the repository runs, and how it is kept in sync.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;

/// What `environments/<name>/environment.yaml` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// The cluster that the environment runs in.
    pub cluster: ClusterSpec,
    /// The account that gitsync acts as there; without it, gitsync acts as itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonate: Option<Impersonate>,
    /// How the environment is kept in sync.
    #[serde(default)]
    pub sync: Sync,
    /// What happens when a rollout of what was promoted fails.
    #[serde(default, skip_serializing_if = "OnFailure::is_hold")]
    pub on_failure: OnFailure,
    /// What may be applied; without it, everything that the account may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// When objects of other kinds than those of Kubernetes are healthy, in Flux's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<HealthCheckExpr>,
}

/// How far objects of a kind are, by expressions in CEL over the fields of the live object, such as `status.phase == 'Ready'`.
/// They are asked in this order; an object of which none holds is in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheckExpr {
    /// The API version of the objects, for example `example.com/v1`.
    #[schemars(length(min = 1))]
    pub api_version: String,
    /// Their kind.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// When one is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    /// When one will not get there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// When one is what was asked for.
    #[schemars(length(min = 1))]
    pub current: String,
}

/// Which cluster; exactly one of `context` and `inCluster`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// A context of the kubeconfig.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// A kubeconfig file for this environment alone, instead of the one that gitsync was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// The cluster in which gitsync itself runs, by the ServiceAccount of its pod.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_cluster: bool,
}

/// The account to act as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Impersonate {
    /// A ServiceAccount as `<namespace>/<name>`.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub service_account: String,
}

/// How an environment is kept in sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sync {
    /// How often git and the cluster are looked at when nothing else wakes gitsync (default 30s).
    pub interval: Duration,
    /// How long a rollout may take before it counts as failed (default 5m). gitsync goes on watching afterwards.
    pub timeout: Duration,
    /// Whether objects that git no longer has are deleted (default true).
    pub prune: bool,
    /// The share of the applied objects that may be deleted at once (default 50%); more, if they are more than five, waits
    /// for `gitsync sync --confirm-prune`.
    #[schemars(with = "String", regex(pattern = r"^(100|[1-9]?[0-9])%$"))]
    pub prune_limit: Percent,
    /// Whether changes made in the cluster are put back (default true); otherwise they are only reported.
    pub self_heal: bool,
    /// Whether objects that another tool applied (Helm, Flux, Argo CD, another environment) are taken over (default false);
    /// otherwise each needs the annotation `gitsync.dev/adopt: "true"`.
    pub adopt: bool,
    /// Fields that are left as the cluster has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_differences: Vec<IgnoreDifference>,
}

/// What happens when a rollout of what was promoted fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// It is reported, and waits for a commit.
    #[default]
    Hold,
    /// The promotion is taken back by a commit, and what it brought goes into quarantine.
    Rollback,
}

/// A whole number of percent, written as `50%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub u8);

/// Fields of some objects that are left as the cluster has them: never applied, never drift, in no difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IgnoreDifference {
    /// The kind of the objects.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// Their API group (empty for the core group); by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name of one object; by default all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their namespace; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The fields, as JSON pointers (RFC 6901), for example `/spec/replicas`.
    #[schemars(length(min = 1), inner(regex(pattern = r"^(/[^/]+)+$")))]
    pub json_pointers: Vec<String>,
}

/// What may be applied to an environment; checked before anything is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    /// Kinds, as `Deployment` or with their group as `Deployment.apps`; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)))]
    pub kinds: Option<Vec<String>>,
    /// Namespaces; a `*` at the end stands for any rest; by default all. Objects without a namespace are a matter of `kinds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?|[a-z0-9-]*\*)$")))]
    pub namespaces: Option<Vec<String>>,
}

// === impl Allow ===

impl Allow {
    /// Whether objects of a kind may be applied.
    #[must_use]
    pub fn allows_kind(&self, group: &str, kind: &str) -> bool {
        let full = format!("{kind}.{group}");
        let is_it = |allowed: &String| allowed == kind || *allowed == full;
        self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(is_it))
    }

    /// Whether objects may be applied in a namespace; there is none to ask about where `namespace` is empty.
    #[must_use]
    pub fn allows_namespace(&self, namespace: &str) -> bool {
        let is_it = |allowed: &String| match allowed.strip_suffix('*') {
            Some(start) => namespace.starts_with(start),
            None => allowed == namespace,
        };
        namespace.is_empty() || self.namespaces.as_ref().is_none_or(|all| all.iter().any(is_it))
    }
}

// === impl OnFailure ===

impl OnFailure {
    fn is_hold(&self) -> bool {
        *self == Self::Hold
    }
}

// === impl Percent ===

impl TryFrom<String> for Percent {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        let percent = number.filter(|number| *number <= 100).map(Self);
        percent.ok_or_else(|| format!("`{text}` is not a share; write for example 50%"))
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        format!("{}%", percent.0)
    }
}

// === impl Sync ===

impl Default for Sync {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(300),
            prune: true,
            prune_limit: Percent(50),
            self_heal: true,
            adopt: false,
            ignore_differences: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_allowed_and_without_a_list_everything() {
        let all = Allow::default();
        assert!(all.allows_kind("apps", "Deployment") && all.allows_namespace("anything"));
        let some: Allow =
            serde_yaml::from_str("{kinds: [Service, Deployment.apps], namespaces: [shop, team-*]}").unwrap();
        for (group, kind, allowed) in [
            ("", "Service", true),
            ("serving.knative.dev", "Service", true),
            ("apps", "Deployment", true),
            ("example.com", "Deployment", false),
            ("rbac.authorization.k8s.io", "ClusterRole", false),
        ] {
            assert_eq!(some.allows_kind(group, kind), allowed, "{kind}.{group}");
        }
        for (namespace, allowed) in [
            ("shop", true),
            ("shop2", false),
            ("team-", true),
            ("team-a", true),
            ("kube-system", false),
            ("", true),
        ] {
            assert_eq!(some.allows_namespace(namespace), allowed, "{namespace}");
        }
        let none: Allow = serde_yaml::from_str("{kinds: []}").unwrap();
        assert!(!none.allows_kind("", "Service"));
    }
}
