//! Guard: why what was proved must not be promoted now, although it was proved. A pure function of git and the clock.

use jiff::Timestamp;

use super::proof::Proof;
use crate::config::repository::{Environment, Promotion};

/// Why a proof waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// The receiving environment is left alone.
    Suspended(String),
    /// Somebody rolled it back, or put it into quarantine otherwise.
    Quarantined(String),
    /// It is a time in which nothing is promoted.
    Frozen(String),
    /// It has not waited long enough.
    Soaking(String),
    /// Nobody approved it yet.
    Unapproved(String),
}

/// The first reason against promoting `proof` at `now`; `None` when there is none.
///
/// The order is that of how much a person could do about it: an approval is asked for last, so that nobody is asked
/// for one that would not help.
#[must_use]
pub fn bar(to: &Environment, promotion: &Promotion, proof: Proof<'_>, now: Timestamp) -> Option<Bar> {
    suspended(to, now)
        .or_else(|| quarantined(to, proof))
        .or_else(|| frozen(promotion, now))
        .or_else(|| soaking(promotion, proof, now))
        .or_else(|| unapproved(to, promotion, proof))
}

fn suspended(to: &Environment, now: Timestamp) -> Option<Bar> {
    let why = to.orders.suspended(now)?;
    Some(Bar::Suspended(format!("{} is {why}", to.name)))
}

fn quarantined(to: &Environment, proof: Proof<'_>) -> Option<Bar> {
    let evidence = proof.evidence();
    let entry = to
        .orders
        .quarantine
        .iter()
        .find(|entry| entry.holds(&evidence, proof.images()))?;
    let reason = entry
        .reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Some(Bar::Quarantined(format!(
        "{} is in {}'s quarantine{reason}",
        entry.subject(),
        to.name
    )))
}

fn frozen(promotion: &Promotion, now: Timestamp) -> Option<Bar> {
    let freeze = promotion
        .freezes
        .iter()
        .find(|freeze| freeze.from <= now && now < freeze.until)?;
    Some(Bar::Frozen(format!(
        "promotions to {} are frozen until {}: {}",
        promotion.to, freeze.until, freeze.reason
    )))
}

fn soaking(promotion: &Promotion, proof: Proof<'_>, now: Timestamp) -> Option<Bar> {
    let proved = proof.verification().finished;
    // A time that cannot be counted to never comes.
    let ready = proved.checked_add(promotion.soak).unwrap_or(Timestamp::MAX);
    (now < ready).then(|| {
        Bar::Soaking(format!(
            "proved at {proved}, and soaks in {} until {ready}",
            promotion.from
        ))
    })
}

fn unapproved(to: &Environment, promotion: &Promotion, proof: Proof<'_>) -> Option<Bar> {
    if !promotion.approval {
        return None;
    }
    let (evidence, approvals) = (proof.evidence(), &to.orders.approvals);
    let whole = approvals
        .iter()
        .any(|approval| approval.evidence.as_ref() == Some(&evidence));
    let images = proof.images();
    let each = !images.is_empty()
        && images
            .iter()
            .all(|image| approvals.iter().any(|approval| approval.allows(image)));
    (!whole && !each).then(|| {
        Bar::Unapproved(format!(
            "proved, and waits for an approval; gitsync approve {} (evidence {evidence})",
            to.name
        ))
    })
}

// === impl Bar ===

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Suspended(why)
        | Self::Quarantined(why)
        | Self::Frozen(why)
        | Self::Soaking(why)
        | Self::Unapproved(why)) = self;
        f.write_str(why)
    }
}
