//! Record: what gitsync remembers of one environment, in the cluster that it concerns.
//!
//! It is one ConfigMap per environment. Any process can continue from it; nothing on a disk matters. It holds the
//! inventory (for pruning), the last synced revision, the verifications, and the last status for people to read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::verified::VerifiedImage;
use crate::live::{Inventory, InventoryError};
use crate::model::Revision;
use crate::problem::Problem;

/// The namespace that holds the records.
pub const NAMESPACE: &str = "gitsync-system";

/// What gitsync remembers of one environment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// What was applied, or was about to be.
    pub inventory: Inventory,
    /// The last sync that was complete.
    pub synced: Option<Synced>,
    /// The last verification of each promotion that begins here, by the promotion's name.
    pub verifications: BTreeMap<String, Verification>,
    /// What each kind of hook last ran for: the hash of what git asked for, by the word of the phase.
    pub hooks: BTreeMap<String, String>,
    /// The hash of the objects that were last seen healthy.
    pub healthy: Option<String>,
    /// What was last seen and done, for people.
    pub status: Option<Status>,
}

/// A sync that was complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// The commit that the overlay came from.
    pub revision: Revision,
    /// The commit that the shared files came from: the same, or the one that was proved for the environment.
    pub shared: Revision,
    /// The hash of the rendered objects.
    pub objects: String,
    /// When the last object was applied.
    pub time: Timestamp,
}

/// One run of the gates of a promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// What was verified; evidence for another key is no evidence.
    pub key: EvidenceKey,
    /// The commit whose overlay ran.
    pub revision: Revision,
    /// The commit whose shared files ran: the same, unless the environment receives promotions itself.
    pub shared: Revision,
    /// The images that ran, with their digests where the cluster knew them.
    pub images: Vec<VerifiedImage>,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The figures of each gate, for people.
    pub figures: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What evidence is about: these objects, judged by these gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceKey {
    /// The hash of the rendered objects.
    pub objects: String,
    /// The hash of the gates' configuration.
    pub gates: String,
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every gate passed.
    Passed,
    /// A gate failed: what runs is not good enough.
    Failed,
    /// Something disturbed it, so it says nothing; it is run again.
    Void,
}

/// What an environment is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// As git says, healthy, nothing to do.
    Synced,
    /// Being applied, or rolling out.
    Progressing,
    /// A gate is running.
    Verifying,
    /// Proved, and on its way to the next environment.
    Promoting,
    /// Waiting for something that only a person or another environment can bring.
    Held,
    /// Something is wrong; the message says what.
    Failed,
}

/// What was last seen and done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What the environment is doing.
    pub phase: Phase,
    /// One sentence.
    pub message: String,
    /// The commit that git holds.
    pub revision: Option<Revision>,
    /// The images that should run.
    pub images: Vec<String>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Since when it is so.
    pub since: Timestamp,
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The inventory is damaged.
    #[error("the stored inventory is damaged")]
    Inventory(#[from] InventoryError),
    /// Another part is damaged.
    #[error("the stored {part} is damaged")]
    Part {
        /// The ConfigMap's key.
        part: &'static str,
        /// What the reader says.
        #[source]
        source: serde_json::Error,
    },
}

const INVENTORY: &str = "inventory";
const SYNCED: &str = "synced";
const VERIFICATIONS: &str = "verifications";
const HOOKS: &str = "hooks";
const HEALTHY: &str = "healthy";
const STATUS: &str = "status";

// === impl Verdict ===

impl Verdict {
    /// The word for it, as the record holds it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Void => "void",
        }
    }
}

// === impl Synced ===

impl Synced {
    /// What evidence for this sync, judged by gates of that hash, is about.
    #[must_use]
    pub fn evidence_key(&self, gates: &str) -> EvidenceKey {
        EvidenceKey {
            objects: self.objects.clone(),
            gates: gates.to_owned(),
        }
    }
}

// === impl Record ===

impl Record {
    /// The record as a ConfigMap's data.
    ///
    /// # Errors
    ///
    /// Never in practice: every part is plain data.
    pub fn to_data(&self) -> Result<BTreeMap<String, String>, RecordError> {
        let mut data = BTreeMap::from([(INVENTORY.to_owned(), self.inventory.to_text())]);
        put(&mut data, SYNCED, self.synced.as_ref())?;
        put(&mut data, VERIFICATIONS, Some(&self.verifications))?;
        put(
            &mut data,
            HOOKS,
            Some(&self.hooks).filter(|hooks| !hooks.is_empty()),
        )?;
        put(&mut data, HEALTHY, self.healthy.as_ref())?;
        put(&mut data, STATUS, self.status.as_ref())?;
        Ok(data)
    }

    /// Reads a ConfigMap's data.
    ///
    /// # Errors
    ///
    /// When the inventory or another part is damaged. Status, which is only for people, is dropped instead.
    pub fn from_data(data: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        Ok(Self {
            inventory: Inventory::from_text(data.get(INVENTORY).map_or("", String::as_str))?,
            synced: get(data, SYNCED)?,
            verifications: get(data, VERIFICATIONS)?.unwrap_or_default(),
            hooks: get(data, HOOKS)?.unwrap_or_default(),
            healthy: get(data, HEALTHY)?,
            status: get(data, STATUS).unwrap_or_default(),
        })
    }
}

fn put<T: Serialize>(
    data: &mut BTreeMap<String, String>,
    part: &'static str,
    value: Option<&T>,
) -> Result<(), RecordError> {
    if let Some(value) = value {
        let text = serde_json::to_string(value).map_err(|source| RecordError::Part { part, source })?;
        data.insert(part.to_owned(), text);
    }
    Ok(())
}

fn get<T: DeserializeOwned>(
    data: &BTreeMap<String, String>,
    part: &'static str,
) -> Result<Option<T>, RecordError> {
    let Some(text) = data.get(part) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|source| RecordError::Part { part, source })
}

/// The name of an environment's ConfigMap in [`NAMESPACE`].
#[must_use]
pub fn config_map_name(environment: &crate::model::EnvName) -> String {
    format!("gitsync-{environment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_being_stored() {
        let revision: Revision = "0123456789012345678901234567890123456789".parse().unwrap();
        let key = EvidenceKey {
            objects: "a".into(),
            gates: "b".into(),
        };
        let verification = Verification {
            key,
            revision: revision.clone(),
            shared: revision.clone(),
            images: vec![VerifiedImage {
                name: "app".into(),
                tag: Some("v1".into()),
                digest: None,
            }],
            verdict: Verdict::Passed,
            reason: "every gate passed".into(),
            figures: vec!["p(90)=5ms".into()],
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        };
        let record = Record {
            inventory: Inventory::default(),
            synced: Some(Synced {
                shared: revision.clone(),
                revision,
                objects: "a".into(),
                time: Timestamp::UNIX_EPOCH,
            }),
            verifications: BTreeMap::from([("staging-to-prod".into(), verification)]),
            hooks: BTreeMap::from([("pre-sync".into(), "a".into())]),
            healthy: Some("a".into()),
            status: None,
        };
        assert_eq!(Record::from_data(&record.to_data().unwrap()).unwrap(), record);
        assert_eq!(Record::from_data(&BTreeMap::new()).unwrap(), Record::default());
    }

    #[test]
    fn a_damaged_inventory_is_an_error_and_never_an_empty_one() {
        let data = BTreeMap::from([("inventory".to_owned(), "garbage".to_owned())]);
        assert!(Record::from_data(&data).is_err());
    }
}
