//! Events: what gitsync did, told in the cluster that it concerns, beside the record of the environment.
//!
//! They are for people, so nothing waits for them: a task of its own writes them, what does not fit into its queue is
//! left out, and an API server that refuses them is a line of the debug log. A reason and a note that come again within
//! ten minutes are counted in one Event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Cluster, FIELD_MANAGER};
use crate::model::EnvName;
use crate::record::{NAMESPACE, config_map_name};

/// How many may wait.
const WAITING: usize = 64;

/// The longest note that an API server takes, in bytes.
const LONGEST_NOTE: usize = 1000;

/// For how long the same thing is one Event.
const SAME_FOR: Duration = Duration::from_secs(600);

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is an Event: the words that `kubectl get events` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// What git asks for was applied.
    Applied,
    /// Fields or objects were changed by somebody else.
    DriftDetected,
    /// They were put back.
    DriftCorrected,
    /// Objects that git no longer has were deleted.
    Pruned,
    /// An object that git no longer has stays, for a reason.
    PruneBlocked,
    /// The rollout failed.
    HealthCheckFailed,
    /// The gates of a promotion passed.
    GatePassed,
    /// A gate failed.
    GateFailed,
    /// The gates were disturbed and run again.
    GateInconclusive,
    /// A promotion was pushed.
    PromotionCommitted,
    /// A promotion could not be made or pushed.
    PromotionFailed,
    /// A promotion whose rollout failed was taken back.
    RolledBack,
    /// Somebody else pushed at the same moment.
    PushConflict,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Notice {
    reason: Reason,
    note: String,
}

/// Where notices are left. Dropping it ends the task that writes them, after what is left.
#[derive(Clone)]
pub struct Notices(mpsc::Sender<Notice>);

/// The task that writes them.
struct Writer {
    cluster: Arc<Cluster>,
    environment: EnvName,
    /// The record that they are about, once it was found.
    regarding: Option<ObjectReference>,
    /// The name of each Event, how often it was seen, and since when.
    known: HashMap<Notice, (String, i32, Instant)>,
}

// === impl Reason ===

impl Reason {
    /// All of them, in the order of what they tell.
    pub const ALL: [Self; 13] = [
        Self::Applied,
        Self::DriftDetected,
        Self::DriftCorrected,
        Self::Pruned,
        Self::PruneBlocked,
        Self::HealthCheckFailed,
        Self::GatePassed,
        Self::GateFailed,
        Self::GateInconclusive,
        Self::PromotionCommitted,
        Self::PromotionFailed,
        Self::PushConflict,
        Self::RolledBack,
    ];

    /// What it tells, for the documentation.
    fn meaning(self) -> &'static str {
        match self {
            Self::Applied => "What git asks for was applied.",
            Self::DriftDetected => "Somebody else changed objects or fields, which the note names.",
            Self::DriftCorrected => "They were put back.",
            Self::Pruned => "An object that git no longer has was deleted.",
            Self::PruneBlocked => "An object that git no longer has stays; the note says why.",
            Self::HealthCheckFailed => "The rollout failed.",
            Self::GatePassed => "Every gate of a promotion passed.",
            Self::GateFailed => "A gate failed: what runs is not promoted.",
            Self::GateInconclusive => "The gates were disturbed, and run again.",
            Self::PromotionCommitted => "A promotion was pushed.",
            Self::PromotionFailed => "A promotion could not be made or pushed.",
            Self::PushConflict => {
                "Somebody else pushed at the same moment; the edit was made again on top of that."
            }
            Self::RolledBack => "A promotion whose rollout failed was taken back.",
        }
    }

    /// Whether a person may have to do something.
    fn is_warning(self) -> bool {
        matches!(
            self,
            Self::DriftDetected
                | Self::PruneBlocked
                | Self::HealthCheckFailed
                | Self::GateFailed
                | Self::GateInconclusive
                | Self::PromotionFailed
                | Self::RolledBack
        )
    }

    /// The type of the Event.
    fn kind(self) -> &'static str {
        if self.is_warning() { "Warning" } else { "Normal" }
    }

    /// What gitsync was doing.
    fn action(self) -> &'static str {
        match self {
            Self::Applied | Self::DriftDetected | Self::DriftCorrected | Self::HealthCheckFailed => "Sync",
            Self::Pruned | Self::PruneBlocked => "Prune",
            Self::GatePassed | Self::GateFailed | Self::GateInconclusive => "Verify",
            Self::PromotionCommitted | Self::PromotionFailed | Self::RolledBack | Self::PushConflict => {
                "Promote"
            }
        }
    }
}

