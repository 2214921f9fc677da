//! Stop: why no load can be sent, and the exit codes of a check, which are k6's and two more.

use serde_json::json;

use super::super::Output;
use super::super::failure::{Answer, Failure, Kind};
use super::super::script;
use super::super::ui::Ui;
use crate::config::load_check::Invalid;
use crate::problem::chain;
use crate::verify::judge::LoadOutcome;
use crate::verify::samples::Ended;
use crate::world::load::LoadError;
use crate::world::load::target::TargetError;

/// k6's exit code for a crossed threshold.
pub(in crate::cli) const THRESHOLD_CROSSED: u8 = 99;
/// k6's exit code for a wrong configuration.
pub(in crate::cli) const WRONG_CONFIGURATION: u8 = 104;
/// k6's exit code for a run that was interrupted.
pub(in crate::cli) const INTERRUPTED: u8 = 105;
/// The exit code for a verdict that stayed unclear.
pub(in crate::cli) const INCONCLUSIVE: u8 = 111;
/// The exit code for a target that has no address or does not answer.
pub(super) const NOT_READY: u8 = 112;

/// Why no load can be sent, with the exit code that it means.
pub(in crate::cli) struct Stop {
    pub(in crate::cli) code: u8,
    pub(in crate::cli) text: String,
    pub(in crate::cli) hints: Vec<String>,
}

/// The exit code of a run that came to an end.
pub(super) fn exit_code(outcome: LoadOutcome, ended: Ended) -> u8 {
    match (outcome, ended) {
        (_, Ended::Interrupted) => INTERRUPTED,
        (LoadOutcome::Pass, _) => 0,
        (LoadOutcome::Fail, _) => THRESHOLD_CROSSED,
        (LoadOutcome::Inconclusive | LoadOutcome::Void, _) => INCONCLUSIVE,
    }
}

// === impl Stop ===

impl Stop {
    pub(super) fn configuration(text: String, hints: Vec<String>) -> Self {
        Self {
            code: WRONG_CONFIGURATION,
            text,
            hints,
        }
    }

    pub(super) fn invalid(name: &str, invalid: Vec<Invalid>) -> Self {
        let line = |invalid: Invalid| {
            let hint = invalid.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let field = invalid.pointer.trim_start_matches('/').replace('/', ".");
            let field = if field.is_empty() {
                String::new()
            } else {
                format!("{field}: ")
            };
            format!("{name}: {field}{}{hint}", invalid.message)
        };
        let lines: Vec<String> = invalid.into_iter().map(line).collect();
        Self::configuration(lines.join("\n"), Vec::new())
    }

    pub(in crate::cli) fn load(error: &LoadError) -> Self {
        let (code, hints) = match error {
            LoadError::Script(error) => return script::stop(error),
            LoadError::Target(target) => {
                let code = match target {
                    TargetError::Interrupted { .. } => INTERRUPTED,
                    TargetError::Malformed { .. } => WRONG_CONFIGURATION,
                    _ => NOT_READY,
                };
                (code, vec![target.hint().to_owned()])
            }
            LoadError::Limits(_) => (WRONG_CONFIGURATION, Vec::new()),
            LoadError::Unready { .. } => (NOT_READY, Vec::new()),
            LoadError::Worker(_) => (INCONCLUSIVE, Vec::new()),
            LoadError::Start(_) | LoadError::Broken => (Kind::Bug.code(), Vec::new()),
        };
        Self {
            code,
            text: chain(error),
            hints,
        }
    }

    pub(in crate::cli) fn tell(self, ui: &mut Ui, output: Output) -> Result<Answer, Failure> {
        let Self { code, text, hints } = self;
        ui.error(&text, &hints);
        if output == Output::Json {
            let answer =
                json!({"schema": 1, "verdict": "error", "reason": text, "exitCode": code, "hints": hints});
            ui.print(&format!("{answer:#}\n"))?;
        }
        Ok(Answer::Code(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_k6s_and_two_more() {
        for (outcome, ended, code) in [
            (LoadOutcome::Pass, Ended::Completed, 0),
            (LoadOutcome::Fail, Ended::Completed, 99),
            (LoadOutcome::Fail, Ended::Aborted(0), 99),
            (LoadOutcome::Void, Ended::Interrupted, 105),
            (LoadOutcome::Inconclusive, Ended::Completed, 111),
            (LoadOutcome::Void, Ended::Completed, 111),
        ] {
            assert_eq!(exit_code(outcome, ended), code, "{outcome:?} {ended:?}");
        }
    }
}
