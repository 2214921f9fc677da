//! Board: everything that the dashboard and the API show, as plain values. What is not on it cannot be seen from outside.
//!
//! Reconcilers write it, one environment at a time; readers take a copy. Secrets never get here: differences are
//! redacted where they are made. Every list is bounded by its writer.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// All that is known at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// The version of gitsync.
    pub version: String,
    /// The repository, without credentials.
    pub repository: String,
    /// The branch that is followed.
    pub branch: String,
    /// The commit that is in force.
    pub head: Option<CommitView>,
    /// What is wrong with git, or with a newer commit.
    pub troubles: Vec<String>,
    /// The environments in the order in which promotions pass them.
    #[serde(serialize_with = "shared")]
    #[schemars(with = "Vec<EnvironmentView>")]
    pub environments: Vec<Arc<EnvironmentView>>,
    /// The ways from one environment to the next.
    pub promotions: Vec<PromotionView>,
    /// What people asked for here since the process started, newest first; what they committed is in git as well.
    pub actions: Vec<ActionView>,
    /// Promotions that git remembers, and what people ordered (rollbacks, approvals, suspensions), newest first.
    #[serde(serialize_with = "shared")]
    #[schemars(with = "Vec<HistoryView>")]
    pub history: Vec<Arc<HistoryView>>,
}

/// A commit, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitView {
    /// The whole id.
    pub revision: String,
    /// Who wrote it: `name <email>`.
    pub author: String,
    /// When (RFC 3339).
    pub time: String,
    /// The first line of its message.
    pub subject: String,
}

/// What a person asked for on the dashboard or by the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionView {
    /// When (RFC 3339).
    pub time: String,
    /// Who, by their own word, and from where.
    pub by: String,
    /// `sync`, `verify`, `approve`, `rollback`, `suspend` or `resume`.
    pub action: String,
    /// The environment.
    pub environment: String,
    /// Whether it was done.
    pub done: bool,
    /// What came of it, in one sentence.
    pub message: String,
    /// The commit that it made.
    pub revision: Option<String>,
}

/// A way from one environment to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionView {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// The load checks that have to pass.
    pub gates: Vec<String>,
    /// Whether a person has to approve what was proved.
    pub approval: bool,
    /// How long what was proved waits, in seconds.
    pub soak_seconds: u64,
}

/// Why an environment is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuspensionView {
    /// Why.
    pub reason: String,
    /// Who suspended it.
    pub by: Option<String>,
    /// When it ends by itself (RFC 3339).
    pub until: Option<String>,
}

/// A promotion that is proved, and waits for a person or the clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitView {
    /// The promotion.
    pub promotion: String,
    /// What is waited for: `suspended`, `quarantined`, `frozen`, `soaking` or `unapproved`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// When it ends by itself (RFC 3339).
    pub until: Option<String>,
    /// The name of what was proved; an approval names it.
    pub evidence: String,
    /// The commit that the promotion will be, and what it changes among the objects, with secrets masked.
    pub next: String,
}

/// What an environment is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was heard of it yet.
    #[default]
    Unknown,
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
    /// Its cluster cannot be reached.
    Unreachable,
}

/// One environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// Its name.
    pub name: String,
    /// The context of its cluster.
    pub cluster: String,
    /// What it is doing.
    pub state: State,
    /// One sentence.
    pub message: String,
    /// What to do about it, when that is known.
    pub hint: Option<String>,
    /// Since when it is so (RFC 3339).
    pub since: Option<String>,
    /// Until when it waits before it looks again by itself (RFC 3339).
    pub until: Option<String>,
    /// When it was last looked at (RFC 3339).
    pub seen: Option<String>,
    /// When it was last in sync and healthy (RFC 3339).
    pub good: Option<String>,
    /// The commit that its overlay is read from.
    pub revision: Option<String>,
    /// The commit that its shared files are read from.
    pub shared: Option<String>,
    /// The last commit that was applied completely.
    pub synced: Option<String>,
    /// The images that should run.
    pub images: Vec<String>,
    /// The commit that last changed its overlay: who asked for these images, and when.
    pub changed_by: Option<CommitView>,
    /// Everything that is wrong with it.
    pub problems: Vec<String>,
    /// Why it is left alone, if it is.
    pub suspended: Option<SuspensionView>,
    /// The promotions that begin here, are proved, and wait.
    pub waits: Vec<WaitView>,
    /// How many objects differ from git.
    pub drift: u32,
    /// What was put back as git says since the process began, newest first.
    pub healed: Vec<HealView>,
    /// The objects, in the order of their ids.
    pub resources: Vec<ResourceView>,
    /// What syncing would change, as a unified diff with secrets masked; empty when nothing.
    pub pending: String,
    /// The last verification of each promotion that begins here.
    pub verifications: Vec<VerificationView>,
    /// The load check that runs, or the last one that this process ran.
    pub check: Option<CheckView>,
    /// The latest events in its namespaces, newest first; only after somebody asked for the environment.
    pub events: Vec<EventView>,
}

/// How an object is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is what was asked for.
    #[default]
    Healthy,
    /// It is on the way.
    Progressing,
    /// It will not get there by itself.
    Failed,
    /// It does not exist.
    Missing,
}

/// An object of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceView {
    /// Its kind.
    pub kind: String,
    /// The group of its kind; empty for the core group.
    pub group: String,
    /// Its namespace; empty for what belongs to the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Why it is so; empty when it is healthy.
    pub reason: String,
    /// What differs from git.
    pub drift: Vec<DriftView>,
    /// What belongs to it, to the depth of pods; only after somebody asked for the environment.
    pub children: Vec<ChildView>,
}

