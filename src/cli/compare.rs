//! Comparison: two states of an environment, wherever they come from, and how they differ.

use std::path::Path;
use std::sync::Arc;

use manifest::Manifest;

use super::context::{Checkout, Context, cluster_failure, git_failure, head_failure};
use super::failure::Failure;
use crate::config::repository::{Environment, Promotion};
use crate::desired::Desired;
use crate::desired::policy::{self, Violation};
use crate::diff::rendered::{Pairing, between};
use crate::diff::{Diff, files};
use crate::model::Edit;
use crate::problem::Problems;
use crate::promote::proof::Proof;
use crate::promote::propose::Proposal;
use crate::reconcile::feed::{Head, fetch_head};
use crate::reconcile::promotion::{gates_hash, proposal};
use crate::report::paint::Paint;
use crate::source::Snapshot;
use crate::world::git::{Git, WorkingCopy};
use crate::world::remote::Remote;

/// How two states differ.
pub struct Comparison {
    /// The environment that it is about.
    pub environment: String,
    /// The title for people.
    pub title: String,
    /// What is said in place of a summary.
    pub note: Option<String>,
    /// The objects.
    pub diff: Diff,
    /// The commit that brings it about, where there is none yet.
    pub files: Edit,
    /// What the policies of the new state do not let through, or may not.
    pub violations: Vec<Violation>,
    before: Option<Snapshot>,
}

/// What was compared, each by its title: one failure does not hide the others.
pub type Compared = Vec<(String, Result<Comparison, Failure>)>;

// === impl Comparison ===

impl Comparison {
    fn new(environment: &str, title: String, diff: Diff) -> Self {
        Self {
            environment: environment.to_owned(),
            title,
            note: None,
            diff,
            files: Edit::default(),
            violations: Vec::new(),
            before: None,
        }
    }

    /// Adds what the policies say of the objects that it leads to.
    fn judged(mut self, objects: &[Manifest], others: &[Manifest]) -> Self {
        self.violations = policy::check(objects, others);
        self
    }

    /// The commit as a patch; empty when there is none.
    pub fn patch(&self, paint: Paint) -> String {
        let before = self.before.as_ref();
        before.map_or_else(String::new, |before| {
            files::patch(before.tree(), &self.files, paint)
        })
    }
}

/// What git asks for against what is live.
pub async fn live(context: &Context, names: &[String]) -> Result<Compared, Failure> {
    let checkout = context.checkout().await?;
    let others = policy::read(checkout.head.snapshot.tree());
    let mut compared = Vec::new();
    for environment in checkout.environments(names)? {
        let name = environment.name.as_str();
        let result = match checkout.render(environment).await {
            Ok(desired) => observe(context, environment, &desired)
                .await
                .map(|diff| Comparison::new(name, name.to_owned(), diff).judged(&desired.objects, &others)),
            Err(failure) => Err(failure),
        };
        compared.push((format!("environment {name}"), result));
    }
    Ok(compared)
}

async fn observe(context: &Context, environment: &Environment, desired: &Desired) -> Result<Diff, Failure> {
    let cluster = context.cluster(environment).await?;
    let stored = cluster
        .read_record(&environment.name)
        .await
        .map_err(cluster_failure)?;
    let observation = cluster
        .observe(environment, desired, &stored.record.inventory, None)
        .await;
    observation
        .map(|observation| observation.diff)
        .map_err(cluster_failure)
}

/// What two commits of the working copy render to; an empty end of the range is the working copy itself.
pub async fn commits(context: &Context, range: &str, names: &[String]) -> Result<Compared, Failure> {
    let wrong = || {
        Failure::usage(format!("`{range}` is not BASE..HEAD"))
            .hint("for example main..my-branch, main...my-branch for what the branch brings, or main.. for the working copy")
    };
    let (base, head) = range.split_once("..").ok_or_else(wrong)?;
    if base.is_empty() {
        return Err(wrong());
    }
    let copy = working_copy(context)?;
    let (before, after) = match head.strip_prefix('.') {
        None => (at(&copy, base)?, at(&copy, head)?),
        Some(head) => (fork(&copy, base, head)?, at(&copy, head)?),
    };
    let mut known: Vec<String> = Vec::new();
    for checkout in [&after, &before] {
        for environment in checkout.config().in_order() {
            let name = environment.name.to_string();
            if !known.contains(&name) && (names.is_empty() || names.contains(&name)) {
                known.push(name);
            }
        }
    }
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let problem = after.config().environment(name).err();
        return Err(Failure::usage(problem.map(Problems::from).unwrap_or_default()));
    }
    let others = policy::read(after.head.snapshot.tree());
    let mut compared = Vec::new();
    for name in known {
        let result = rendered(&before, &after, &name, &others).await;
        compared.push((format!("environment {name}"), result));
    }
    Ok(compared)
}

async fn rendered(
    before: &Checkout,
    after: &Checkout,
    name: &str,
    others: &[Manifest],
) -> Result<Comparison, Failure> {
    let (old, new) = (objects(before, name).await?, objects(after, name).await?);
    let diff = between(&old, &new, Pairing::Exact);
    Ok(Comparison::new(name, name.to_owned(), diff).judged(&new, others))
}

