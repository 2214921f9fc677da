//! Life: the phases that a container goes through, as its behaviour and its pod's restart policy have it.
//!
//! ```text
//! Creating ─▶ Running ─▶ Ended                    for good
//!     │          │ └───▶ BackingOff ─▶ Running    CrashLoopBackOff
//!     ▼          └─────▶ Running                  the first restart comes at once
//! Refused ─▶ PullBackingOff ─▶ Refused            ErrImagePull, ImagePullBackOff
//! ```

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::runtime::{Behaviour, Exit};

/// How long it takes to make a container, with its image there.
const CREATION: Duration = Duration::from_millis(200);

/// How long a program takes that has something to do and ends, where nothing else is said.
const WORK: Duration = Duration::from_millis(300);

/// How long after a failed pull the kubelet says that it backs off.
const PULL_PAUSE: Duration = Duration::from_secs(1);

/// The wait before the second restart or pull; it doubles up to the longest. These are a kubelet's own.
const BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// A container's phase, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It is being made.
    Creating,
    /// The registry has just refused the image.
    Refused,
    /// The image will be asked for again later.
    PullBackingOff,
    /// It runs.
    Running,
    /// It has ended too often, and will be started again later.
    BackingOff,
    /// It has ended for good.
    Ended(Past),
}

/// An instance that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Its exit code.
    pub code: u8,
}

/// A container's life so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// What it does now.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// How often it was started again.
    pub restarts: u32,
    /// How often the registry has refused the image.
    pub refusals: u32,
    /// Its last instance that has ended.
    pub last: Option<Past>,
}

/// What the pod has to say about its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// They run for ever.
    Always,
    /// They run until they succeed.
    OnFailure,
    /// They run once.
    Never,
}

/// What has happened to a container in a step, for the log and for Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made and started.
    Started,
    /// The registry refused the image.
    Refused,
    /// The kubelet waits with the next pull.
    PullsLater,
    /// It has ended, and starts again at once.
    Restarted,
    /// It has ended, and the kubelet waits with the next start.
    StartsLater,
    /// It has ended for good.
    Ended,
}

// === impl Restart ===

impl Restart {
    /// The `restartPolicy` of a pod.
    pub fn of(policy: &str) -> Self {
        match policy {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }

    const fn restarts(self, code: u8) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

// === impl Life ===

impl Life {
    /// A container that begins to be made.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            phase: Phase::Creating,
            since: now,
            restarts: 0,
            refusals: 0,
            last: None,
        }
    }

    /// Goes one phase further if it is time, and tells what has happened.
    pub fn step(&mut self, behaviour: &Behaviour, restart: Restart, now: Timestamp) -> Option<Change> {
        let due = self.due(behaviour, restart).filter(|due| *due <= now)?;
        let (phase, change) = match &self.phase {
            Phase::Creating | Phase::PullBackingOff if behaviour.pull_error.is_some() => {
                (Phase::Refused, Change::Refused)
            }
            Phase::Creating | Phase::PullBackingOff => (Phase::Running, Change::Started),
            Phase::Refused => {
                self.refusals += 1;
                (Phase::PullBackingOff, Change::PullsLater)
            }
            Phase::BackingOff => {
                self.restarts += 1;
                (Phase::Running, Change::Started)
            }
            Phase::Running => self.end(behaviour, restart, due),
            Phase::Ended(_) => return None,
        };
        self.phase = phase;
        self.since = due;
        Some(change)
    }

    fn end(&mut self, behaviour: &Behaviour, restart: Restart, ended: Timestamp) -> (Phase, Change) {
        let code = exit_of(behaviour, restart).map_or(0, |exit| exit.code);
        let past = Past {
            started: self.since,
            ended,
            code,
        };
        if !restart.restarts(code) {
            return (Phase::Ended(past), Change::Ended);
        }
        self.last = Some(past);
        if self.restarts == 0 {
            self.restarts = 1;
            return (Phase::Running, Change::Restarted);
        }
        (Phase::BackingOff, Change::StartsLater)
    }

