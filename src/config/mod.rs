//! Config: the kinds that gitsync reads from the repository.
//!
//! What a person writes is checked against the JSON Schema of the same Rust types that it is read into, with the
//! line of every field, so that all problems are told at once and `gitsync schema` can never disagree.

pub mod document;
pub mod duration;
pub mod environment;
pub mod load_check;
pub mod orders;
pub mod promotion;
pub mod repository;
pub mod scaffold;
pub mod schema;
pub mod script;
pub mod verified;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API version of gitsync's own kinds.
pub const API_VERSION: &str = "gitsync.dev/v1alpha1";

/// A document of one of gitsync's own kinds, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document<Spec> {
    /// Always `gitsync.dev/v1alpha1`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub metadata: Metadata,
    /// What is asked for.
    pub spec: Spec,
}

/// The name of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// A DNS label (at most 63 of a-z, 0-9 and -), unique among the documents of its kind; beside the overlay of one app,
    /// `<environment>.<app>`.
    #[schemars(regex(
        pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$"
    ))]
    pub name: String,
}
