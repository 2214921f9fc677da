//! `gitsync stats`: how quickly and how surely changes reach the environments, from git alone.

use jiff::Timestamp;
use serde_json::Value;

use super::Output;
use super::context::Context;
use super::failure::{Answer, Failure};
use super::history::{commits, moment, promoted};
use super::ui::Ui;
use crate::model::trailer;
use crate::reconcile::board::commit_view;
use crate::report::history::{Filter, Promoted};
use crate::report::stats::Past;
use crate::world::git::Commit;

/// Arguments of `gitsync stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Environment that was promoted to; by default every one that something was promoted to
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: Option<String>,
    /// From when on: a date, a time (RFC 3339), or how long ago
    #[arg(long, value_name = "WHEN", default_value = "90d", value_parser = moment)]
    pub since: Timestamp,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Sums up promotions, lead times and rollbacks.
///
/// # Errors
///
/// When git cannot be read.
pub async fn stats(ui: &mut Ui, context: &Context, args: &StatsArgs) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    let commits = commits(&remote).await?;
    let filter = Filter {
        env: args.env.clone(),
        since: Some(args.since),
        ..Filter::default()
    };
    let promotions = promoted(&remote, &commits, &filter, usize::MAX).await?;
    let recent: Vec<&Commit> = commits
        .iter()
        .filter(|commit| time(commit) >= Some(args.since))
        .collect();
    let mut environments: Vec<String> = promotions.iter().map(|promoted| promoted.to.clone()).collect();
    environments.extend(args.env.clone());
    environments.sort_unstable();
    environments.dedup();
    let span = Timestamp::now().duration_since(args.since).as_secs_f64();
    let pasts: Vec<Past> = environments
        .into_iter()
        .map(|env| past(env, &promotions, &recent, span))
        .collect();
    let text = match args.output {
        Output::Json => format!("{:#}\n", Value::Array(pasts.iter().map(Past::json).collect())),
        Output::Text if pasts.is_empty() => "git holds no promotion of that time\n".to_owned(),
        Output::Text => {
            let parts: Vec<String> = pasts.iter().map(|past| past.text(ui.paint())).collect();
            ui.folded(&parts.join("\n"))
        }
    };
    ui.print(&text)
}

fn past(env: String, promotions: &[Promoted], recent: &[&Commit], span: f64) -> Past {
    let promotions: Vec<Promoted> = promotions
        .iter()
        .filter(|promoted| promoted.to == env)
        .cloned()
        .collect();
    let values = |commit: &Commit, key: &str| {
        let found = commit.trailers.iter().filter(|(known, _)| known == key);
        found.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let rollbacks = recent
        .iter()
        .filter(|commit| values(commit, trailer::ROLLBACK).contains(&env))
        .filter_map(|commit| time(commit))
        .collect();
    // What was set by hand or by CI, other than promotions and rollbacks.
    let sources: Vec<&str> = promotions.iter().map(|promoted| promoted.from.as_str()).collect();
    let set = recent.iter().filter(|commit| {
        let sets = sources
            .iter()
            .any(|from| commit.subject.ends_with(&format!(" in {from}")));
        sets && commit.trailers.iter().all(|(key, _)| key == trailer::IMAGE)
    });
    let mut left: Vec<String> = set.flat_map(|commit| values(commit, trailer::IMAGE)).collect();
    left.retain(|image| !promotions.iter().any(|promoted| promoted.images.contains(image)));
    left.sort_unstable();
    left.dedup();
    Past {
        env,
        promotions,
        rollbacks,
        left: left.len(),
        span,
    }
}

fn time(commit: &Commit) -> Option<Timestamp> {
    commit_view(commit).time.parse().ok()
}
