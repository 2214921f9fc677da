//! `gitsync diff`: what syncing would change, without changing anything.

use serde_json::Value;

use super::Output;
use super::context::{Checkout, Context, cluster_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::repository::Environment;
use crate::diff::{Diff, patch, text};
use crate::report::paint::Tone;

/// Arguments of `gitsync diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// Environment to compare; may be repeated; by default all of them
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: Vec<String>,
    /// Output format; json holds an RFC 6902 patch per object
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Compares what git asks for with what is live.
///
/// # Errors
///
/// When the configuration, an overlay or a cluster cannot be used. The other environments are compared all the same.
pub async fn diff(ui: &mut Ui, context: &Context, args: &DiffArgs) -> Result<Answer, Failure> {
    let checkout = context.checkout().await?;
    let mut found = Vec::new();
    let mut failed = None;
    for environment in checkout.environments(&args.env)? {
        match compare(context, &checkout, environment).await {
            Ok(diff) => found.push((environment, diff)),
            Err(failure) => {
                ui.fail(&format!("environment {}", environment.name), &failure);
                failed = Some(failure.kind);
            }
        }
    }
    let text = match args.output {
        Output::Json => json_text(&found),
        Output::Text => found
            .iter()
            .map(|(environment, diff)| environment_text(ui, environment, diff))
            .collect(),
    };
    ui.print(&text)?;
    if let Some(kind) = failed {
        return Ok(Answer::Code(kind.code()));
    }
    let clean = found.iter().all(|(_, diff)| diff.is_empty());
    Ok(if clean { Answer::Yes } else { Answer::No })
}

async fn compare(context: &Context, checkout: &Checkout, environment: &Environment) -> Result<Diff, Failure> {
    let desired = checkout.render(environment).await?;
    let cluster = context.cluster(environment).await?;
    let stored = cluster
        .read_record(&environment.name)
        .await
        .map_err(cluster_failure)?;
    let observation = cluster
        .observe(
            &environment.name,
            &desired.objects,
            &stored.record.inventory,
            None,
        )
        .await;
    observation
        .map(|observation| observation.diff)
        .map_err(cluster_failure)
}

fn environment_text(ui: &Ui, environment: &Environment, diff: &Diff) -> String {
    let head = ui.paint().tone(Tone::Strong, environment.name.as_str());
    let body = text::unified(diff, ui.paint());
    let gap = if body.is_empty() { "" } else { "\n" };
    format!("{head}: {}\n{gap}{body}{gap}", text::summary(diff.counts()))
}

fn json_text(found: &[(&Environment, Diff)]) -> String {
    let documents: Vec<Value> = found
        .iter()
        .map(|(environment, diff)| patch::document(environment.name.as_str(), diff))
        .collect();
    format!("{:#}\n", Value::Array(documents))
}