/// A field that differs from git.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftView {
    /// The field's path; empty when the whole object is concerned.
    pub field: String,
    /// Who wrote it, as far as the API server knows.
    pub by: String,
    /// When it was written (RFC 3339), as far as the API server knows.
    pub time: Option<String>,
}

/// A field, or a whole object, that was put back after somebody changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealView {
    /// When (RFC 3339).
    pub time: String,
    /// The object: `Kind namespace/name`.
    pub object: String,
    /// The field's path; empty when the object had been deleted.
    pub field: String,
    /// Who wrote it, as far as the API server knows.
    pub by: String,
}

/// An object that another one made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildView {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// How deep it stands below the resource: 1 for a ReplicaSet of a Deployment, 2 for its pods.
    pub depth: u32,
    /// How it is.
    pub health: Health,
    /// Why it is so, or how many are ready.
    pub reason: String,
}

/// An event of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// When it was last seen (RFC 3339).
    pub time: String,
    /// Whether it is a warning.
    pub warning: bool,
    /// What it is about: `Kind namespace/name`.
    pub object: String,
    /// The reason, in one word.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// One run of the gates of a promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationView {
    /// The promotion.
    pub promotion: String,
    /// `passed`, `failed` or `void`.
    pub verdict: String,
    /// Why, in one sentence.
    pub reason: String,
    /// The figures of each gate.
    pub figures: Vec<String>,
    /// The images that ran, with their digests where the cluster knew them.
    pub images: Vec<String>,
    /// The commit that was verified.
    pub revision: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended (RFC 3339).
    pub finished: String,
}

/// A load check, while it runs and afterwards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckView {
    /// Its name.
    pub name: String,
    /// Whether it still runs.
    pub running: bool,
    /// Since the start, in seconds.
    pub elapsed_seconds: f64,
    /// How long it takes, in seconds.
    pub duration_seconds: f64,
    /// How often it was repeated because its verdict was unclear.
    pub repetition: u32,
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Virtual users that work.
    pub vus: u32,
    /// The most virtual users that there can be.
    pub max_vus: u32,
    /// The thresholds, as they are written.
    pub thresholds: Vec<String>,
    /// The bound on the request duration that the plot shows, in milliseconds.
    pub bound_millis: Option<f64>,
    /// The response times, oldest first.
    pub latency: Vec<LatencyView>,
    /// `passed`, `failed` or `void`; none while it runs.
    pub verdict: Option<String>,
    /// Why, in one sentence; empty while it runs.
    pub reason: String,
}

/// The response times of a short while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyView {
    /// Since the start, in seconds.
    pub at_seconds: f64,
    /// The 90th percentile in milliseconds.
    pub p90_millis: f64,
    /// The longest in milliseconds.
    pub max_millis: f64,
}

/// A promotion that git remembers, or an order of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    /// The commit.
    pub commit: CommitView,
    /// Its trailers in order: the images, the proof, the figures.
    pub trailers: Vec<TrailerView>,
}

// === impl HistoryView ===

impl HistoryView {
    /// Whether its message has a trailer of that key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.trailers.iter().any(|trailer| trailer.key == key)
    }
}

/// A `Key: value` line of a commit message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrailerView {
    /// What stands before the colon.
    pub key: String,
    /// What stands behind it.
    pub value: String,
}

/// An image that is on its way from one environment to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coming<'a> {
    /// What runs there; none when nothing of that repository does.
    pub now: Option<&'a str>,
    /// What the environment before has.
    pub next: &'a str,
}

fn shared<T: Serialize, S: Serializer>(list: &[Arc<T>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|item| &**item))
}

// === impl Board ===

impl Board {
    /// The environment called `name`.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&EnvironmentView> {
        self.environments
            .iter()
            .find(|environment| environment.name == name)
            .map(|environment| &**environment)
    }

    /// The images that promoting `promotion` would bring, where they differ from what is there.
    #[must_use]
    pub fn coming(&self, promotion: &PromotionView) -> Vec<Coming<'_>> {
        let Some((from, to)) = self
            .environment(&promotion.from)
            .zip(self.environment(&promotion.to))
        else {
            return Vec::new();
        };
        let differing = from.images.iter().filter(|image| !to.images.contains(image));
        let same_repository = |image: &str| {
            let wanted = repository(image);
            to.images.iter().find(|there| repository(there) == wanted)
        };
        differing
            .map(|next| Coming {
                now: same_repository(next).map(String::as_str),
                next,
            })
            .collect()
    }
}

fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

// === impl State ===

impl State {
    /// Every state, for metrics that list them all.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Synced,
        Self::Progressing,
        Self::Verifying,
        Self::Promoting,
        Self::Held,
        Self::Failed,
        Self::Unreachable,
    ];

    /// The word for it, as the API writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Synced => "synced",
            Self::Progressing => "progressing",
            Self::Verifying => "verifying",
            Self::Promoting => "promoting",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Health {
    /// The word for it, as the API writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Progressing => "progressing",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_images_are_those_that_the_next_environment_lacks() {
        let mk = |name: &str, images: &[&str]| {
            Arc::new(EnvironmentView {
                name: name.into(),
                images: images.iter().map(|image| (*image).to_owned()).collect(),
                ..EnvironmentView::default()
            })
        };
        let promotion = PromotionView {
            from: "staging".into(),
            to: "prod".into(),
            ..PromotionView::default()
        };
        let board = Board {
            environments: vec![
                mk("staging", &["r:5000/app:v2", "same:1", "new"]),
                mk("prod", &["r:5000/app:v1", "same:1"]),
            ],
            ..Board::default()
        };
        let coming = board.coming(&promotion);
        let pairs: Vec<_> = coming.iter().map(|coming| (coming.now, coming.next)).collect();
        assert_eq!(pairs, [(Some("r:5000/app:v1"), "r:5000/app:v2"), (None, "new")]);
    }
}
