//! Path: the promotions in order, each as the commit that it would be, and what that would do where it leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::place::Place;
use super::{Applied, End, EnvironmentRehearsal, Material, RehearsalError};
use crate::config::load_check::LoadCheckSpec;
use crate::config::repository::{self, Environment, Promotion};
use crate::config::verified::VerifiedImage;
use crate::desired::Desired;
use crate::model::{Edit, EnvName, ImageRef};
use crate::problem::Problems;
use crate::promote::guard::bar;
use crate::promote::proof::Proof;
use crate::promote::propose::{Proposal, Trees, propose};
use crate::reconcile::promotion::gates_hash;
use crate::record::{EvidenceKey, Verdict, Verification};
use crate::source::Snapshot;
use crate::verify::backends::{expected_images, judge};

/// How a promotion would go.
#[derive(Debug, Clone)]
pub struct PromotionRehearsal {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub from: EnvName,
    /// Where it leads.
    pub to: EnvName,
    /// What has to pass, in order.
    pub gates: Vec<Gate>,
    /// What it would wait for besides.
    pub waits: Vec<String>,
    /// What it would be.
    pub passage: Passage,
}

/// A gate, as far as it can be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The load check.
    pub name: String,
    /// What it asks.
    pub asks: String,
    /// Who would answer it.
    pub answers: Result<String, String>,
}

/// What a promotion would be.
#[derive(Debug, Clone)]
pub enum Passage {
    /// It would not come to it; the text says why.
    Blocked(String),
    /// The next environment has everything already.
    Nothing,
    /// It must not happen, or cannot be made.
    Refused(String),
    /// A commit.
    Commit {
        /// Its subject.
        subject: String,
        /// Its files, as they were before.
        before: Snapshot,
        /// What it changes.
        edit: Edit,
        /// What that does in the next environment.
        applied: Applied,
    },
}

/// Follows every promotion in order, as if all gates passed.
pub async fn follow(
    mut material: Material,
    places: &mut BTreeMap<EnvName, Place>,
    environments: &[EnvironmentRehearsal],
    limit: Duration,
) -> Result<Vec<PromotionRehearsal>, RehearsalError> {
    let healthy = |one: &&EnvironmentRehearsal| one.applied.end == End::Healthy;
    let mut good: Vec<EnvName> = environments
        .iter()
        .filter(healthy)
        .map(|one| one.name.clone())
        .collect();
    let mut found = Vec::new();
    for environment in environments {
        let promotion = material.head.config.promotion_to(&environment.name).cloned();
        let Some(promotion) = promotion else { continue };
        let rehearsal = if good.contains(&promotion.from) {
            promote(&mut material, places, &promotion, limit).await?
        } else {
            let why = format!("{} is not healthy, and proves nothing", promotion.from);
            rehearsed(&promotion, Vec::new(), Vec::new(), Passage::Blocked(why))
        };
        if let Passage::Commit { applied, .. } = &rehearsal.passage {
            good.retain(|name| *name != promotion.to);
            good.extend((applied.end == End::Healthy).then(|| promotion.to.clone()));
        }
        found.push(rehearsal);
    }
    Ok(found)
}

fn rehearsed(
    promotion: &Promotion,
    gates: Vec<Gate>,
    waits: Vec<String>,
    passage: Passage,
) -> PromotionRehearsal {
    PromotionRehearsal {
        name: promotion.name.clone(),
        from: promotion.from.clone(),
        to: promotion.to.clone(),
        gates,
        waits,
        passage,
    }
}

async fn promote(
    material: &mut Material,
    places: &mut BTreeMap<EnvName, Place>,
    promotion: &Promotion,
    limit: Duration,
) -> Result<PromotionRehearsal, RehearsalError> {
    let config = Arc::clone(&material.head.config);
    let known = (
        config.environments.get(&promotion.from),
        config.environments.get(&promotion.to),
    );
    let (Some(from), Some(to)) = known else {
        let why = "its environments are not there".to_owned();
        return Ok(rehearsed(
            promotion,
            Vec::new(),
            Vec::new(),
            Passage::Refused(why),
        ));
    };
    let desired = match material.desired(from) {
        Ok(desired) => desired,
        Err(problems) => {
            let passage = Passage::Refused(problems.to_string());
            return Ok(rehearsed(promotion, Vec::new(), Vec::new(), passage));
        }
    };
    let mut gates = Vec::new();
    for name in &promotion.gates {
        if let (Some(spec), Some(place)) = (config.load_checks.get(name), places.get(&promotion.from)) {
            gates.push(gate(name, spec, place, &desired).await?);
        }
    }
    let passed = as_if_passed(&desired, &gates_hash(promotion, &config));
    let Some(proof) = Proof::of(&passed, &passed.key) else {
        let why = "nothing can be proved".to_owned();
        return Ok(rehearsed(promotion, gates, Vec::new(), Passage::Refused(why)));
    };
    let waits = waits(to, promotion, proof);
    let shared = material.shared(from).clone();
    let trees = Trees {
        head: &material.head.snapshot,
        overlay: &material.head.snapshot,
        shared: &shared,
        pinned: to.verified.as_ref().and_then(|_| material.proved.get(&to.name)),
    };
    let passage = match propose(from, to, proof, trees) {
        Err(problems) => Passage::Refused(problems.to_string()),
        Ok(Proposal::Refused(why)) => Passage::Refused(why),
        Ok(Proposal::Nothing) => Passage::Nothing,
        Ok(Proposal::Commit {
            edit,
            message,
            desired,
        }) => {
            let before = material.head.snapshot.clone();
            if let Err(problems) = material.commit(edit.clone(), &to.name, shared) {
                return Ok(rehearsed(
                    promotion,
                    gates,
                    waits,
                    Passage::Refused(problems.to_string()),
                ));
            }
            let applied = match places.get_mut(&promotion.to) {
                Some(place) => place.apply(&desired, limit).await?,
                None => Applied::without(End::Unhealthy("it has no cluster".to_owned())),
            };
            Passage::Commit {
                subject: message.subject,
                before,
                edit,
                applied,
            }
        }
    };
    Ok(rehearsed(promotion, gates, waits, passage))
}