    /// When the next phase begins; none if this one lasts.
    pub fn due(&self, behaviour: &Behaviour, restart: Restart) -> Option<Timestamp> {
        let wait = match &self.phase {
            Phase::Creating => CREATION,
            Phase::Refused => PULL_PAUSE,
            Phase::PullBackingOff => backoff(self.refusals),
            Phase::BackingOff => backoff(self.restarts),
            Phase::Running => exit_of(behaviour, restart)?.after,
            Phase::Ended(_) => return None,
        };
        Some(later(self.since, wait))
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// When it is ready, if it runs and will be; `delay` is the wait of its probe.
    pub fn ready_at(&self, behaviour: &Behaviour, delay: Duration) -> Option<Timestamp> {
        let wait = behaviour.ready_after.filter(|_| self.is_running())?;
        Some(later(self.since, wait.max(delay)))
    }

    /// How long the present wait for a restart is.
    pub fn restart_wait(&self) -> Duration {
        backoff(self.restarts)
    }
}

/// The end of a program; one that would run for ever ends well at once where the pod wants an end.
fn exit_of(behaviour: &Behaviour, restart: Restart) -> Option<Exit> {
    let implied = Exit {
        after: WORK,
        code: 0,
        log: Vec::new(),
    };
    match (&behaviour.exit, restart) {
        (Some(exit), _) => Some(exit.clone()),
        (None, Restart::Always) => None,
        (None, _) => Some(implied),
    }
}

fn backoff(count: u32) -> Duration {
    let doubled = BACKOFF.checked_mul(1_u32.checked_shl(count.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.unwrap_or(LONGEST_BACKOFF).min(LONGEST_BACKOFF)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    /// The changes with their times in milliseconds, until a time.
    fn story(behaviour: &Behaviour, restart: Restart, until: i64) -> Vec<(i64, Change)> {
        let mut life = Life::new(at(0));
        let mut told = Vec::new();
        while let Some(due) = life.due(behaviour, restart).filter(|due| *due <= at(until)) {
            let change = life.step(behaviour, restart, due).unwrap();
            told.push((due.as_millisecond(), change));
        }
        told
    }

    #[test]
    fn lives() {
        use Change::{Ended, PullsLater, Refused, Restarted, Started, StartsLater};
        let crash = Behaviour::crashing(1, Vec::new());
        for (name, behaviour, restart, wanted) in [
            (
                "a server",
                Behaviour::serving(Duration::ZERO),
                Restart::Always,
                vec![(200, Started)],
            ),
            (
                "a task",
                Behaviour::serving(Duration::ZERO),
                Restart::Never,
                vec![(200, Started), (500, Ended)],
            ),
            (
                "a crash",
                crash.clone(),
                Restart::Always,
                vec![
                    (200, Started),
                    (300, Restarted),
                    (400, StartsLater),
                    (10_400, Started),
                    (10_500, StartsLater),
                ],
            ),
            (
                "one crash",
                crash,
                Restart::Never,
                vec![(200, Started), (300, Ended)],
            ),
            (
                "no image",
                Behaviour::unpullable("not found"),
                Restart::Always,
                vec![
                    (200, Refused),
                    (1200, PullsLater),
                    (11_200, Refused),
                    (12_200, PullsLater),
                ],
            ),
        ] {
            assert_eq!(story(&behaviour, restart, 15_000), wanted, "{name}");
        }
    }

    #[test]
    fn readiness_waits_for_the_program_and_for_the_probe() {
        let slow = Behaviour::slow_start(Duration::from_secs(3), Duration::ZERO);
        let mut life = Life::new(at(0));
        assert_eq!(life.ready_at(&slow, Duration::ZERO), None);
        life.step(&slow, Restart::Always, at(200));
        assert_eq!(life.ready_at(&slow, Duration::ZERO), Some(at(3200)));
        assert_eq!(life.ready_at(&slow, Duration::from_secs(5)), Some(at(5200)));
        assert_eq!(life.ready_at(&Behaviour::never_ready(), Duration::ZERO), None);
    }
}
