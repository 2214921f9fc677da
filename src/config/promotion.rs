//! Promotion: the way from one environment to the next, and the gates on it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;

const TIME: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$";

/// What a Promotion says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromotionSpec {
    /// The environment that proves.
    pub from: String,
    /// The environment that receives what was proved.
    pub to: String,
    /// The apps that it is for, where both environments have one directory per app (default all that `to` has). Each is
    /// promoted by itself, as `<promotion>.<app>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1)))]
    pub apps: Vec<String>,
    /// What must pass in `from`, one after the other. At least one is a load check: nothing else proves anything.
    #[schemars(length(min = 1))]
    pub gates: Vec<Gate>,
    /// When nothing is promoted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
}

/// One gate; exactly one of the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// The name of a LoadCheck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_check: Option<String>,
    /// Whether a person has to approve what was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalMode>,
    /// How long it waits after the proof, so that what shows late can show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Duration>,
}

/// Whether a person has to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ApprovalMode {
    /// `gitsync approve`, or a commit that adds to the receiving environment's `approvals.yaml`.
    Required,
    /// Nobody.
    None,
}

/// A time in which nothing is promoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// When it begins (RFC 3339).
    #[schemars(with = "String", regex(pattern = TIME))]
    pub from: Timestamp,
    /// When it ends (RFC 3339).
    #[schemars(with = "String", regex(pattern = TIME))]
    pub until: Timestamp,
    /// Why.
    #[schemars(length(min = 1))]
    pub reason: String,
}
