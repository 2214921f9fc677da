//! Promotion: the way from one environment to the next, and the gates on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a Promotion says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PromotionSpec {
    /// The environment that proves.
    pub from: String,
    /// The environment that receives what was proved.
    pub to: String,
    /// What must pass in `from`, one after the other. There is always at least one: no gate proves nothing.
    #[schemars(length(min = 1))]
    pub gates: Vec<Gate>,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gate {
    /// The name of a LoadCheck.
    pub load_check: String,
}