/// Every reason as a table in Markdown, as docs/metrics.md has it.
#[must_use]
pub fn table() -> String {
    let row = |reason: &Reason| {
        format!(
            "| `{reason:?}` | {} | {} | {} |\n",
            reason.kind(),
            reason.action(),
            reason.meaning()
        )
    };
    let rows: String = Reason::ALL.iter().map(row).collect();
    format!("| reason | type | action | |\n|---|---|---|---|\n{rows}")
}

// === impl Notices ===

impl Notices {
    /// Writes what is told of an environment into its cluster, until the value is dropped.
    #[must_use]
    pub fn of(cluster: Arc<Cluster>, environment: EnvName) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        let mut writer = Writer {
            cluster,
            environment,
            regarding: None,
            known: HashMap::new(),
        };
        tokio::spawn(async move {
            while let Some(notice) = waiting.recv().await {
                match tokio::time::timeout(TIMEOUT, writer.write(notice)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "an Event could not be written"),
                    Err(_) => tracing::debug!("an Event could not be written in time"),
                }
            }
        });
        Self(sender)
    }

    /// Tells something; what the queue has no room for is left out.
    pub fn tell(&self, reason: Reason, note: impl Into<String>) {
        let mut note: String = note.into();
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
        if self.0.try_send(Notice { reason, note }).is_err() {
            tracing::debug!(?reason, "an Event was left out");
        }
    }
}

// === impl Writer ===

impl Writer {
    async fn write(&mut self, notice: Notice) -> Result<(), kube::Error> {
        self.known.retain(|_, (_, _, since)| since.elapsed() < SAME_FOR);
        let events: Api<Event> = Api::namespaced(self.cluster.client().clone(), NAMESPACE);
        if let Some((name, count, _)) = self.known.get_mut(&notice) {
            *count += 1;
            let series = EventSeries {
                count: *count,
                last_observed_time: MicroTime(Timestamp::now()),
            };
            let patch = Patch::Merge(json!({ "series": series }));
            events
                .patch(name, &PatchParams::apply(FIELD_MANAGER), &patch)
                .await?;
            return Ok(());
        }
        let event = self.event(&notice).await?;
        let params = PostParams {
            dry_run: false,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let made = events.create(&params, &event).await?;
        let name = made.metadata.name.unwrap_or_default();
        self.known.insert(notice, (name, 1, Instant::now()));
        Ok(())
    }

    async fn event(&mut self, notice: &Notice) -> Result<Event, kube::Error> {
        let regarding = match &self.regarding {
            Some(regarding) => regarding.clone(),
            None => self.record().await?,
        };
        let now = Timestamp::now();
        let (reason, name) = (notice.reason, config_map_name(&self.environment));
        Ok(Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            action: Some(reason.action().to_owned()),
            reason: Some(format!("{reason:?}")),
            note: Some(notice.note.clone()),
            type_: Some(reason.kind().to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(regarding),
            reporting_controller: Some("gitsync.dev/gitsync".to_owned()),
            reporting_instance: Some(format!("gitsync-{}", std::process::id())),
            ..Event::default()
        })
    }

    /// The record of the environment, by its uid, so that `kubectl describe` shows the Events below it.
    async fn record(&mut self) -> Result<ObjectReference, kube::Error> {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster.client().clone(), NAMESPACE);
        let name = config_map_name(&self.environment);
        let found = maps.get_metadata_opt(&name).await?;
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            name: Some(name),
            namespace: Some(NAMESPACE.to_owned()),
            uid: found.and_then(|found| found.metadata.uid),
            ..ObjectReference::default()
        };
        if reference.uid.is_some() {
            self.regarding = Some(reference.clone());
        }
        Ok(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_event() {
        let page = include_str!("../../../docs/metrics.md");
        assert!(
            page.contains(&table()),
            "docs/metrics.md has to contain:\n{}",
            table()
        );
        let source = include_str!("events.rs");
        let declared = source.split("pub enum Reason {").nth(1).unwrap_or_default();
        let declared = declared.split('}').next().unwrap_or_default();
        let names = declared.lines().filter(|line| line.ends_with(','));
        assert_eq!(
            names.count(),
            Reason::ALL.len(),
            "a reason is missing in the list of all"
        );
    }
}
