//! The decision: what an environment's next step is. A pure function of what was observed; reconcilers only execute it.

use crate::desired::hooks::Phase;
use crate::record::{EvidenceKey, Verdict, Verification};
use crate::verify::health::Health;

/// What is known of an environment, and all that the decision depends on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The hash of the objects that git asks for.
    pub desired: &'a str,
    /// The hash of the objects of the last complete sync, if there was one.
    pub synced: Option<&'a str>,
    /// What differs from the desired objects or is missing, in one sentence; what is unstable aside.
    pub drift: Option<String>,
    /// What differs and is left alone, because somebody writes it back again and again.
    pub unstable: Option<String>,
    /// Whether hooks before the sync have not run for the desired objects yet.
    pub pre_hooks: bool,
    /// Whether hooks after the sync have not run for the desired objects yet.
    pub post_hooks: bool,
    /// How the sync waves are that come before the next one to apply.
    pub earlier_waves: Health,
    /// Whether objects wait to be pruned.
    pub prunes: bool,
    /// Why pruning them needs a person's word, if it does.
    pub brake: Option<String>,
    /// Whether a failed rollout is taken back: the environment asks for it, what runs was promoted, and it was never healthy.
    pub rolls_back: bool,
    /// Whether changes made in the cluster are put back.
    pub self_heal: bool,
    /// Why the environment is left alone, if it is.
    pub suspended: Option<String>,
    /// How the rollout is.
    pub health: Health,
    /// The promotions that begin here.
    pub promotions: Vec<Candidate<'a>>,
}

/// A promotion that begins in the environment.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// The promotion's name.
    pub name: &'a str,
    /// The hash of its gates as git has them now.
    pub gates: &'a str,
    /// Its last verification.
    pub last: Option<&'a Verification>,
    /// Whether the last verification was void so recently that another try would be too early.
    pub backing_off: bool,
    /// Whether promoting would change anything.
    pub due: Due,
}

/// Whether promoting would change anything in the next environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// It would.
    Yes,
    /// The next environment has it, or had it and somebody went back: nothing is promoted twice by itself.
    No,
    /// It must not be promoted; the text says why.
    Refused(String),
    /// It would, but a person or the clock has to allow it first; the text says what is waited for.
    Barred(String),
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Run the hooks of a phase.
    Hook(Phase),
    /// Apply the next wave of what git asks for.
    Sync,
    /// Wait for the rollout; the text says what is missing.
    Await(String),
    /// Delete what git no longer has.
    Prune,
    /// Run the gates of a promotion.
    Verify(String),
    /// Write what was proved into the next environment.
    Promote(String),
    /// Take the promotion back that failed to roll out; the text says why it failed.
    RollBack(String),
    /// Do nothing until something changes; the text says what is wrong.
    Hold(String),
    /// Do nothing until a person or the clock allows it; nothing is wrong, and the text says what is waited for.
    Wait(String),
    /// Nothing to do.
    Rest,
}

