//! CRD: a kind that its users define, with the structural schema that its objects have to follow.

use serde_json::Value;

/// The schema of one version of a custom kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Structural {
    /// The `openAPIV3Schema` as it was written.
    pub schema: Value,
}
