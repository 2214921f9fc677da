//! Rehearsal: a repository's whole path, played on a sandbox cluster for each environment.
//!
//! ```text
//! what ran before ─▶ what git asks for now ─▶ each promotion in order      apply, wait, prune: as the daemon does
//!   (optional)          every environment       the commit, and its effect
//! ```
//!
//! Rendering, applying, health and pruning are the daemon's own. What the sandbox cannot know is left out and said: the
//! images are taken to be there and to work, no load is sent, and kinds without a CRD in git are set aside.

pub mod images;
mod path;
mod place;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::feed::Head;
use crate::config::repository::Environment;
use crate::desired::Desired;
use crate::desired::tree::render;
use crate::diff::Diff;
use crate::model::EnvName;
use crate::problem::Problems;
use crate::source::Snapshot;
use crate::world::cluster::ClusterError;
pub use path::{Gate, Passage, PromotionRehearsal};
use place::Place;

/// A commit with what else is needed to render its environments.
#[derive(Clone)]
pub struct Material {
    /// The commit and its configuration.
    pub head: Head,
    /// The trees that proved environments read their shared files from.
    pub proved: BTreeMap<EnvName, Snapshot>,
}

/// What is rehearsed.
pub struct Request {
    /// What git asks for.
    pub now: Material,
    /// What runs before, if that is to be part of it.
    pub before: Option<Material>,
    /// How long a rollout may take.
    pub limit: Duration,
}

/// How a rehearsal went.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// The environments in the order of promotions.
    pub environments: Vec<EnvironmentRehearsal>,
    /// The promotions in order.
    pub promotions: Vec<PromotionRehearsal>,
}

/// One environment, as git has it.
#[derive(Debug, Clone)]
pub struct EnvironmentRehearsal {
    /// Its name.
    pub name: EnvName,
    /// The images that it asks for.
    pub images: Vec<String>,
    /// What became of it.
    pub applied: Applied,
}

/// What came of applying some objects.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What changed, pruned objects included.
    pub diff: Diff,
    /// What was left out or done besides, and why.
    pub notes: Vec<String>,
    /// How it ended.
    pub end: End,
}

/// How applying ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Everything is healthy.
    Healthy,
    /// It was applied, and will not become healthy; the text says why.
    Unhealthy(String),
    /// The API server refuses objects.
    Refused(Problems),
    /// There is nothing to apply: it does not render.
    Unrendered(Problems),
}

/// Why a rehearsal did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// A sandbox cluster does not start.
    #[error("the sandbox cluster for {0} does not start")]
    Start(EnvName, #[source] sandbox::StartError),
    /// A sandbox cluster does not answer.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Somebody asked for the end.
    #[error("interrupted")]
    Interrupted,
}

/// Rehearses a repository.
///
/// # Errors
///
/// When a sandbox cluster cannot be used, or somebody asks for the end. Everything that is wrong with the repository is
/// an outcome.
pub async fn rehearse(request: Request, cancel: &CancellationToken) -> Result<Rehearsal, RehearsalError> {
    tokio::select! {
        () = cancel.cancelled() => Err(RehearsalError::Interrupted),
        rehearsal = play(request) => rehearsal,
    }
}

async fn play(request: Request) -> Result<Rehearsal, RehearsalError> {
    let Request { now, before, limit } = request;
    let environments = now.head.config.in_order();
    let plays = environments
        .iter()
        .map(|environment| arrive(environment, &now, before.as_ref(), limit));
    let (mut found, mut places) = (Vec::new(), BTreeMap::new());
    for arrival in join_all(plays).await {
        let (rehearsal, place) = arrival?;
        places.insert(rehearsal.name.clone(), place);
        found.push(rehearsal);
    }
    let promotions = path::follow(now, &mut places, &found, limit).await?;
    Ok(Rehearsal {
        environments: found,
        promotions,
    })
}

/// One environment in a cluster of its own: what ran before, if anything, and then what git asks for.
async fn arrive(
    environment: &Environment,
    now: &Material,
    before: Option<&Material>,
    limit: Duration,
) -> Result<(EnvironmentRehearsal, Place), RehearsalError> {
    let mut place = Place::start(environment).await?;
    let earlier = before.and_then(|before| {
        let known = before.head.config.environments.get(&environment.name)?;
        Some(before.desired(known))
    });
    let mut notes = Vec::new();
    match earlier {
        Some(Ok(desired)) => match place.apply(&desired, limit).await?.end {
            End::Healthy => {}
            _ => notes.push("what runs before is not healthy either".to_owned()),
        },
        Some(Err(_)) => notes.push("what runs before does not render, and was left out".to_owned()),
        None => {}
    }
    let (images, mut applied) = match now.desired(environment) {
        Ok(desired) => {
            let applied = place.apply(&desired, limit).await?;
            (desired.images().into_iter().collect(), applied)
        }
        Err(problems) => (Vec::new(), Applied::without(End::Unrendered(problems))),
    };
    applied.notes.splice(..0, notes);
    let name = environment.name.clone();
    Ok((
        EnvironmentRehearsal {
            name,
            images,
            applied,
        },
        place,
    ))
}

// === impl Material ===

impl Material {
    /// What an environment asks for.
    ///
    /// # Errors
    ///
    /// When its overlay does not render: then with all problems.
    pub fn desired(&self, environment: &Environment) -> Result<Desired, Problems> {
        let proved = environment
            .verified
            .as_ref()
            .and_then(|_| self.proved.get(&environment.name));
        render(&environment.dir, &self.head.snapshot, proved)
    }

    /// The tree that an environment reads its shared files from.
    fn shared(&self, environment: &Environment) -> &Snapshot {
        let proved = environment
            .verified
            .as_ref()
            .and_then(|_| self.proved.get(&environment.name));
        proved.unwrap_or(&self.head.snapshot)
    }
}

// === impl Rehearsal ===

impl Rehearsal {
    /// Whether an environment does not even render.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        let mut environments = self.environments.iter();
        environments.any(|environment| matches!(environment.applied.end, End::Unrendered(_)))
    }

    /// Whether everything would work.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let mut environments = self.environments.iter();
        environments.all(|environment| environment.applied.end == End::Healthy)
            && self.promotions.iter().all(PromotionRehearsal::is_good)
    }
}

// === impl Applied ===

impl Applied {
    /// Nothing was applied.
    fn without(end: End) -> Self {
        Self {
            diff: Diff::default(),
            notes: Vec::new(),
            end,
        }
    }
}
