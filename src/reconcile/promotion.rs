//! Promotion, executed: what was proved is written into the next environment and pushed, on whatever the tip is.

use jiff::Timestamp;

use super::Shared;
use super::feed::{Head, HeadError, head_of};
use crate::config::repository::{Config, Environment, Promotion};
use crate::desired::hex;
use crate::desired::tree::render;
use crate::diff::rendered::{Pairing, between};
use crate::diff::{files, text};
use crate::model::{CommitMessage, Edit, EnvName, Revision, trailer};
use crate::problem::Problems;
use crate::promote::decide::Due;
use crate::promote::guard::{Bar, bar};
use crate::promote::proof::Proof;
use crate::promote::propose::{Proposal, Trees, propose};
use crate::report::paint::Paint;
use crate::source::Snapshot;
use crate::world::git::{GitError, PushError};
use crate::world::remote::Remote;
use crate::world::write_back::{Draft, Plan, Written};

/// How far back a promotion of the same evidence is looked for.
const HISTORY_LIMIT: usize = 10_000;

/// How a promotion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promoted {
    /// It is on the branch, as this commit.
    Pushed(Revision),
    /// Nothing was left to do.
    Nothing,
    /// It must not happen; the text says why.
    Refused(String),
}

/// Why a promotion did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    /// The tip cannot be read.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Git does not give what it should.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The push did not go through.
    #[error("the promotion could not be pushed")]
    Push(#[from] PushError),
    /// An overlay cannot be edited or rendered.
    #[error("the promotion to {to} cannot be made")]
    Proposal {
        /// The receiving environment.
        to: EnvName,
        /// Every problem.
        #[source]
        problems: Problems,
    },
    /// The environment is no longer there.
    #[error("{0}")]
    Gone(String),
}

/// The hash of a promotion's gates as a commit configures them.
#[must_use]
pub fn gates_hash(promotion: &Promotion, config: &Config) -> String {
    use sha2::Digest as _;
    let mut digest = sha2::Sha256::new();
    digest.update(promotion.to.as_str());
    for name in &promotion.gates {
        let text = config
            .load_checks
            .get(name)
            .and_then(|spec| serde_json::to_string(spec).ok())
            .unwrap_or_default();
        digest.update(name.as_bytes());
        digest.update(text.as_bytes());
    }
    hex(&digest.finalize())
}

/// What a promotion would commit, as it was found out for one tip. On that tip it is so still: what is committed follows
/// from the trees and the evidence alone.
#[derive(Debug, Clone)]
pub struct Prepared {
    tip: Revision,
    edit: Edit,
    message: CommitMessage,
}

/// Whether promoting `proof` would change anything on `head`; when it is due, what it would commit.
///
/// # Errors
///
/// When git or an overlay cannot be read.
pub async fn due(
    remote: &Remote,
    head: &Head,
    promotion: &Promotion,
    proof: Proof<'_>,
) -> Result<(Due, Option<Prepared>), PromotionError> {
    if was_promoted(remote, head, proof).await? {
        return Ok((Due::No, None));
    }
    Ok(match proposal(remote, head, promotion, proof).await? {
        Proposal::Commit { edit, message, .. } => match barred(head, promotion, proof)? {
            Some(bar) => (Due::Barred(bar.to_string()), None),
            None => {
                let tip = head.snapshot.revision().clone();
                (Due::Yes, Some(Prepared { tip, edit, message }))
            }
        },
        Proposal::Nothing => (Due::No, None),
        Proposal::Refused(why) => (Due::Refused(why), None),
    })
}

/// Promotes `proof`: fetches the tip, makes the edit, pushes, and begins again when somebody else was faster,
/// which `on_conflict` is told of. What is `prepared` is of use when the tip is still that one.
///
/// # Errors
///
/// When git or an overlay cannot be read, or the push is refused. Whether a push that got no answer took effect
/// shows at the next look at the branch.
pub async fn promote(
    shared: &Shared,
    promotion: &Promotion,
    proof: Proof<'_>,
    prepared: Option<&Prepared>,
    on_conflict: impl Fn(&PushError),
) -> Result<Promoted, PromotionError> {
    let gates = &proof.verification().key.gates;
    let plan = |tip: Snapshot| async move {
        let head = head_of(tip)?;
        if was_promoted(&shared.remote, &head, proof).await? {
            return Ok::<_, PromotionError>(Plan::Leave(Promoted::Nothing));
        }
        // The tip may hold an order, or a gate, that was not there when the promotion was decided on.
        let promotion = match head.config.promotions.get(&promotion.name) {
            Some(now) if gates_hash(now, &head.config) == *gates => now,
            _ => {
                return Ok(Plan::Leave(Promoted::Refused(
                    "its gates changed meanwhile".to_owned(),
                )));
            }
        };
        if let Some(bar) = barred(&head, promotion, proof)? {
            return Ok(Plan::Leave(Promoted::Refused(bar.to_string())));
        }
        let dir = environment(&head.config, &promotion.to)?.dir.clone();
        if let Some(Prepared { edit, message, .. }) =
            prepared.filter(|prepared| prepared.tip == *head.snapshot.revision())
        {
            let (edit, message) = (edit.clone(), message.clone());
            return Ok(Plan::Commit(Draft { dir, edit, message }));
        }
        Ok(match proposal(&shared.remote, &head, promotion, proof).await? {
            Proposal::Commit { edit, message, .. } => Plan::Commit(Draft { dir, edit, message }),
            Proposal::Nothing => Plan::Leave(Promoted::Nothing),
            Proposal::Refused(why) => Plan::Leave(Promoted::Refused(why)),
        })
    };
    Ok(match shared.writer().write_back(on_conflict, plan).await? {
        Written::Pushed(revision) => Promoted::Pushed(revision),
        Written::Unchanged => Promoted::Nothing,
        Written::Left(promoted) => promoted,
    })
}

