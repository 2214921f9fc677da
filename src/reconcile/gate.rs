//! Gate: the run of a promotion's load checks, with the proof that they hit exactly what git asks for.
//!
//! Before the first request and after the last, every ready endpoint of the Service must run the expected images, and
//! the environment must be as it was: nothing synced, nothing drifted. Otherwise the verification is void, and says
//! nothing for or against the image.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Shared;
use super::promotion::gates_hash;
use crate::config::load_check::metric::Metric;
use crate::config::load_check::plan::{Base, Plan, Rule};
use crate::config::load_check::threshold::{Operator, Selection};
use crate::config::load_check::{LoadCheckSpec, ServiceRef};
use crate::config::repository::{Config, Environment, Promotion};
use crate::config::verified::VerifiedImage;
use crate::desired::Desired;
use crate::live::Inventory;
use crate::problem::chain;
use crate::record::{EvidenceKey, Synced, Verdict, Verification};
use crate::report::board::CheckView;
use crate::report::metrics::Quantile;
use crate::verify::backends::{expected_images, judge};
use crate::verify::judge::{LoadOutcome, LoadVerdict};
use crate::world::cluster::service::{self, Resolved, Seat};
use crate::world::cluster::{Cluster, ClusterError};
use crate::world::load::{self, Origins};

/// What is verified.
pub struct Subject<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// What git asks for there.
    pub desired: &'a Desired,
    /// What was applied there.
    pub inventory: &'a Inventory,
    /// The sync that is verified.
    pub synced: Option<&'a Synced>,
}

/// Why a verification did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The cluster cannot be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The process is asked to stop.
    #[error("the verification was interrupted")]
    Interrupted,
}

/// How the gates ended.
struct Ended {
    verdict: Verdict,
    reason: String,
    images: Vec<VerifiedImage>,
    figures: Vec<String>,
}

/// Runs the gates of a promotion, one after the other.
///
/// # Errors
///
/// When the cluster cannot be asked, or the process is asked to stop. Everything else is a verdict.
pub async fn verify(
    shared: &Shared,
    cluster: &Cluster,
    config: &Config,
    promotion: &Promotion,
    subject: Subject<'_>,
) -> Result<Verification, GateError> {
    let started = Timestamp::now();
    let mut ended = run_gates(shared, cluster, config, promotion, &subject).await?;
    if ended.verdict == Verdict::Passed
        && let Some(why) = disturbance(cluster, &subject).await?
    {
        ended = Ended {
            verdict: Verdict::Void,
            reason: why,
            ..ended
        };
    }
    let desired = (&subject.desired.revision, &subject.desired.shared);
    let (revision, shared_files) = subject
        .synced
        .map_or(desired, |synced| (&synced.revision, &synced.shared));
    Ok(Verification {
        key: EvidenceKey {
            objects: subject.desired.hash.clone(),
            gates: gates_hash(promotion, config),
        },
        revision: revision.clone(),
        shared: shared_files.clone(),
        images: ended.images,
        verdict: ended.verdict,
        reason: ended.reason,
        figures: ended.figures,
        started,
        finished: Timestamp::now(),
    })
}

async fn run_gates(
    shared: &Shared,
    cluster: &Cluster,
    config: &Config,
    promotion: &Promotion,
    subject: &Subject<'_>,
) -> Result<Ended, GateError> {
    let (mut images, mut figures) = (BTreeSet::new(), Vec::new());
    for name in &promotion.gates {
        let Some(spec) = config.load_checks.get(name) else {
            return Ok(void(format!("there is no load check `{name}`")));
        };
        let before = match proved_images(cluster, spec, subject).await? {
            Ok(images) => images,
            Err(why) => return Ok(void(format!("load check {name} did not begin: {why}"))),
        };
        let verdict = tokio::select! {
            () = shared.cancel.cancelled() => return Err(GateError::Interrupted),
            verdict = measure(shared, cluster, name, spec, subject) => verdict,
        };
        let (verdict, reason, gate_figures) = match verdict {
            Ok(verdict) => (
                verdict_of(verdict.outcome),
                verdict.reason.clone(),
                figures_of(&verdict),
            ),
            // What cannot be measured is no evidence, neither for the image nor against it.
            Err(why) => (Verdict::Void, why, Vec::new()),
        };
        shared
            .hub
            .desk(&subject.environment.name)
            .end_check(verdict.word(), &reason);
        figures.extend(gate_figures.into_iter().map(|figure| format!("{name}: {figure}")));
        if verdict != Verdict::Passed {
            let images = before.into_iter().chain(images).collect();
            return Ok(Ended {
                verdict,
                reason: format!("load check {name}: {reason}"),
                images,
                figures,
            });
        }
        match proved_images(cluster, spec, subject).await? {
            Ok(after) if after == before => images.extend(after),
            Ok(_) => return Ok(void(format!("the image changed while load check {name} ran"))),
            Err(why) => {
                return Ok(void(format!(
                    "the environment changed while load check {name} ran: {why}"
                )));
            }
        }
    }
    let reason = format!("passed {}", promotion.gates.join(", "));
    Ok(Ended {
        verdict: Verdict::Passed,
        reason,
        images: images.into_iter().collect(),
        figures,
    })
}

