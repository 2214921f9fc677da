//! `gitsync status`: what runs where, how it is, and what it waits for.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Output;
use super::context::{Checkout, Context, cluster_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use super::why::{drift, see};
use crate::config::repository::Environment;
use crate::record::{Phase, Record};
use crate::report::status::{EnvironmentStatus, table};
use crate::report::why::CommitLine;

/// Arguments of `gitsync status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Environment to show; may be repeated; by default all of them
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Reads each environment's record from its own cluster.
///
/// # Errors
///
/// When the configuration cannot be read. A cluster that cannot be asked is shown as such, and the exit code is 3.
pub async fn status(ui: &mut Ui, context: &Context, args: &StatusArgs) -> Result<Answer, Failure> {
    let checkout = context.checkout().await?;
    let environments = checkout.environments(&args.env)?;
    let reads = environments.iter().map(|environment| read(context, environment));
    let records: Vec<Result<Record, Failure>> = futures::future::join_all(reads).await;
    let mut worst = Answer::Yes;
    let mut rows = Vec::new();
    for (environment, result) in environments.iter().zip(records) {
        let (record, error) = match result {
            Ok(record) => (Some(record), None),
            Err(failure) => {
                worst = Answer::Code(failure.kind.code());
                ui.fail(&format!("environment {}", environment.name), &failure);
                (None, Some(failure.to_string()))
            }
        };
        let failed = record
            .as_ref()
            .and_then(|record| record.status.as_ref())
            .is_some_and(|status| status.phase == Phase::Failed);
        if failed && worst == Answer::Yes {
            worst = Answer::No;
        }
        let seen = record
            .as_ref()
            .and_then(|record| record.status.as_ref()?.revision.clone());
        let commit = checkout.last_change(&environment.dir, seen.as_ref()).await;
        let drift = match &record {
            Some(record) => drift_of(context, &checkout, environment, record).await,
            None => None,
        };
        rows.push(EnvironmentStatus {
            drift,
            name: environment.name.clone(),
            cluster: cluster_name(environment),
            record,
            error,
            suspended: environment.orders.suspended(Timestamp::now()),
            commit,
        });
    }
    let text = match args.output {
        Output::Text => ui.folded(&table(&rows, Timestamp::now(), ui.paint())),
        Output::Json => format!("{:#}\n", Value::Array(rows.iter().map(json_row).collect())),
    };
    ui.print(&text)?;
    Ok(worst)
}

/// Where live objects differ from what was applied; `None` where that cannot be asked, or a newer commit is not applied yet.
async fn drift_of(
    context: &Context,
    checkout: &Checkout,
    environment: &Environment,
    record: &Record,
) -> Option<Vec<String>> {
    let synced = record.synced.as_ref()?;
    let settled = record
        .status
        .as_ref()
        .is_some_and(|status| !matches!(status.phase, Phase::Progressing | Phase::Promoting));
    if !settled {
        return None;
    }
    let seen = see(context, checkout, environment).await.ok()?;
    (seen.desired.hash == synced.objects).then(|| drift(&seen))
}

async fn read(context: &Context, environment: &Environment) -> Result<Record, Failure> {
    let cluster = context.cluster(environment).await?;
    cluster
        .read_record(&environment.name)
        .await
        .map(|stored| stored.record)
        .map_err(cluster_failure)
}

fn cluster_name(environment: &Environment) -> String {
    environment
        .spec
        .cluster
        .context
        .clone()
        .unwrap_or_else(|| "in-cluster".to_owned())
}

fn json_row(row: &EnvironmentStatus) -> Value {
    json!({
        "environment": row.name,
        "cluster": row.cluster,
        "error": row.error,
        "suspended": row.suspended,
        "drift": row.drift,
        "commit": row.commit.as_ref().map(json_commit),
        "status": row.record.as_ref().and_then(|record| record.status.as_ref()),
        "synced": row.record.as_ref().and_then(|record| record.synced.as_ref()),
        "verifications": row.record.as_ref().map(|record| &record.verifications),
        "objects": row.record.as_ref().map(|record| record.inventory.len()),
    })
}

/// A commit as programs read it.
pub fn json_commit(commit: &CommitLine) -> Value {
    json!({"id": commit.id, "subject": commit.subject, "author": commit.author, "time": commit.time.to_string()})
}
