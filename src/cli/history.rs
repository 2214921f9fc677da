//! `gitsync history`: the promotions that git remembers, each with its evidence and with what brought it about. It asks
//! no cluster.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::context::{Context, git_failure, head_failure};
use super::failure::{Answer, Failure};
use super::ui::Ui;
use crate::config::duration::Duration;
use crate::config::repository::environments::directory;
use crate::model::trailer;
use crate::promote::overlay::kustomization;
use crate::reconcile::board::{commit_view, promotions};
use crate::reconcile::feed::fetch_head;
use crate::report::board::CommitView;
use crate::report::history::{Filter, Promoted, csv, entry};
use crate::world::git::Commit;
use crate::world::remote::Remote;

/// How many commits back promotions are looked for.
const LOOK_BACK: usize = 10_000;

/// How many commits are read to find the one that asked for an image, when no commit says so itself.
const READ_BACK: usize = 500;

/// Arguments of `gitsync history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Environment that was promoted to
    #[arg(short, long = "env", value_name = "NAME")]
    pub env: Option<String>,
    /// Part of an image's name or tag
    #[arg(long, value_name = "TEXT")]
    pub image: Option<String>,
    /// Part of the name or address of who set the image
    #[arg(long, value_name = "TEXT")]
    pub author: Option<String>,
    /// Not before: a date, a time (RFC 3339), or how long ago, for example 30d
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Not after, in the same forms
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// At most this many, the newest ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: HistoryOutput,
}

/// Output formats of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum HistoryOutput {
    /// For people.
    #[default]
    Text,
    /// For programs; has every field of the text.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Lists promotions of the remote branch, newest first.
///
/// # Errors
///
/// When git cannot be read.
pub async fn history(ui: &mut Ui, context: &Context, args: &HistoryArgs) -> Result<Answer, Failure> {
    let filter = Filter {
        env: args.env.clone(),
        image: args.image.clone(),
        author: args.author.clone(),
        since: args.since,
        until: args.until,
    };
    let remote = context.remote()?;
    let commits = commits(&remote).await?;
    let all = promoted(&remote, &commits, &filter, args.limit).await?;
    let text = match args.output {
        HistoryOutput::Json => format!("{:#}\n", Value::Array(all.iter().map(Promoted::json).collect())),
        HistoryOutput::Csv => csv(&all),
        HistoryOutput::Text if all.is_empty() && filter == Filter::default() => {
            "git holds no promotion yet\n".to_owned()
        }
        HistoryOutput::Text if all.is_empty() => "no promotion is like that\n".to_owned(),
        HistoryOutput::Text => all.iter().map(|promoted| entry(promoted, ui.paint())).collect(),
    };
    if args.output == HistoryOutput::Text {
        return ui.page(&ui.folded(&text));
    }
    ui.print(&text)
}

/// The commits of the remote branch, newest first.
pub(super) async fn commits(remote: &Remote) -> Result<Vec<Commit>, Failure> {
    let head = fetch_head(remote).await.map_err(head_failure)?;
    remote
        .history(head.snapshot.revision(), None, LOOK_BACK)
        .await
        .map_err(git_failure)
}

/// The newest promotions that a filter takes, each with the commit that brought it about.
pub(super) async fn promoted(
    remote: &Remote,
    commits: &[Commit],
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Promoted>, Failure> {
    let mut found = Vec::new();
    // Who set an image takes reading, which is done last.
    let cheap = Filter {
        author: None,
        ..filter.clone()
    };
    for view in promotions(commits, usize::MAX) {
        let mut promoted = Promoted::of(&view);
        if !cheap.takes(&promoted) {
            continue;
        }
        promoted.introduced = introduced(remote, commits, &promoted).await?;
        if filter.takes(&promoted) {
            found.push(promoted);
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// The commit that asked for a promotion's images where they were proved: the one that says so, else the oldest of
/// those whose overlay has them all.
async fn introduced(
    remote: &Remote,
    commits: &[Commit],
    promoted: &Promoted,
) -> Result<Option<CommitView>, Failure> {
    let proved = promoted.first(trailer::VERIFIED_REVISION);
    let older = commits
        .iter()
        .skip_while(|commit| commit.revision.as_str() != proved);
    let sets = |commit: &&Commit| {
        let own = |key: &str, value: &str| commit.trailers.iter().any(|(k, v)| k == key && v == value);
        let promotes = commit.trailers.iter().any(|(key, _)| key == trailer::EVIDENCE);
        !promotes && promoted.images.iter().any(|image| own(trailer::IMAGE, image))
    };
    if let Some(commit) = older.clone().find(sets) {
        return Ok(Some(commit_view(commit)));
    }
    let dir = promoted
        .from
        .parse()
        .map(|from| directory(&from))
        .unwrap_or_default();
    let tags: Vec<&str> = promoted
        .images
        .iter()
        .filter_map(|image| image.rsplit_once(':'))
        .map(|(_, tag)| tag)
        .collect();
    let mut oldest = None;
    for commit in older.take(READ_BACK) {
        let snapshot = remote.snapshot(&commit.revision).await.map_err(git_failure)?;
        let text = kustomization(&snapshot, &dir)
            .map(|(_, text)| text)
            .unwrap_or_default();
        if !tags.iter().all(|tag| text.contains(tag)) {
            break;
        }
        oldest = Some(commit);
    }
    Ok(oldest.filter(|_| !tags.is_empty()).map(commit_view))
}

/// A moment as people write it: a date, a time, or how long ago.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>() {
        let start = date.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        return Ok(start.timestamp());
    }
    let ago = text.parse::<Duration>().map_err(|_| {
        "expected a date (2026-01-31), a time (2026-01-31T12:00:00Z), or how long ago (30d)".to_owned()
    })?;
    let ago = SignedDuration::try_from(ago.get()).map_err(|error| error.to_string())?;
    Timestamp::now()
        .checked_sub(ago)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_times_and_spans() {
        let at = |text: &str| moment(text).map(|time| time.to_string());
        assert_eq!(at("2026-01-31").unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(at("2026-01-31T12:00:00+01:00").unwrap(), "2026-01-31T11:00:00Z");
        assert!(moment("1d").unwrap() < moment("1h").unwrap());
        assert!(at("yesterday").unwrap_err().contains("30d"));
    }
}