/// What a gate asks, and who would answer.
async fn gate(
    name: &str,
    spec: &LoadCheckSpec,
    place: &Place,
    desired: &Desired,
) -> Result<Gate, RehearsalError> {
    let asks = match spec.compile() {
        Ok(plan) => {
            let thresholds = plan.rules.iter();
            let thresholds: Vec<String> = thresholds
                .map(|rule| format!("{} {}", rule.selection, rule.source))
                .collect();
            let seconds = plan.duration().as_secs();
            format!(
                "up to {} VUs, {seconds} s: {}",
                plan.max_vus(),
                thresholds.join(", ")
            )
        }
        Err(invalid) => invalid
            .into_iter()
            .map(|one| one.message)
            .collect::<Vec<_>>()
            .join("; "),
    };
    let answers = match &spec.target.service {
        None => Ok("an address outside of the clusters, which is not asked".to_owned()),
        Some(service) => match expected_images(&desired.objects, &service.name) {
            Err(why) => Err(why),
            Ok(expected) => {
                let rendered = desired
                    .objects
                    .iter()
                    .find(|object| object.gvk().kind == "Service" && object.name() == service.name);
                let namespace = rendered.map_or("", |object| object.namespace());
                let namespace = service.namespace.as_deref().unwrap_or(namespace);
                let namespace = if namespace.is_empty() {
                    place.cluster.default_namespace()
                } else {
                    namespace
                };
                let backends = place.cluster.backends(namespace, &service.name).await?;
                let many = if backends.len() == 1 {
                    "endpoint"
                } else {
                    "endpoints"
                };
                judge(&backends, &expected).map(|_| {
                    format!(
                        "Service {} has {} ready {many} with these images",
                        service.name,
                        backends.len()
                    )
                })
            }
        },
    };
    Ok(Gate {
        name: name.to_owned(),
        asks,
        answers,
    })
}

/// What a promotion would wait for after its gates.
fn waits(to: &Environment, promotion: &Promotion, proof: Proof<'_>) -> Vec<String> {
    let mut waits = Vec::new();
    if promotion.approval {
        waits.push("the approval of a person".to_owned());
    }
    if !promotion.soak.is_zero() {
        let soak = crate::config::duration::Duration(promotion.soak);
        waits.push(format!("{soak} of soaking"));
    }
    let freezes = promotion.freezes.iter();
    waits.extend(freezes.map(|freeze| {
        format!(
            "no freeze from {} until {}: {}",
            freeze.from, freeze.until, freeze.reason
        )
    }));
    if waits.is_empty() {
        waits.extend(bar(to, promotion, proof, Timestamp::now()).map(|bar| bar.to_string()));
    }
    waits
}

/// What the daemon would write down had all gates passed. It exists for this rehearsal alone, and nothing stores it; the
/// digests of the sandbox are nobody's.
fn as_if_passed(desired: &Desired, gates: &str) -> Verification {
    let images = desired.images();
    let images = images.iter().filter_map(|text| text.parse::<ImageRef>().ok());
    let now = Timestamp::now();
    Verification {
        key: EvidenceKey {
            objects: desired.hash.clone(),
            gates: gates.to_owned(),
        },
        revision: desired.revision.clone(),
        shared: desired.shared.clone(),
        images: images
            .map(|image| VerifiedImage {
                name: image.repository,
                tag: image.tag,
                digest: image.digest,
            })
            .collect(),
        verdict: Verdict::Passed,
        reason: "rehearsed".to_owned(),
        figures: Vec::new(),
        started: now,
        finished: now,
    }
}

// === impl PromotionRehearsal ===

impl PromotionRehearsal {
    /// Whether it would work.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let answered = self.gates.iter().all(|gate| gate.answers.is_ok());
        answered
            && match &self.passage {
                Passage::Nothing => true,
                Passage::Commit { applied, .. } => applied.end == End::Healthy,
                Passage::Blocked(_) | Passage::Refused(_) => false,
            }
    }
}

// === impl Material ===

impl Material {
    /// Lays a promotion's commit over the tree; what it says of `to` is read from there.
    fn commit(&mut self, edit: Edit, to: &EnvName, shared: Snapshot) -> Result<(), Problems> {
        let committed = self.head.snapshot.edited(edit);
        self.head.config = Arc::new(repository::read(committed.tree())?);
        self.head.snapshot = committed;
        self.proved.insert(to.clone(), shared);
        Ok(())
    }
}
