//! `gitsync validate`: everything that can be known without a cluster, all problems at once.

use serde_json::json;

use super::Output;
use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::problem::{Problems, plural};
use crate::report::paint::Tone;

/// Arguments of `gitsync validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Reads the configuration and renders every environment.
///
/// # Errors
///
/// When there is no repository. Problems of its content are the answer no, and printed.
pub async fn validate(ui: &mut Ui, context: &Context, args: &ValidateArgs) -> Result<Answer, Failure> {
    let mut problems = Problems::default();
    let mut objects = 0;
    let mut environments = 0;
    match context.checkout().await {
        Ok(checkout) => {
            for environment in checkout.config().environments.values() {
                environments += 1;
                match checkout.render(environment).await {
                    Ok(desired) => objects += desired.objects.len(),
                    Err(failure) => problems.0.extend(into_problems(failure)?.0),
                }
            }
        }
        Err(failure) => problems = into_problems(failure)?,
    }
    let valid = problems.0.is_empty();
    let text = match args.output {
        Output::Json => format!(
            "{:#}\n",
            json!({"valid": valid, "environments": environments, "objects": objects, "problems": problems})
        ),
        Output::Text if valid => {
            let good = ui.paint().tone(Tone::Good, "valid");
            format!(
                "{good}: {}, {}\n",
                plural(environments, "environment"),
                plural(objects, "object")
            )
        }
        Output::Text => {
            let lines: String = problems.0.iter().map(|problem| format!("{problem}\n")).collect();
            let bad = ui.paint().tone(Tone::Bad, "not valid");
            format!("{lines}{bad}: {}\n", plural(problems.0.len(), "problem"))
        }
    };
    ui.print(&text)?;
    Ok(if valid { Answer::Yes } else { Answer::No })
}

/// The problems of a failure; what is no problem of the content stays a failure.
fn into_problems(failure: Failure) -> Result<Problems, Failure> {
    let Failure { kind, error, hints } = failure;
    match error.downcast::<Problems>() {
        Ok(problems) => Ok(*problems),
        Err(error) => Err(Failure { kind, error, hints }),
    }
}