/// What an environment renders to; nothing where it does not exist.
async fn objects(checkout: &Checkout, name: &str) -> Result<Arc<Vec<Manifest>>, Failure> {
    match checkout.config().environment(name) {
        Ok(environment) => Ok(checkout.render(environment).await?.objects),
        Err(_) => Ok(Arc::default()),
    }
}

/// The files where a branch left another one: what a pull request is compared with, whatever came after on the other.
fn fork(copy: &WorkingCopy, base: &str, head: &str) -> Result<Checkout, Failure> {
    let head = if head.is_empty() { "HEAD" } else { head };
    let fork = copy.merge_base(base, head).map_err(git_failure)?;
    at(copy, fork.as_str())
}

fn working_copy(context: &Context) -> Result<WorkingCopy, Failure> {
    if context.args.repo.is_some() {
        return Err(Failure::usage(
            "--offline compares commits of a working copy; leave --repo out",
        ));
    }
    Git::discover(Path::new(".")).map_err(git_failure)
}

/// The files at a revision of the working copy; at an empty one, as they are on disk.
fn at(copy: &WorkingCopy, revision: &str) -> Result<Checkout, Failure> {
    if revision.is_empty() {
        return Checkout::of_working_copy(copy.clone());
    }
    let revision = copy.resolve(revision).map_err(git_failure)?;
    let snapshot = copy.snapshot(&revision).map_err(git_failure)?;
    Checkout::of_commit(snapshot, copy.clone())
}

/// How one environment differs from another, as git has them.
pub async fn environments(
    context: &Context,
    offline: Option<&str>,
    before: &str,
    after: &str,
) -> Result<Compared, Failure> {
    let head = offline
        .and_then(|range| range.split_once(".."))
        .map_or("", |(_, head)| head);
    let checkout = if head.is_empty() {
        context.checkout().await?
    } else {
        at(&working_copy(context)?, head)?
    };
    let environment = |name: &str| {
        checkout
            .config()
            .environment(name)
            .map_err(|problem| Failure::usage(Problems::from(problem)))
    };
    let (old, new) = (environment(before)?, environment(after)?);
    let (old, new) = (checkout.render(old).await?, checkout.render(new).await?);
    let diff = between(&old.objects, &new.objects, Pairing::AcrossNamespaces);
    let title = format!("{before}..{after}");
    Ok(vec![(title.clone(), Ok(Comparison::new(after, title, diff)))])
}

/// The promotions that are due, each as the commit that it would be and what that would change in the cluster.
pub async fn promotions(context: &Context, names: &[String]) -> Result<Compared, Failure> {
    let remote = context.remote()?;
    let head = fetch_head(&remote).await.map_err(head_failure)?;
    let wanted = |promotion: &&Promotion| names.is_empty() || names.contains(&promotion.to.to_string());
    let mut compared = Vec::new();
    for promotion in head.config.promotions.values().filter(wanted) {
        let title = format!("{} → {}", promotion.from, promotion.to);
        compared.push((
            title.clone(),
            coming(context, &remote, &head, promotion, title).await,
        ));
    }
    if compared.is_empty() {
        return Err(Failure::usage(format!(
            "no promotion leads to {}",
            names.join(", ")
        )));
    }
    Ok(compared)
}

async fn coming(
    context: &Context,
    remote: &Remote,
    head: &Head,
    promotion: &Promotion,
    title: String,
) -> Result<Comparison, Failure> {
    let from = &head.config.environments[&promotion.from];
    let to = &head.config.environments[&promotion.to];
    let cluster = context.cluster(from).await?;
    let record = cluster
        .read_record(&from.name)
        .await
        .map_err(cluster_failure)?
        .record;
    let key = record
        .synced
        .as_ref()
        .map(|synced| synced.evidence_key(&gates_hash(promotion, &head.config)));
    let last = record.verifications.get(&promotion.name);
    let nothing = |note: String| Comparison {
        note: Some(note),
        ..Comparison::new(promotion.to.as_str(), title.clone(), Diff::default())
    };
    let Some(proof) = last.zip(key).and_then(|(last, key)| Proof::of(last, &key)) else {
        return Ok(nothing(format!(
            "{} has not proved what it runs; nothing is promoted",
            from.name
        )));
    };
    let proposed = proposal(remote, head, promotion, proof).await;
    match proposed.map_err(|error| Failure::usage(crate::problem::chain(&error)))? {
        Proposal::Nothing => Ok(nothing(format!("{} has what {} proved", to.name, from.name))),
        Proposal::Refused(why) => Ok(nothing(format!("refused: {why}"))),
        Proposal::Commit { edit, desired, .. } => Ok(Comparison {
            files: edit,
            before: Some(head.snapshot.clone()),
            ..Comparison::new(
                promotion.to.as_str(),
                title.clone(),
                observe(context, to, &desired).await?,
            )
        }),
    }
}
