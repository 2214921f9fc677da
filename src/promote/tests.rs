//! The safety rule over random histories: two daemons that see old states, die at any moment and write by
//! compare-and-swap only, beside people who commit, change gates and edit the cluster by hand.
//!
//! The model keeps its own account of what was really checked. `GITSYNC_SAFETY_HISTORIES` is how many are played, and
//! `GITSYNC_SAFETY_SEED` the first one.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::decide::{Candidate, Due, Situation, Step, decide};
use super::proof::Proof;
use crate::record::{EvidenceKey, Verdict, Verification};
use crate::verify::health::Health;

/// How many things happen in one history.
const EVENTS: usize = 60;

/// The objects that the world may have, by their hash; odd ones are not good enough to pass.
const OBJECTS: [&str; 4] = ["a0", "b1", "c0", "d1"];
const GATES: [&str; 2] = ["g", "h"];

struct Random(u64);

#[derive(Clone)]
struct Git {
    objects: &'static str,
    gates: &'static str,
}

#[derive(Clone, Default)]
struct Record {
    version: u64,
    synced: Option<String>,
    last: Option<Verification>,
}

/// What runs. `generation` grows with every change, whoever makes it.
#[derive(Clone)]
struct Live {
    objects: Option<&'static str>,
    drifted: bool,
    health: Health,
    generation: u64,
}

/// A daemon in the middle of something, with what it saw when it began.
#[derive(Clone)]
enum Daemon {
    Idle,
    Applying {
        git: Git,
        record: Record,
    },
    Applied {
        git: Git,
        record: Record,
    },
    Checking {
        git: Git,
        record: Record,
        generation: u64,
        sound: bool,
    },
    Promoting {
        git: Git,
        record: Record,
    },
}

struct World {
    git: Git,
    live: Live,
    record: Record,
    daemons: [Daemon; 2],
    /// What a check met from its first request to its last, and passed: the model's own account.
    proved: BTreeSet<(String, String)>,
    promoted: Vec<(String, String)>,
    checks: usize,
}

// === impl Random ===