/// Decides the next step.
///
/// The order is the policy: a suspended environment is left alone; what was proved is promoted before anything newer touches the environment; then the
/// cluster is brought in line, so that a newer commit pre-empts every wait; then health, pruning and gates.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Step {
    if let Some(why) = &situation.suspended {
        return Step::Wait(why.clone());
    }
    if let Some(candidate) = situation
        .promotions
        .iter()
        .find(|candidate| candidate.is_proved_and_due(situation.synced))
    {
        return Step::Promote(candidate.name.to_owned());
    }
    if situation.synced != Some(situation.desired) {
        return match &situation.earlier_waves {
            _ if situation.pre_hooks => Step::Hook(Phase::PreSync),
            Health::Healthy => Step::Sync,
            Health::Progressing(why) => Step::Await(format!("the next sync wave waits: {why}")),
            Health::Failed(why) => Step::Hold(format!("the next sync wave is not applied: {why}")),
        };
    }
    match (&situation.drift, &situation.unstable) {
        (Some(_), _) if situation.self_heal => return Step::Sync,
        (Some(drift), _) => return Step::Hold(format!("drifted, and selfHeal is off: {drift}")),
        (None, Some(fields)) => {
            return Step::Hold(format!(
                "unstable: somebody writes back what gitsync puts right; it is left alone for some minutes: {fields}"
            ));
        }
        (None, None) => {}
    }
    match &situation.health {
        Health::Progressing(why) => return Step::Await(why.clone()),
        Health::Failed(why) if situation.rolls_back => return Step::RollBack(why.clone()),
        Health::Failed(why) => return Step::Hold(why.clone()),
        Health::Healthy => {}
    }
    if situation.post_hooks {
        return Step::Hook(Phase::PostSync);
    }
    match &situation.brake {
        Some(why) if situation.prunes => return Step::Wait(why.clone()),
        None if situation.prunes => return Step::Prune,
        _ => {}
    }
    let key = |candidate: &Candidate<'_>| EvidenceKey {
        objects: situation.desired.to_owned(),
        gates: candidate.gates.to_owned(),
    };
    let steps: Vec<Step> = situation
        .promotions
        .iter()
        .map(|candidate| candidate.step(&key(candidate)))
        .collect();
    let first = |wanted: fn(&Step) -> bool| steps.iter().find(|step| wanted(step)).cloned();
    first(|step| matches!(step, Step::Verify(_)))
        .or_else(|| first(|step| matches!(step, Step::Hold(_))))
        .or_else(|| first(|step| matches!(step, Step::Wait(_))))
        .or_else(|| first(|step| matches!(step, Step::Await(_))))
        .unwrap_or(Step::Rest)
}

// === impl Candidate ===