/// What promoting `proof` would commit and change, as people read it, with secrets masked; `None` when it would change
/// nothing, was done already, or is refused.
///
/// # Errors
///
/// When git or an overlay cannot be read.
pub async fn preview(
    remote: &Remote,
    head: &Head,
    promotion: &Promotion,
    proof: Proof<'_>,
) -> Result<Option<String>, PromotionError> {
    if was_promoted(remote, head, proof).await? {
        return Ok(None);
    }
    let Proposal::Commit { edit, desired, .. } = proposal(remote, head, promotion, proof).await? else {
        return Ok(None);
    };
    let to = environment(&head.config, &promotion.to)?;
    let pinned = match to.verified.as_ref().and_then(|verified| verified.revision().ok()) {
        Some(revision) => Some(remote.snapshot(&revision).await?),
        None => None,
    };
    let now = render(&to.dir, &head.snapshot, pinned.as_ref()).map(|now| now.objects);
    let objects = between(&now.unwrap_or_default(), &desired.objects, Pairing::Exact);
    let commit = files::patch(head.snapshot.tree(), &edit, Paint::default());
    let objects = text::unified(&objects, text::Style::default());
    Ok(Some(format!("{commit}\n{objects}")))
}

/// Why what was proved waits, as `head` orders it: the receiving environment's orders, the promotion's own gates, and
/// whether the environment that proved it is left alone.
///
/// # Errors
///
/// When git no longer holds one of the environments.
pub fn barred(head: &Head, promotion: &Promotion, proof: Proof<'_>) -> Result<Option<Bar>, PromotionError> {
    let (from, to) = (
        environment(&head.config, &promotion.from)?,
        environment(&head.config, &promotion.to)?,
    );
    let now = Timestamp::now();
    let left_alone = from
        .orders
        .suspended(now)
        .map(|why| Bar::Suspended(format!("{} is {why}", from.name)));
    Ok(left_alone.or_else(|| bar(to, promotion, proof, now)))
}

/// What promoting would be, on `head`.
///
/// # Errors
///
/// When git or an overlay cannot be read.
pub async fn proposal(
    remote: &Remote,
    head: &Head,
    promotion: &Promotion,
    proof: Proof<'_>,
) -> Result<Proposal, PromotionError> {
    let (from, to) = (
        environment(&head.config, &promotion.from)?,
        environment(&head.config, &promotion.to)?,
    );
    let overlay = remote.snapshot(proof.revision()).await?;
    let shared = remote.snapshot(proof.shared()).await?;
    let pinned = match to.verified.as_ref().and_then(|verified| verified.revision().ok()) {
        Some(revision) => Some(remote.snapshot(&revision).await?),
        None => None,
    };
    let trees = Trees {
        head: &head.snapshot,
        overlay: &overlay,
        shared: &shared,
        pinned: pinned.as_ref(),
    };
    propose(from, to, proof, trees).map_err(|problems| PromotionError::Proposal {
        to: to.name.clone(),
        problems,
    })
}

/// Whether a commit since the proved one promoted the same evidence, even if somebody went back since.
async fn was_promoted(remote: &Remote, head: &Head, proof: Proof<'_>) -> Result<bool, GitError> {
    let evidence = proof.evidence();
    let commits = remote
        .history(head.snapshot.revision(), Some(proof.revision()), HISTORY_LIMIT)
        .await?;
    let names = |(key, value): &(String, String)| key == trailer::EVIDENCE && *value == evidence;
    Ok(commits.iter().any(|commit| commit.trailers.iter().any(names)))
}

fn environment<'a>(config: &'a Config, name: &EnvName) -> Result<&'a Environment, PromotionError> {
    config
        .environment(name.as_str())
        .map_err(|problem| PromotionError::Gone(problem.to_string()))
}
