//! The decision about a Lease: a pure function of what was seen of it, and for how long.

use std::time::Duration;

/// How long a lease lasts, and how it is kept. The defaults are those of Flux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long others wait after the last renewal before they take over.
    pub lease: Duration,
    /// How long after the last renewal its holder still acts.
    pub renew_deadline: Duration,
    /// How often a lease is renewed or looked at.
    pub retry: Duration,
}

/// Times that do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimesError {
    /// A lease is stored in whole seconds.
    #[error("the lease duration must be whole seconds, at least 1s")]
    Seconds,
    /// A deposed leader could still act when the next one begins.
    #[error("the renew deadline must be shorter than the lease duration")]
    Deadline,
    /// One renewal that fails would end the term.
    #[error("the retry period must be at most half of the renew deadline, and not zero")]
    Retry,
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// Who asked the holder to hand it over.
    pub wanted_by: Option<String>,
    /// How long holder and renewal have been the same, by the clock of who looks.
    pub unchanged: Duration,
    /// How long it lasts after a renewal.
    pub lasts: Duration,
}

/// How the leases are spread over the processes, as far as one of them knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// How many it holds, or has asked for.
    pub mine: usize,
    /// How many the holder of this one has.
    pub theirs: usize,
    /// Whether it waits for one that it asked for.
    pub asking: bool,
}

/// What to do about a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is none: make it, as its holder.
    Create,
    /// Nobody keeps it alive: become its holder.
    Take,
    /// Say that the holder still lives.
    Renew,
    /// Finish what is being done, and release it for somebody who has fewer.
    HandOver,
    /// Ask its holder, who has more, to hand it over.
    Ask,
    /// Look again later.
    Wait,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(35),
            renew_deadline: Duration::from_secs(30),
            retry: Duration::from_secs(5),
        }
    }
}

// === impl Times ===

impl Times {
    /// Checks that a holder stops acting before another may begin, and survives a renewal that fails.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn check(self) -> Result<Self, TimesError> {
        if self.lease.as_secs() == 0 || self.lease.subsec_nanos() != 0 {
            return Err(TimesError::Seconds);
        }
        if self.renew_deadline >= self.lease {
            return Err(TimesError::Deadline);
        }
        if self.retry.is_zero() || self.retry * 2 > self.renew_deadline {
            return Err(TimesError::Retry);
        }
        Ok(self)
    }
}