impl Candidate<'_> {
    /// Whether exactly what was last synced passed exactly the present gates, and promoting it is due.
    fn is_proved_and_due(&self, synced: Option<&str>) -> bool {
        let passed = |last: &Verification| {
            last.verdict == Verdict::Passed
                && synced == Some(last.key.objects.as_str())
                && last.key.gates == self.gates
        };
        self.due == Due::Yes && self.last.is_some_and(passed)
    }

    /// The step of an environment that is in sync and healthy.
    fn step(&self, key: &EvidenceKey) -> Step {
        let Some(last) = self.last.filter(|last| last.key == *key) else {
            return Step::Verify(self.name.to_owned());
        };
        match (last.verdict, &self.due) {
            (Verdict::Failed, _) => Step::Hold(last.reason.clone()),
            (Verdict::Void, _) if self.backing_off => {
                Step::Await(format!("verification was void: {}", last.reason))
            }
            (Verdict::Void, _) => Step::Verify(self.name.to_owned()),
            (Verdict::Passed, Due::Refused(why)) => Step::Hold(why.clone()),
            (Verdict::Passed, Due::Barred(why)) => Step::Wait(why.clone()),
            (Verdict::Passed, Due::Yes | Due::No) => Step::Rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::config::orders::{Approval, Orders, Quarantined, SuspensionSpec};
    use crate::config::promotion::Freeze;
    use crate::config::repository::{Environment, Promotion};
    use crate::config::verified::VerifiedImage;
    use crate::promote::guard::bar;
    use crate::promote::proof::Proof;

    fn mk_verification(objects: &str, gates: &str, verdict: Verdict) -> Verification {
        Verification {
            key: EvidenceKey {
                objects: objects.into(),
                gates: gates.into(),
            },
            revision: "0123456789012345678901234567890123456789".parse().unwrap(),
            shared: "0123456789012345678901234567890123456789".parse().unwrap(),
            images: Vec::new(),
            verdict,
            reason: "because".into(),
            figures: Vec::new(),
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        }
    }

    fn mk_situation<'a>(last: Option<&'a Verification>, due: Due) -> Situation<'a> {
        Situation {
            desired: "a",
            synced: Some("a"),
            drift: None,
            unstable: None,
            pre_hooks: false,
            post_hooks: false,
            earlier_waves: Health::Healthy,
            brake: None,
            rolls_back: false,
            prunes: false,
            self_heal: true,
            suspended: None,
            health: Health::Healthy,
            promotions: vec![Candidate {
                name: "up",
                gates: "g",
                last,
                backing_off: false,
                due,
            }],
        }
    }

    #[test]
    fn the_steps_follow_one_another() {
        let passed = mk_verification("a", "g", Verdict::Passed);
        let failed = mk_verification("a", "g", Verdict::Failed);
        let void = mk_verification("a", "g", Verdict::Void);
        let older = mk_verification("b", "g", Verdict::Passed);
        let other_gates = mk_verification("a", "h", Verdict::Passed);
        let base = || mk_situation(None, Due::Yes);
        let cases = [
            (
                "nothing synced yet",
                Situation {
                    synced: None,
                    ..base()
                },
                Step::Sync,
            ),
            (
                "a newer commit",
                Situation {
                    desired: "b",
                    ..base()
                },
                Step::Sync,
            ),
            (
                "a newer commit pre-empts a stuck rollout",
                Situation {
                    desired: "b",
                    health: Health::Failed("x".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "drift",
                Situation {
                    drift: Some("replicas".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "drift beside something unstable",
                Situation {
                    drift: Some("replicas".into()),
                    unstable: Some("image".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "only something unstable",
                Situation {
                    unstable: Some("image by operator".into()),
                    ..mk_situation(Some(&passed), Due::No)
                },
                Step::Hold("unstable: somebody writes back what gitsync puts right; it is left alone for some minutes: image by operator".into()),
            ),
            (
                "a newer commit while something is unstable",
                Situation {
                    desired: "b",
                    unstable: Some("image".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "drift that is only reported",
                Situation {
                    drift: Some("replicas by kubectl".into()),
                    self_heal: false,
                    ..base()
                },
                Step::Hold("drifted, and selfHeal is off: replicas by kubectl".into()),
            ),
            (
                "rolling out",
                Situation {
                    health: Health::Progressing("1 of 3".into()),
                    ..base()
                },
                Step::Await("1 of 3".into()),
            ),
            (
                "rollout failed",
                Situation {
                    health: Health::Failed("crash".into()),
                    ..base()
                },
                Step::Hold("crash".into()),
            ),
            (
                "hooks before the first wave",
                Situation {
                    synced: None,
                    pre_hooks: true,
                    ..base()
                },
                Step::Hook(Phase::PreSync),
            ),
            (
                "drift runs no hooks",
                Situation {
                    drift: Some("replicas".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "a wave before the next is on its way",
                Situation {
                    synced: None,
                    earlier_waves: Health::Progressing("1 of 3".into()),
                    ..base()
                },
                Step::Await("the next sync wave waits: 1 of 3".into()),
            ),
            (
                "a wave before the next failed",
                Situation {
                    synced: None,
                    earlier_waves: Health::Failed("crash".into()),
                    ..base()
                },
                Step::Hold("the next sync wave is not applied: crash".into()),
            ),
            (
                "hooks after health, before pruning",
                Situation {
                    post_hooks: true,
                    prunes: true,
                    ..base()
                },
                Step::Hook(Phase::PostSync),
            ),
            (
                "no hooks after a rollout that failed",
                Situation {
                    post_hooks: true,
                    health: Health::Failed("crash".into()),
                    ..base()
                },
                Step::Hold("crash".into()),
            ),
            (
                "a promotion whose rollout failed is taken back",
                Situation {
                    rolls_back: true,
                    health: Health::Failed("crash".into()),
                    ..base()
                },
                Step::RollBack("crash".into()),
            ),
            (
                "and not while it is on its way, or a newer commit is there",
                Situation {
                    rolls_back: true,
                    desired: "b",
                    health: Health::Failed("crash".into()),
                    ..base()
                },
                Step::Sync,
            ),
            (
                "too much to prune by itself",
                Situation {
                    prunes: true,
                    brake: Some("confirm".into()),
                    ..base()
                },
                Step::Wait("confirm".into()),
            ),
            (
                "prune after health",
                Situation {
                    prunes: true,
                    ..base()
                },
                Step::Prune,
            ),
            ("no evidence", base(), Step::Verify("up".into())),
            (
                "evidence for other objects",
                mk_situation(Some(&older), Due::Yes),
                Step::Verify("up".into()),
            ),
            (
                "evidence by other gates",
                mk_situation(Some(&other_gates), Due::Yes),
                Step::Verify("up".into()),
            ),
            (
                "void",
                mk_situation(Some(&void), Due::Yes),
                Step::Verify("up".into()),
            ),
            (
                "failed",
                mk_situation(Some(&failed), Due::Yes),
                Step::Hold("because".into()),
            ),
            (
                "passed",
                mk_situation(Some(&passed), Due::Yes),
                Step::Promote("up".into()),
            ),
            (
                "passed while a newer commit waits",
                Situation {
                    desired: "b",
                    ..mk_situation(Some(&passed), Due::Yes)
                },
                Step::Promote("up".into()),
            ),
            (
                "passed and promoted",
                mk_situation(Some(&passed), Due::No),
                Step::Rest,
            ),
            (
                "passed and refused",
                mk_situation(Some(&passed), Due::Refused("no".into())),
                Step::Hold("no".into()),
            ),
            (
                "passed and not approved",
                mk_situation(Some(&passed), Due::Barred("ask".into())),
                Step::Wait("ask".into()),
            ),
            (
                "a newer commit while an approval is waited for",
                Situation {
                    desired: "b",
                    ..mk_situation(Some(&passed), Due::Barred("ask".into()))
                },
                Step::Sync,
            ),
            (
                "suspended, with everything to do",
                Situation {
                    suspended: Some("audit".into()),
                    drift: Some("replicas".into()),
                    prunes: true,
                    ..mk_situation(Some(&passed), Due::Yes)
                },
                Step::Wait("audit".into()),
            ),
        ];
        for (name, situation, step) in cases {
            assert_eq!(decide(&situation), step, "{name}");
        }
    }

    prop_compose! {
        fn any_verification()(objects in "[ab]", gates in "[gh]", tag in "[vw]", finished in 0..20i64,
                verdict in prop::sample::select(vec![Verdict::Passed, Verdict::Failed, Verdict::Void])) -> Verification {
            Verification {
                images: vec![VerifiedImage { name: "team/web".into(), tag: Some(tag), digest: None }],
                finished: Timestamp::from_second(finished).unwrap(),
                ..mk_verification(&objects, &gates, verdict)
            }
        }
    }

    fn subject(image: Option<String>, evidence: Option<String>) -> (Option<String>, Option<String>) {
        match image {
            Some(tag) => (Some(format!("team/web:{tag}")), None),
            None => (None, evidence),
        }
    }

    prop_compose! {
        fn any_orders()(
            suspension in prop::option::of(prop::option::of(0..40i64)),
            quarantine in prop::collection::vec((prop::option::of("[vwx]"), prop::option::of("[ab]-[gh]")), 0..3),
            approvals in prop::collection::vec((prop::option::of("[vwx]"), prop::option::of("[ab]-[gh]")), 0..3),
        ) -> Orders {
            let at = |second| Timestamp::from_second(second).unwrap();
            Orders {
                suspension: suspension.map(|until| SuspensionSpec { reason: "r".into(), by: None, until: until.map(at) }),
                quarantine: quarantine.into_iter().map(|(image, evidence)| subject(image, evidence))
                    .map(|(image, evidence)| Quarantined { image, evidence, reason: None, by: None, time: None }).collect(),
                approvals: approvals.into_iter().map(|(image, evidence)| subject(image, evidence))
                    .map(|(image, evidence)| Approval { image, evidence, by: None, time: None }).collect(),
            }
        }
    }

    fn mk_environment(orders: Orders) -> Environment {
        let spec = serde_yaml::from_str("cluster: {context: prod}").unwrap();
        Environment {
            name: "prod".parse().unwrap(),
            dir: "environments/prod".into(),
            spec,
            verified: None,
            orders,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
        /// The safety rule: whatever was observed and ordered, only what ran and passed exactly the present gates is
        /// promoted, and nothing that is in quarantine, waits for an approval, soaks, or meets a freeze or a suspension.
        #[test]
        fn the_unverified_the_unapproved_and_the_quarantined_are_never_promoted(
            (desired, synced, differs, fought, prunes, self_heal) in ("[ab]", prop::option::of("[ab]"), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
            health in prop::sample::select(vec![Health::Healthy, Health::Progressing("p".into()), Health::Failed("f".into())]),
            (pre_hooks, post_hooks, rolls_back, earlier_waves) in (any::<bool>(), any::<bool>(), any::<bool>(),
                prop::sample::select(vec![Health::Healthy, Health::Progressing("p".into()), Health::Failed("f".into())])),
            last in prop::option::of(any_verification()), gates in "[gh]", backing_off: bool,
            (own, orders, approval) in (any_orders(), any_orders(), any::<bool>()),
            (soak, freeze, now) in (0..20u64, prop::option::of((0..20i64, 20..40i64)), 0..40i64),
        ) {
            let at = |second| Timestamp::from_second(second).unwrap();
            let promotion = Promotion {
                name: "up".into(), from: "staging".parse().unwrap(), to: "prod".parse().unwrap(), gates: vec!["g".into()], approval,
                soak: std::time::Duration::from_secs(soak),
                freezes: freeze.map(|(from, until)| Freeze { from: at(from), until: at(until), reason: "r".into() }).into_iter().collect(),
            };
            let to = mk_environment(orders.clone());
            let key = |last: &Verification| EvidenceKey { objects: synced.clone().unwrap_or_default(), gates: last.key.gates.clone() };
            let proof = last.as_ref().and_then(|last| Proof::of(last, &key(last)));
            let due = match proof.map(|proof| bar(&to, &promotion, proof, at(now))) {
                None => Due::No,
                Some(None) => Due::Yes,
                Some(Some(why)) => Due::Barred(why.to_string()),
            };
            let candidate = Candidate { name: "up", gates: &gates, last: last.as_ref(), backing_off, due };
            let suspended = own.suspended(at(now));
            let situation = Situation { desired: &desired, synced: synced.as_deref(), drift: differs.then(|| "d".into()), unstable: fought.then(|| "u".into()), pre_hooks, post_hooks, earlier_waves, brake: None, rolls_back, prunes, self_heal, suspended: suspended.clone(), health, promotions: vec![candidate] };
            let step = decide(&situation);
            if suspended.is_some() {
                prop_assert!(matches!(step, Step::Wait(_)), "{step:?}");
            }
            match step {
                Step::Promote(_) => {
                    let last = last.expect("a promotion needs a verification");
                    prop_assert_eq!(last.verdict, Verdict::Passed);
                    prop_assert_eq!(Some(last.key.objects.as_str()), synced.as_deref());
                    prop_assert_eq!(&last.key.gates, &gates);
                    let evidence = format!("{}-{}", last.key.objects, last.key.gates);
                    let image = format!("team/web:{}", last.images[0].tag.as_ref().unwrap());
                    let names = |image_of: &Option<String>, evidence_of: &Option<String>| {
                        image_of.as_ref() == Some(&image) || evidence_of.as_ref() == Some(&evidence)
                    };
                    prop_assert!(!orders.quarantine.iter().any(|entry| names(&entry.image, &entry.evidence)));
                    prop_assert!(!approval || orders.approvals.iter().any(|entry| names(&entry.image, &entry.evidence)));
                    let ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= at(now));
                    prop_assert!(orders.suspension.is_none_or(|suspension| ended(suspension.until)));
                    prop_assert!(last.finished.as_second() + i64::try_from(soak).unwrap() <= now);
                    prop_assert!(freeze.is_none_or(|(from, until)| now < from || until <= now));
                }
                Step::Verify(_) => {
                    prop_assert_eq!(situation.synced, Some(situation.desired));
                    prop_assert_eq!(&situation.health, &Health::Healthy);
                    prop_assert!(!differs && !fought && !post_hooks);
                }
                Step::Prune => prop_assert_eq!(&situation.health, &Health::Healthy),
                Step::Sync if situation.synced != Some(situation.desired) => {
                    prop_assert_eq!(&situation.earlier_waves, &Health::Healthy);
                    prop_assert!(!pre_hooks);
                }
                Step::RollBack(_) => prop_assert!(rolls_back && matches!(situation.health, Health::Failed(_))),
                _ => {}
            }
        }
    }
}
