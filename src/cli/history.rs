//! `gitsync history`: the promotions that git remembers, each with its evidence. It asks no cluster.

use serde_json::json;

use super::Output;
use super::context::{Context, git_failure, head_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::reconcile::board::promotions;
use crate::reconcile::feed::fetch_head;
use crate::report::board::HistoryView;
use crate::report::paint::{Paint, Tone};

/// How many commits back promotions are looked for.
const LOOK_BACK: usize = 10_000;

/// Arguments of `gitsync history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Lists the latest promotions of the remote branch, newest first.
///
/// # Errors
///
/// When git cannot be read.
pub async fn history(ui: &mut Ui, context: &Context, args: &HistoryArgs) -> Result<Answer, Failure> {
    let remote = context.remote()?;
    let head = fetch_head(&remote).await.map_err(head_failure)?;
    let commits = remote
        .history(head.snapshot.revision(), None, LOOK_BACK)
        .await
        .map_err(git_failure)?;
    let promotions = promotions(&commits);
    let text = match args.output {
        Output::Json => format!("{:#}\n", json!(promotions)),
        Output::Text if promotions.is_empty() => "git holds no promotion yet\n".to_owned(),
        Output::Text => promotions
            .iter()
            .map(|promotion| entry(promotion, ui.paint()))
            .collect(),
    };
    ui.print(&text)?;
    Ok(Answer::Yes)
}

fn entry(promotion: &HistoryView, paint: Paint) -> String {
    let commit = &promotion.commit;
    let revision = commit.revision.get(..8).unwrap_or_default();
    let head = format!(
        "{} {}  {}\n",
        paint.tone(Tone::Strong, revision),
        commit.subject,
        paint.tone(Tone::Dim, &commit.time)
    );
    let evidence = promotion.trailers.iter().map(|trailer| {
        let key = trailer.key.trim_start_matches("Gitsync-");
        format!("  {}: {}\n", paint.tone(Tone::Dim, key), trailer.value)
    });
    head + &evidence.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::board::{CommitView, TrailerView};

    #[test]
    fn an_entry_has_the_commit_and_its_evidence() {
        let promotion = HistoryView {
            commit: CommitView {
                revision: "0123456789".into(),
                subject: "Promote web to prod".into(),
                time: "2026-01-01T00:00:00Z".into(),
                ..CommitView::default()
            },
            trailers: vec![TrailerView {
                key: "Gitsync-Check".into(),
                value: "p(90)<600 = 5".into(),
            }],
        };
        let expected = "01234567 Promote web to prod  2026-01-01T00:00:00Z\n  Check: p(90)<600 = 5\n";
        assert_eq!(entry(&promotion, Paint::default()), expected);
    }
}
