//! `gitsync validate`: everything that can be known without a cluster, all problems at once.

use serde_json::json;

use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::desired::policy;
use crate::problem::{Problems, plural};
use crate::report::findings::{Finding, Level, github, sarif};
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

/// Reads the configuration, renders every environment, and evaluates its policies.
///
/// # Errors
///
/// When there is no repository. Problems of its content are the answer no, and printed.
pub async fn validate(ui: &mut Ui, context: &Context, args: &ValidateArgs) -> Result<Answer, Failure> {
    let mut findings = Vec::new();
    let mut objects = 0;
    let mut environments = 0;
    match context.checkout().await {
        Ok(checkout) => {
            let others = policy::read(checkout.head.snapshot.tree());
            for environment in checkout.config().environments.values() {
                environments += 1;
                match checkout.render(environment).await {
                    Ok(desired) => {
                        objects += desired.objects.len();
                        let violations = policy::check(&desired.objects, &others);
                        findings.extend(violations.into_iter().map(Finding::policy));
                    }
                    Err(failure) => findings.extend(configuration(failure)?),
                }
            }
        }
        Err(failure) => findings.extend(configuration(failure)?),
    }
    // What two environments share is told once.
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        if !told.contains(&finding) {
            told.push(finding);
        }
    }
    let of = |level: Level| told.iter().filter(move |finding| finding.level == level);
    let valid = of(Level::Error).next().is_none();
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
            format!("{lines}{verdict}\n")
        }
    };
    ui.print(&text)?;
    Ok(if valid { Answer::Yes } else { Answer::No })
}

/// The problems of a failure; what is no problem of the content stays a failure.
fn configuration(failure: Failure) -> Result<Vec<Finding>, Failure> {
    let Failure { kind, error, hints } = failure;
    match error.downcast::<Problems>() {
        Ok(problems) => Ok(problems.0.into_iter().map(Finding::configuration).collect()),
        Err(error) => Err(Failure { kind, error, hints }),
    }
}
