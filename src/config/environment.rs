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
    /// Whether changes made in the cluster are put back (default true); otherwise they are only reported.
    pub self_heal: bool,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(300),
            prune: true,
            self_heal: true,
        }
    }
}
