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

/// When a bar ends by itself, if it does.
#[must_use]
pub fn ends(
    bar: &Bar,
    to: &Environment,
    promotion: &Promotion,
    proof: Proof<'_>,
    now: Timestamp,
) -> Option<Timestamp> {
    match bar {
        Bar::Suspended(_) => to
            .orders
            .suspension
            .as_ref()
            .and_then(|suspension| suspension.until),
        Bar::Frozen(_) => promotion
            .freezes
            .iter()
            .find(|freeze| freeze.from <= now && now < freeze.until)
            .map(|freeze| freeze.until),
        Bar::Soaking(_) => proof.verification().finished.checked_add(promotion.soak).ok(),
        Bar::Quarantined(_) | Bar::Unapproved(_) => None,
    }
}

// === impl Bar ===

impl Bar {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Suspended(_) => "suspended",
            Self::Quarantined(_) => "quarantined",
            Self::Frozen(_) => "frozen",
            Self::Soaking(_) => "soaking",
            Self::Unapproved(_) => "unapproved",
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::orders::{Approval, Orders, Quarantined, SuspensionSpec};
    use crate::config::promotion::Freeze;
    use crate::config::verified::VerifiedImage;
    use crate::record::{EvidenceKey, Verdict, Verification};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn mk_verification() -> Verification {
        let revision: crate::model::Revision = "a".repeat(40).parse().unwrap();
        Verification {
            key: EvidenceKey {
                objects: "obj".into(),
                gates: "gates".into(),
            },
            revision: revision.clone(),
            shared: revision,
            images: vec![VerifiedImage {
                name: "team/web".into(),
                tag: Some("v1".into()),
                digest: None,
            }],
            verdict: Verdict::Passed,
            reason: String::new(),
            figures: Vec::new(),
            started: at(0),
            finished: at(100),
        }
    }

    fn told(orders: Orders, change: impl FnOnce(&mut Promotion), now: i64) -> Option<String> {
        let spec = serde_yaml::from_str("cluster: {context: prod}").unwrap();
        let to = Environment {
            name: "prod".parse().unwrap(),
            dir: "environments/prod".into(),
            spec,
            verified: None,
            orders,
        };
        let mut promotion = Promotion {
            name: "up".into(),
            from: "staging".parse().unwrap(),
            to: to.name.clone(),
            gates: vec!["acceptance".into()],
            approval: false,
            soak: std::time::Duration::ZERO,
            freezes: Vec::new(),
        };
        change(&mut promotion);
        let verification = mk_verification();
        let proof = Proof::of(&verification, &verification.key).unwrap();
        bar(&to, &promotion, proof, at(now)).map(|bar| bar.to_string())
    }

    #[test]
    fn every_reason_says_what_is_waited_for() {
        let none = Orders::default;
        let approvals = |image: Option<&str>, evidence: Option<&str>| Orders {
            approvals: vec![Approval {
                image: image.map(str::to_owned),
                evidence: evidence.map(str::to_owned),
                by: None,
                time: None,
            }],
            ..Orders::default()
        };
        let approval = |promotion: &mut Promotion| promotion.approval = true;
        let waits = "proved, and waits for an approval; gitsync approve prod (evidence obj-gates)";
        assert_eq!(told(none(), |_| {}, 100), None);
        assert_eq!(told(none(), approval, 100).as_deref(), Some(waits));
        assert_eq!(
            told(approvals(Some("team/web:v2"), None), approval, 100).as_deref(),
            Some(waits)
        );
        assert_eq!(told(approvals(Some("team/web:v1"), None), approval, 100), None);
        assert_eq!(told(approvals(None, Some("obj-gates")), approval, 100), None);

        let soak = |promotion: &mut Promotion| promotion.soak = std::time::Duration::from_secs(60);
        let soaks = "proved at 1970-01-01T00:01:40Z, and soaks in staging until 1970-01-01T00:02:40Z";
        assert_eq!(told(none(), soak, 159).as_deref(), Some(soaks));
        assert_eq!(told(none(), soak, 160), None);

        let freeze = |promotion: &mut Promotion| {
            promotion.freezes = vec![Freeze {
                from: at(200),
                until: at(300),
                reason: "the sale".into(),
            }];
        };
        let frozen = "promotions to prod are frozen until 1970-01-01T00:05:00Z: the sale";
        for (now, expected) in [(199, None), (200, Some(frozen)), (299, Some(frozen)), (300, None)] {
            assert_eq!(told(none(), freeze, now).as_deref(), expected, "{now}");
        }

        let rejected = Orders {
            quarantine: vec![Quarantined {
                image: Some("team/web:v1".into()),
                evidence: None,
                reason: Some("it leaks".into()),
                by: None,
                time: None,
            }],
            ..approvals(Some("team/web:v1"), None)
        };
        let quarantined = "team/web:v1 is in prod's quarantine: it leaks";
        assert_eq!(
            told(rejected.clone(), approval, 100).as_deref(),
            Some(quarantined)
        );

        let suspended = Orders {
            suspension: Some(SuspensionSpec {
                reason: "the audit".into(),
                by: None,
                until: None,
            }),
            ..rejected
        };
        assert_eq!(
            told(suspended, approval, 100).as_deref(),
            Some("prod is suspended: the audit")
        );
    }
}