impl Random {
    /// SplitMix64.
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let rest = (z ^ (z >> 31)) % u64::try_from(limit).unwrap();
        usize::try_from(rest).unwrap()
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        Self {
            git: Git {
                objects: OBJECTS[0],
                gates: GATES[0],
            },
            live: Live {
                objects: None,
                drifted: false,
                health: Health::Healthy,
                generation: 0,
            },
            record: Record::default(),
            daemons: [Daemon::Idle, Daemon::Idle],
            proved: BTreeSet::new(),
            promoted: Vec::new(),
            checks: 0,
        }
    }

    fn happen(&mut self, random: &mut Random) {
        match random.below(24) {
            0 | 1 => self.git.objects = random.one(&OBJECTS),
            2 => self.git.gates = random.one(&GATES),
            3 => {
                self.live.drifted = true;
                self.live.generation += 1;
            }
            4 => {
                self.live.health = [
                    Health::Healthy,
                    Health::Progressing("p".into()),
                    Health::Failed("f".into()),
                ][random.below(3)]
                .clone();
                self.live.generation += 1;
            }
            5 => self.daemons[random.below(2)] = Daemon::Idle,
            _ => {
                let which = random.below(2);
                self.step(which, random);
            }
        }
    }

    fn step(&mut self, which: usize, random: &mut Random) {
        let daemon = std::mem::replace(&mut self.daemons[which], Daemon::Idle);
        self.daemons[which] = match daemon {
            Daemon::Idle => self.observe(random),
            Daemon::Applying { git, record } => {
                self.live.objects = Some(git.objects);
                self.live.drifted = false;
                self.live.health = Health::Healthy;
                self.live.generation += 1;
                Daemon::Applied { git, record }
            }
            Daemon::Applied { git, record } => {
                let synced = Some(git.objects.to_owned());
                self.write(
                    &record,
                    Record {
                        synced,
                        ..record.clone()
                    },
                );
                Daemon::Idle
            }
            Daemon::Checking {
                git,
                record,
                generation,
                sound,
            } => {
                self.end_check(&git, &record, generation, sound);
                Daemon::Idle
            }
            Daemon::Promoting { git, record } => {
                self.push(&git, &record);
                Daemon::Idle
            }
        };
    }

    /// One pass: looks at everything, and decides. What it saw may be old by the time that it acts.
    fn observe(&mut self, random: &mut Random) -> Daemon {
        let (git, record) = (self.git.clone(), self.record.clone());
        let key = EvidenceKey {
            objects: record.synced.clone().unwrap_or_default(),
            gates: git.gates.to_owned(),
        };
        let proof = record.last.as_ref().and_then(|last| Proof::of(last, &key));
        let due = match proof {
            Some(_) if !self.is_promoted(&key) => Due::Yes,
            _ => Due::No,
        };
        let candidate = Candidate {
            name: "up",
            gates: git.gates,
            last: record.last.as_ref(),
            backing_off: false,
            due,
        };
        let step = decide(&Situation {
            desired: git.objects,
            synced: record.synced.as_deref(),
            drift: (self.live.drifted || self.live.objects != Some(git.objects)).then(|| "drift".to_owned()),
            unstable: None,
            pre_hooks: false,
            post_hooks: false,
            earlier_waves: Health::Healthy,
            brake: None,
            rolls_back: false,
            prunes: random.below(9) == 0,
            self_heal: true,
            suspended: None,
            health: self.live.health.clone(),
            promotions: vec![candidate],
        });
        match step {
            // The intent is written first, and whoever loses that starts again.
            Step::Sync if self.write(&record, record.clone()) => Daemon::Applying {
                git,
                record: self.record.clone(),
            },
            Step::Verify(_) => Daemon::Checking {
                sound: self.is_sound(&git),
                generation: self.live.generation,
                git,
                record,
            },
            Step::Promote(_) => Daemon::Promoting { git, record },
            _ => Daemon::Idle,
        }
    }

    /// Whether what runs is what git asks for, whole and healthy.
    fn is_sound(&self, git: &Git) -> bool {
        self.live.objects == Some(git.objects) && !self.live.drifted && self.live.health == Health::Healthy
    }

    fn end_check(&mut self, git: &Git, record: &Record, generation: u64, sound: bool) {
        self.checks += 1;
        let undisturbed = sound && self.live.generation == generation && self.is_sound(git);
        let passes = self.live.objects.is_some_and(|objects| objects.ends_with('0'));
        let verdict = match (undisturbed, passes) {
            (false, _) => Verdict::Void,
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::Failed,
        };
        if verdict == Verdict::Passed {
            self.proved
                .insert((self.live.objects.unwrap().to_owned(), git.gates.to_owned()));
        }
        let revision: crate::model::Revision = "0123456789012345678901234567890123456789".parse().unwrap();
        let last = Some(Verification {
            key: EvidenceKey {
                objects: git.objects.to_owned(),
                gates: git.gates.to_owned(),
            },
            revision: revision.clone(),
            shared: revision,
            images: Vec::new(),
            verdict,
            reason: String::new(),
            figures: Vec::new(),
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
        });
        self.write(
            record,
            Record {
                last,
                ..record.clone()
            },
        );
    }

    /// The push, planned on the branch as it is now.
    fn push(&mut self, git: &Git, record: &Record) {
        let key = EvidenceKey {
            objects: record.synced.clone().unwrap_or_default(),
            gates: git.gates.to_owned(),
        };
        if self.git.gates != git.gates || self.is_promoted(&key) {
            return;
        }
        let last = record.last.as_ref().expect("a promotion needs a verification");
        assert!(Proof::of(last, &key).is_some());
        let promoted = (key.objects, key.gates);
        assert!(self.proved.contains(&promoted), "{promoted:?} was never proved");
        self.promoted.push(promoted);
    }

    fn is_promoted(&self, key: &EvidenceKey) -> bool {
        let promoted = |(objects, gates): &(String, String)| *objects == key.objects && *gates == key.gates;
        self.promoted.iter().any(promoted)
    }

    /// Compare-and-swap, as a ConfigMap is written.
    fn write(&mut self, read: &Record, new: Record) -> bool {
        if self.record.version != read.version {
            return false;
        }
        self.record = Record {
            version: read.version + 1,
            ..new
        };
        true
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn in_no_history_is_anything_promoted_that_was_not_proved() {
    let (first, count) = (
        number("GITSYNC_SAFETY_SEED", 0),
        number("GITSYNC_SAFETY_HISTORIES", 5000),
    );
    let (mut promoted, mut checks) = (0, 0);
    for seed in first..first + count {
        let (mut random, mut world) = (Random(seed), World::new());
        for _ in 0..EVENTS {
            world.happen(&mut random);
        }
        for (objects, gates) in &world.promoted {
            assert!(
                objects.ends_with('0'),
                "seed {seed}: {objects} is not good enough"
            );
            let times = world
                .promoted
                .iter()
                .filter(|other| *other == &(objects.clone(), gates.clone()));
            assert_eq!(times.count(), 1, "seed {seed}: promoted twice");
        }
        promoted += world.promoted.len();
        checks += world.checks;
    }
    // Histories in which nothing happens would say nothing.
    let count = usize::try_from(count).unwrap();
    assert!(
        promoted > count / 2 && checks > count,
        "{promoted} promotions, {checks} checks in {count}"
    );
}