/// Decides what the process called `me` does about a Lease; `None` when there is no such object.
#[must_use]
pub fn decide(seen: Option<&Seen>, me: &str, share: Share) -> Step {
    let Some(seen) = seen else { return Step::Create };
    let wanted_by_another = seen.wanted_by.as_deref().is_some_and(|other| other != me);
    if seen.holder == me {
        // The last one is never given away: who asks for it would only wait in turn.
        return if wanted_by_another && share.mine > 1 {
            Step::HandOver
        } else {
            Step::Renew
        };
    }
    let expired = seen.unchanged >= seen.lasts;
    if seen.holder.is_empty() && wanted_by_another && !expired {
        return Step::Wait;
    }
    if seen.holder.is_empty() || expired {
        return Step::Take;
    }
    // Only where moving one makes it more even, or it would come back.
    if share.mine + 2 <= share.theirs && !share.asking && seen.wanted_by.is_none() {
        return Step::Ask;
    }
    Step::Wait
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn mk_seen(holder: &str, wanted_by: &str, unchanged: u64) -> Seen {
        Seen {
            holder: holder.to_owned(),
            wanted_by: Some(wanted_by.to_owned()).filter(|name| !name.is_empty()),
            unchanged: SECOND * u32::try_from(unchanged).unwrap(),
            lasts: SECOND * 35,
        }
    }

    fn mk_share(mine: usize, theirs: usize, asking: bool) -> Share {
        Share { mine, theirs, asking }
    }

    #[test]
    fn every_state_of_a_lease_has_its_step() {
        let none = Share::default();
        let more = mk_share(0, 2, false);
        let cases = [
            ("it does not exist", None, none, Step::Create),
            ("it is mine", Some(mk_seen("me", "", 0)), none, Step::Renew),
            (
                "it is mine and expired, and nobody took it",
                Some(mk_seen("me", "", 99)),
                none,
                Step::Renew,
            ),
            ("another lives", Some(mk_seen("you", "", 34)), none, Step::Wait),
            ("another is gone", Some(mk_seen("you", "", 35)), none, Step::Take),
            (
                "another is gone, and somebody had asked",
                Some(mk_seen("you", "her", 35)),
                none,
                Step::Take,
            ),
            ("it was released", Some(mk_seen("", "", 0)), none, Step::Take),
            (
                "it was released for me",
                Some(mk_seen("", "me", 0)),
                none,
                Step::Take,
            ),
            (
                "it was released for another",
                Some(mk_seen("", "her", 34)),
                none,
                Step::Wait,
            ),
            (
                "it was released for another who is gone",
                Some(mk_seen("", "her", 35)),
                none,
                Step::Take,
            ),
            (
                "another has two more",
                Some(mk_seen("you", "", 1)),
                more,
                Step::Ask,
            ),
            (
                "another has one more",
                Some(mk_seen("you", "", 1)),
                mk_share(1, 2, false),
                Step::Wait,
            ),
            (
                "I wait for one already",
                Some(mk_seen("you", "", 1)),
                mk_share(0, 9, true),
                Step::Wait,
            ),
            (
                "somebody else asked before",
                Some(mk_seen("you", "her", 1)),
                more,
                Step::Wait,
            ),
            (
                "I am asked",
                Some(mk_seen("me", "you", 1)),
                mk_share(2, 2, false),
                Step::HandOver,
            ),
            (
                "I am asked for my last one",
                Some(mk_seen("me", "you", 1)),
                mk_share(1, 1, false),
                Step::Renew,
            ),
        ];
        for (name, seen, share, step) in cases {
            assert_eq!(decide(seen.as_ref(), "me", share), step, "{name}");
        }
    }

    /// Over all small states: nobody takes a lease from a holder that may still act.
    #[test]
    fn a_living_holder_is_never_replaced() {
        for holder in ["you", "her"] {
            for wanted_by in ["", "me", "you", "her"] {
                for unchanged in 0..35 {
                    for (mine, theirs) in [(0, 0), (0, 5), (5, 0), (1, 3)] {
                        let seen = mk_seen(holder, wanted_by, unchanged);
                        let step = decide(Some(&seen), "me", mk_share(mine, theirs, false));
                        assert!(matches!(step, Step::Wait | Step::Ask), "{seen:?}: {step:?}");
                    }
                }
            }
        }
    }

    /// Whatever the number of processes and leases, asking ends, and then nobody has two more than another.
    #[test]
    fn asking_spreads_leases_evenly_and_comes_to_rest() {
        for processes in 1..6_usize {
            for leases in 0..20_usize {
                // The first process came first, and took all.
                let mut holders = vec![0; leases];
                let count =
                    |holders: &[usize], who: usize| holders.iter().filter(|holder| **holder == who).count();
                let mut moves = 0;
                loop {
                    let asked = (0..processes).find_map(|me| {
                        let wants = |lease: &usize| {
                            let share =
                                mk_share(count(&holders, me), count(&holders, holders[*lease]), false);
                            let seen = mk_seen(&holders[*lease].to_string(), "", 0);
                            decide(Some(&seen), &me.to_string(), share) == Step::Ask
                        };
                        (0..leases).find(wants).map(|lease| (lease, me))
                    });
                    let Some((lease, me)) = asked else { break };
                    let owner = holders[lease];
                    let seen = mk_seen(&owner.to_string(), &me.to_string(), 0);
                    let share = mk_share(count(&holders, owner), 0, false);
                    assert_eq!(decide(Some(&seen), &owner.to_string(), share), Step::HandOver);
                    holders[lease] = me;
                    moves += 1;
                    assert!(moves <= leases * processes, "it goes on for ever");
                }
                let counts: Vec<usize> = (0..processes).map(|who| count(&holders, who)).collect();
                let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
                assert!(most - least <= 1, "{counts:?}");
            }
        }
    }

    #[test]
    fn times_that_would_let_two_act_are_refused() {
        let good = Times::default();
        assert_eq!(good.check(), Ok(good));
        let cases = [
            (
                Times {
                    renew_deadline: good.lease,
                    ..good
                },
                TimesError::Deadline,
            ),
            (
                Times {
                    lease: SECOND / 2,
                    ..good
                },
                TimesError::Seconds,
            ),
            (
                Times {
                    retry: SECOND * 16,
                    ..good
                },
                TimesError::Retry,
            ),
            (
                Times {
                    retry: Duration::ZERO,
                    ..good
                },
                TimesError::Retry,
            ),
        ];
        for (times, error) in cases {
            assert_eq!(times.check(), Err(error), "{times:?}");
        }
    }
}