fn void(reason: String) -> Ended {
    Ended {
        verdict: Verdict::Void,
        reason,
        images: Vec::new(),
        figures: Vec::new(),
    }
}

/// The images that answer behind the check's Service, if they are exactly the expected ones.
///
/// A check of a plain URL cannot say who answers; then it is what git asks for, once the rollout is complete.
async fn proved_images(
    cluster: &Cluster,
    spec: &LoadCheckSpec,
    subject: &Subject<'_>,
) -> Result<Result<Vec<VerifiedImage>, String>, ClusterError> {
    let Some(service) = spec.target.service.as_ref() else {
        return Ok(judge_unseen(subject));
    };
    let expected = match expected_images(&subject.desired.objects, &service.name) {
        Ok(expected) => expected,
        Err(why) => return Ok(Err(why)),
    };
    let namespace = namespace_of(cluster, spec, subject);
    let backends = cluster.backends(&namespace, &service.name).await?;
    Ok(judge(&backends, &expected))
}

fn judge_unseen(subject: &Subject<'_>) -> Result<Vec<VerifiedImage>, String> {
    let images = subject
        .desired
        .images()
        .into_iter()
        .filter_map(|text| text.parse::<crate::model::ImageRef>().ok());
    Ok(images
        .map(|image| VerifiedImage {
            name: image.repository,
            tag: image.tag,
            digest: image.digest,
        })
        .collect())
}

/// Sends the load and judges it; the text says why that was not possible.
async fn measure(
    shared: &Shared,
    cluster: &Cluster,
    name: &str,
    spec: &LoadCheckSpec,
    subject: &Subject<'_>,
) -> Result<LoadVerdict, String> {
    let plan = spec.compile().map_err(|invalid| {
        let messages: Vec<String> = invalid.into_iter().map(|invalid| invalid.message).collect();
        messages.join("; ")
    })?;
    let exceeded = shared.limits.exceeded_by(&plan);
    if !exceeded.is_empty() {
        return Err(format!("no load was sent: {}", exceeded.join("; ")));
    }
    let progress = shared
        .hub
        .desk(&subject.environment.name)
        .begin_check(shown(name, &plan));
    let namespace = namespace_of(cluster, spec, subject);
    let bases = [Some(&plan.base), plan.baseline.as_ref()];
    // A way through the API server is open as long as what was resolved is kept.
    let (mut resolved, mut origins) = (Vec::new(), Vec::new());
    for base in bases.into_iter().flatten() {
        match base {
            Base::Origin(origin) => origins.push(origin.clone()),
            Base::Service(service) => {
                let found = resolve(shared, cluster, &namespace, spec, service).await?;
                origins.push(found.base_url.clone());
                resolved.push(found);
            }
        }
    }
    let mut origins = origins.into_iter();
    let origins = Origins {
        target: origins.next().unwrap_or_default(),
        baseline: origins.next(),
    };
    if spec.script.is_some() {
        let run = load::script::check(
            spec,
            plan,
            &origins.target,
            Some(&shared.limits),
            &progress,
            &shared.cancel,
        )
        .await;
        return run.map(|(_, run)| run.concluded()).map_err(|error| chain(&error));
    }
    let sent = plan.clone();
    let checked = if spec.distribution.is_some() {
        let client = cluster.client();
        load::fleet::pods::check(client, &namespace, spec, plan, origins, progress, &shared.cancel).await
    } else {
        load::check(plan, origins, progress, &shared.cancel).await
    };
    let checked = checked.map_err(|error| chain(&error))?;
    let all = Selection {
        metric: Metric::HttpReqDuration,
        tags: Vec::new(),
    };
    let trend = checked.samples.trend(&sent, &all);
    let quantiles = QUANTILES.into_iter();
    let seen = quantiles.filter_map(|(label, rank)| Some((label, trend.percentile(rank)?)));
    let key = (subject.environment.name.to_string(), name.to_owned());
    shared
        .hub
        .count(|counters| drop(counters.latencies.insert(key, seen.collect())));
    Ok(checked.verdict)
}

