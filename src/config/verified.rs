//! Verified: what was proved for an environment. gitsync writes it beside the overlay, people review it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{API_VERSION, Document, Metadata};
use crate::model::{EnvName, Revision};

/// The file's name, in the directory of the environment that received the promotion.
pub const FILE_NAME: &str = "verified.yaml";

/// What was proved, where and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifiedSpec {
    /// The environment that proved it.
    pub from: String,
    /// The commit that was proved; the shared files are read from it.
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub revision: String,
    /// The images that were proved.
    pub images: Vec<VerifiedImage>,
    /// When the proof was complete (RFC 3339).
    pub time: String,
}

/// One image that was proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifiedImage {
    /// The image's name, without tag and digest.
    pub name: String,
    /// The tag that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The digest that the tag stood for while it was checked, where the cluster knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The text of `verified.yaml` for an environment.
///
/// # Errors
///
/// Never in practice: the type holds nothing that YAML cannot say.
pub fn to_text(to: &EnvName, spec: &VerifiedSpec) -> Result<String, serde_yaml::Error> {
    let document = Document {
        api_version: API_VERSION.to_owned(),
        kind: "Verified".to_owned(),
        metadata: Metadata { name: to.to_string() },
        spec: spec.clone(),
    };
    Ok(format!(
        "# Written by gitsync when a promotion was proved; see the commit that changed it.\n{}",
        serde_yaml::to_string(&document)?
    ))
}

// === impl VerifiedSpec ===

impl VerifiedSpec {
    /// The revision as a type.
    ///
    /// # Errors
    ///
    /// When it is not a full commit id; the schema refuses that before.
    pub fn revision(&self) -> Result<Revision, crate::model::ParseError> {
        self.revision.parse()
    }
}
