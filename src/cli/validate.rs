//! `gitsync validate`: everything that can be known without a cluster, all problems at once.

use futures::stream::{self, StreamExt as _};
use manifest::Manifest;
use serde_json::json;

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::repository::survey::{Overlay, Survey, survey};
use crate::desired::{allow, policy};
use crate::problem::{Problem, Problems, plural};
use crate::report::findings::{Finding, Level, github, once, sarif};
use crate::report::paint::Tone;

/// Arguments of `gitsync validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ValidateOutput,
}

/// Output formats of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ValidateOutput {
    /// For people.
    #[default]
    Text,
    /// For programs; has every field of the text.
    Json,
    /// A SARIF 2.1.0 log, for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions, which show each problem beside its line.
    Github,
}

/// Environments that are rendered side by side.
const RENDERED_AT_ONCE: usize = 8;

/// Reads the configuration, renders every environment, and evaluates its policies.
///
/// # Errors
///
/// When there is no repository. Problems of its content are the answer no, and printed; a commit that was proved and that
/// git does not have, as in a shallow clone, is told beside them.
pub async fn validate(ui: &mut Ui, context: &Context, args: &ValidateArgs) -> Result<Answer, Failure> {
    let files = context.files().await?;
    let Survey { overlays, problems } = survey(files.snapshot.tree());
    let others = policy::read(files.snapshot.tree());
    let mut findings: Vec<Finding> = problems.into_iter().map(Finding::configuration).collect();
    let mut objects = 0;
    let mut failed = None;
    let renderings: Vec<_> = overlays.iter().map(|overlay| files.render(overlay)).collect();
    let mut renderings = stream::iter(renderings).buffered(RENDERED_AT_ONCE);
    for overlay in &overlays {
        let Some(rendered) = renderings.next().await else {
            break;
        };
        match rendered {
            Ok(desired) => {
                objects += desired.objects.len();
                findings.extend(forbidden(overlay, &desired.objects).map(Finding::configuration));
                let violations = policy::check(&desired.objects, &others);
                findings.extend(violations.into_iter().map(Finding::policy));
            }
            Err(failure) => match configuration(failure) {
                Ok(problems) => findings.extend(problems),
                Err(failure) => {
                    ui.fail(&overlay.dir, &failure);
                    failed = Some(failure.kind);
                }
            },
        }
    }
    let environments = overlays.len();
    let told = once(findings);
    let of = |level: Level| told.iter().filter(move |finding| finding.level == level);
    let valid = failed.is_none() && of(Level::Error).next().is_none();
    let text = match args.output {
        ValidateOutput::Json => {
            let problems = |level| of(level).map(|finding| &finding.problem).collect::<Vec<_>>();
            let document = json!({
                "valid": valid,
                "environments": environments,
                "objects": objects,
                "problems": problems(Level::Error),
                "warnings": problems(Level::Warning),
                "unknown": problems(Level::Note),
            });
            format!("{document:#}\n")
        }
        ValidateOutput::Sarif => format!("{:#}\n", sarif(&told, env!("CARGO_PKG_VERSION"))),
        ValidateOutput::Github => github(&told),
        ValidateOutput::Text => {
            for finding in of(Level::Warning) {
                ui.warn(&finding.problem.to_string());
            }
            for finding in of(Level::Note) {
                ui.story(&format!("not known here: {}", finding.problem));
            }
            let lines: String = of(Level::Error)
                .map(|finding| format!("{}\n", finding.problem))
                .collect();
            let verdict = if valid {
                let good = ui.paint().tone(Tone::Good, "valid");
                let (environments, objects) =
                    (plural(environments, "environment"), plural(objects, "object"));
                format!("{good}: {environments}, {objects}")
            } else {
                let bad = ui.paint().tone(Tone::Bad, "not valid");
                format!("{bad}: {}", plural(of(Level::Error).count(), "problem"))
            };
            ui.folded(&format!("{lines}{verdict}\n"))
        }
    };
    ui.print(&text)?;
    Ok(match failed {
        Some(kind) => Answer::Code(kind.code()),
        None if valid => Answer::Yes,
        None => Answer::No,
    })
}

/// The objects that the environment does not allow. Which namespace an object gets that names none is not known here.
fn forbidden<'a>(overlay: &'a Overlay, objects: &'a [Manifest]) -> impl Iterator<Item = Problem> + 'a {
    let allow = overlay.allow.iter();
    allow.flat_map(|allow| {
        objects
            .iter()
            .filter_map(|object| allow::check(allow, &object.id(), object))
    })
}

/// The problems of a failure; what is no problem of the content stays a failure.
fn configuration(failure: Failure) -> Result<Vec<Finding>, Failure> {
    let Failure { kind, error, hints } = failure;
    match error.downcast::<Problems>() {
        Ok(problems) => Ok(problems.0.into_iter().map(Finding::configuration).collect()),
        Err(error) => Err(Failure { kind, error, hints }),
    }
}