/// The quantiles of the response times that metrics have.
const QUANTILES: [(Quantile, f64); 4] = [("0.5", 50.0), ("0.9", 90.0), ("0.95", 95.0), ("0.99", 99.0)];

/// The address of a Service, as seen from what sends the load.
async fn resolve(
    shared: &Shared,
    cluster: &Cluster,
    namespace: &str,
    spec: &LoadCheckSpec,
    service: &ServiceRef,
) -> Result<Resolved, String> {
    let (client, limit, cancel) = (
        cluster.client(),
        spec.target.wait_ready.timeout.get(),
        &shared.cancel,
    );
    let found = if spec.distribution.is_some() {
        service::resolve_from(Seat::Inside, client, namespace, service, limit, cancel).await
    } else {
        service::resolve(client, namespace, service, limit, cancel).await
    };
    found.map_err(|error| format!("{} ({})", chain(&error), error.hint()))
}

/// What people see of a load check before its first request.
fn shown(name: &str, plan: &Plan) -> CheckView {
    let is_bound = |rule: &&Rule| {
        rule.selection.metric == Metric::HttpReqDuration
            && rule.selection.tags.is_empty()
            && !rule.threshold.relative
            && matches!(rule.threshold.operator, Operator::Less | Operator::LessOrEqual)
    };
    let thresholds = plan.rules.iter();
    CheckView {
        name: name.to_owned(),
        thresholds: thresholds
            .map(|rule| format!("{} {}", rule.selection, rule.source))
            .collect(),
        bound_millis: plan.rules.iter().find(is_bound).map(|rule| rule.threshold.bound),
        ..CheckView::default()
    }
}

fn verdict_of(outcome: LoadOutcome) -> Verdict {
    match outcome {
        LoadOutcome::Pass => Verdict::Passed,
        // What is still not clear after every repetition is not proved.
        LoadOutcome::Fail | LoadOutcome::Inconclusive => Verdict::Failed,
        LoadOutcome::Void => Verdict::Void,
    }
}

/// The figure of every threshold, as it is written down in git.
fn figures_of(verdict: &LoadVerdict) -> Vec<String> {
    let figure = |threshold: &crate::verify::judge::ThresholdVerdict| {
        let value = threshold
            .value
            .map_or_else(|| "no data".to_owned(), |value| format!("{value:.2}"));
        format!("{} {} = {value}", threshold.metric, threshold.threshold)
    };
    verdict.thresholds.iter().map(figure).collect()
}

/// The namespace of the check's Service: its own word, else the one that git gives the Service.
fn namespace_of(cluster: &Cluster, spec: &LoadCheckSpec, subject: &Subject<'_>) -> String {
    let service = spec.target.service.as_ref();
    let named = service.and_then(|service| service.namespace.clone());
    let rendered = || {
        let name = &service?.name;
        let is_it = |object: &&manifest::Manifest| object.gvk().kind == "Service" && object.name() == name;
        let found = subject.desired.objects.iter().find(is_it)?.namespace().to_owned();
        (!found.is_empty()).then_some(found)
    };
    named
        .or_else(rendered)
        .unwrap_or_else(|| cluster.default_namespace().to_owned())
}

/// What happened to the environment while the gates ran, if anything did.
async fn disturbance(cluster: &Cluster, subject: &Subject<'_>) -> Result<Option<String>, ClusterError> {
    let stored = cluster.read_record(&subject.environment.name).await?;
    if stored.record.synced.as_ref() != subject.synced {
        return Ok(Some("the environment was synced while its gates ran".to_owned()));
    }
    let observation = cluster
        .observe(subject.environment, subject.desired, subject.inventory, None)
        .await?;
    let changed = observation
        .diff
        .changed()
        .find(|object| !matches!(object.change, crate::diff::Change::Prune(_)));
    Ok(changed.map(|object| format!("{} drifted while the gates ran", object.id)))
}
