//! Following: where something that was committed is on its way to an environment. A pure function of git and the records.

use crate::record::Phase;

/// One environment on the way, and what is known of it and of what is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The environment.
    pub name: String,
    /// Whether git asks for it there, at the tip.
    pub wanted: bool,
    /// Whether the environment's own record is about it; `None` when the cluster could not be asked.
    pub there: Option<bool>,
    /// What the environment is doing.
    pub phase: Option<Phase>,
    /// Why, in one sentence.
    pub message: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// It runs where it should, healthy.
    There,
    /// It is under way; the text says where and what is waited for.
    Waiting(String),
    /// It is not good enough; the text says where and why.
    Failed {
        /// The environment.
        stage: String,
        /// Why.
        reason: String,
    },
    /// Something newer took its place before it arrived.
    Superseded(String),
}

/// Judges the way to the last of `stages`; they stand in the order of the flow.
#[must_use]
pub fn judge(stages: &[Stage]) -> Reached {
    let (Some(first), Some(last)) = (stages.first(), stages.last()) else {
        return Reached::Waiting("nothing leads there".to_owned());
    };
    let arrived = matches!(
        last.phase,
        Some(Phase::Synced | Phase::Verifying | Phase::Promoting)
    );
    if last.there == Some(true) && arrived {
        return Reached::There;
    }
    let failed = |stage: &&Stage| stage.there == Some(true) && stage.phase == Some(Phase::Failed);
    if let Some(stage) = stages.iter().find(failed) {
        return Reached::Failed {
            stage: stage.name.clone(),
            reason: stage.message.clone(),
        };
    }
    // As long as the first environment runs it, it may still be proved, whatever git asks for by now.
    let nowhere = stages
        .iter()
        .all(|stage| !stage.wanted && stage.there == Some(false));
    if nowhere {
        return Reached::Superseded(format!("{} asks for something else now", first.name));
    }
    Reached::Waiting(waiting(stages, last))
}

fn waiting(stages: &[Stage], last: &Stage) -> String {
    let at = stages
        .iter()
        .rev()
        .find(|stage| stage.there == Some(true))
        .or_else(|| stages.iter().find(|stage| stage.there.is_none()))
        .or_else(|| stages.iter().find(|stage| stage.wanted))
        .unwrap_or(last);
    match (at.there, at.phase) {
        (None, _) => format!("{}: {}", at.name, at.message),
        (Some(true), Some(Phase::Synced)) if at.name != last.name => {
            format!("{}: in sync; {} does not have it yet", at.name, last.name)
        }
        (Some(true), _) => format!("{}: {}", at.name, at.message),
        // Perhaps by an older commit; whoever waits should know all the same.
        (Some(false), Some(Phase::Failed)) => {
            format!("{}: not applied yet; it failed: {}", at.name, at.message)
        }
        (Some(false), _) => format!("{}: not applied yet", at.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_stage(name: &str, wanted: bool, there: Option<bool>, phase: Phase) -> Stage {
        Stage {
            name: name.into(),
            wanted,
            there,
            phase: Some(phase),
            message: "because".into(),
        }
    }

    #[test]
    fn the_way_is_judged_by_where_it_is() {
        let failed = Reached::Failed {
            stage: "staging".into(),
            reason: "because".into(),
        };
        let cases = [
            (
                "arrived",
                (true, Some(true), Phase::Synced),
                (true, Some(true), Phase::Synced),
                Reached::There,
            ),
            (
                "arrived while staging moved on",
                (false, Some(false), Phase::Failed),
                (true, Some(true), Phase::Synced),
                Reached::There,
            ),
            (
                "the gate failed",
                (true, Some(true), Phase::Failed),
                (false, Some(false), Phase::Synced),
                failed,
            ),
            (
                "an older failure is none of ours",
                (true, Some(false), Phase::Failed),
                (false, Some(false), Phase::Synced),
                Reached::Waiting("staging: not applied yet; it failed: because".into()),
            ),
            (
                "on its way to staging",
                (true, Some(false), Phase::Synced),
                (false, Some(false), Phase::Synced),
                Reached::Waiting("staging: not applied yet".into()),
            ),
            (
                "rolling out in prod",
                (true, Some(true), Phase::Synced),
                (true, Some(true), Phase::Progressing),
                Reached::Waiting("prod: because".into()),
            ),
            (
                "the gate runs",
                (true, Some(true), Phase::Verifying),
                (false, Some(false), Phase::Synced),
                Reached::Waiting("staging: because".into()),
            ),
            (
                "superseded",
                (false, Some(false), Phase::Synced),
                (false, Some(false), Phase::Synced),
                Reached::Superseded("staging asks for something else now".into()),
            ),
            (
                "git asks for something newer, staging still proves it",
                (false, Some(true), Phase::Verifying),
                (false, Some(false), Phase::Synced),
                Reached::Waiting("staging: because".into()),
            ),
            (
                "a cluster that cannot be asked supersedes nothing",
                (false, None, Phase::Synced),
                (false, Some(false), Phase::Synced),
                Reached::Waiting("staging: because".into()),
            ),
        ];
        for (case, one, two, reached) in cases {
            let stages = [
                mk_stage("staging", one.0, one.1, one.2),
                mk_stage("prod", two.0, two.1, two.2),
            ];
            assert_eq!(judge(&stages), reached, "{case}");
        }
    }
}
