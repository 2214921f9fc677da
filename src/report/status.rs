//! Status as a table: one line per environment, and below it what a person has to know.

use jiff::Timestamp;

use super::paint::{Paint, Tone};
use super::why::{CommitLine, commit_text};
use crate::model::EnvName;
use crate::record::{Phase, Record, Status, Verification};

/// One environment's row.
#[derive(Debug, Clone)]
pub struct EnvironmentStatus {
    /// The environment.
    pub name: EnvName,
    /// The context of its cluster.
    pub cluster: String,
    /// What its cluster remembers; `None` when the cluster could not be asked.
    pub record: Option<Record>,
    /// Why it could not be asked.
    pub error: Option<String>,
    /// Why it is left alone, as git says.
    pub suspended: Option<String>,
    /// The last commit that changed its directory.
    pub commit: Option<CommitLine>,
    /// Where live objects differ from what was applied, and who wrote it; `None` when that was not asked.
    pub drift: Option<Vec<String>>,
}

/// At most this many differences are named.
const DRIFT: usize = 5;

const HEADINGS: [&str; 5] = ["ENVIRONMENT", "STATUS", "REVISION", "SINCE", "IMAGES"];

/// The table for a terminal.
#[must_use]
pub fn table(rows: &[EnvironmentStatus], now: Timestamp, paint: Paint) -> String {
    let cells: Vec<[String; 5]> = rows.iter().map(|row| cells(row, now)).collect();
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .chain([HEADINGS[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let head = line(&HEADINGS.map(str::to_owned), &widths);
    let mut lines = vec![paint.tone(Tone::Dim, head.trim_end())];
    for (row, cells) in rows.iter().zip(&cells) {
        let coloured = paint.tone(tone(row), &cells[1]);
        lines.push(
            line(cells, &widths)
                .replacen(&cells[1], &coloured, 1)
                .trim_end()
                .to_owned(),
        );
        lines.extend(details(row, now).into_iter().map(|detail| format!("  {detail}")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn line(cells: &[String; 5], widths: &[usize; 5]) -> String {
    cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}   "))
        .collect()
}

fn cells(row: &EnvironmentStatus, now: Timestamp) -> [String; 5] {
    let status = status_of(row);
    let word = match (&row.error, status) {
        (Some(_), _) => "unreachable",
        (None, None) => "unknown",
        (None, Some(status)) => word(status.phase),
    };
    let revision = status
        .and_then(|status| status.revision.as_ref())
        .map_or("-", |revision| revision.short());
    let since = status.map_or_else(|| "-".to_owned(), |status| age(status.since, now));
    let short = |image: &String| image.rsplit('/').next().unwrap_or(image).to_owned();
    let images: Vec<String> = status
        .map(|status| status.images.iter().map(short).collect())
        .unwrap_or_default();
    [
        row.name.to_string(),
        word.to_owned(),
        revision.to_owned(),
        since,
        images.join(", "),
    ]
}

fn status_of(row: &EnvironmentStatus) -> Option<&Status> {
    row.record.as_ref().and_then(|record| record.status.as_ref())
}

/// The word for a phase.
#[must_use]
pub fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Synced => "synced",
        Phase::Progressing => "progressing",
        Phase::Verifying => "verifying",
        Phase::Promoting => "promoting",
        Phase::Held => "held",
        Phase::Failed => "failed",
    }
}

fn tone(row: &EnvironmentStatus) -> Tone {
    match status_of(row).map(|status| status.phase) {
        Some(Phase::Synced | Phase::Promoting) => Tone::Good,
        Some(Phase::Progressing | Phase::Verifying | Phase::Held) => Tone::Warn,
        Some(Phase::Failed) | None => Tone::Bad,
    }
}

fn details(row: &EnvironmentStatus, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(status) = status_of(row) {
        if status.phase != Phase::Synced {
            lines.push(status.message.clone());
        }
        lines.extend(status.problems.iter().map(ToString::to_string));
    } else if row.error.is_none() {
        lines.push("gitsync has not synced it yet; start it with: gitsync run".to_owned());
    }
    let told = row
        .suspended
        .iter()
        .filter(|why| !lines.iter().any(|line| line.contains(*why)));
    let told: Vec<String> = told.cloned().collect();
    lines.extend(told);
    let drift = row.drift.iter().flatten();
    lines.extend(drift.clone().take(DRIFT).map(|line| format!("drift: {line}")));
    let more = drift.count().saturating_sub(DRIFT);
    if more > 0 {
        lines.push(format!(
            "drift: and {more} more; gitsync diff --env {} shows them",
            row.name
        ));
    }
    lines.extend(row.commit.iter().map(|commit| commit_text(commit, now)));
    let verifications = row.record.iter().flat_map(|record| &record.verifications);
    lines.extend(verifications.map(|(name, verification)| verification_line(name, verification, now)));
    lines
}

fn verification_line(name: &str, verification: &Verification, now: Timestamp) -> String {
    let verdict = verification.verdict.word();
    let figures = if verification.figures.is_empty() {
        String::new()
    } else {
        format!(": {}", verification.figures.join("; "))
    };
    format!(
        "{name} {verdict} {} ago for {}{figures}",
        age(verification.finished, now),
        verification.revision.short()
    )
}

/// How long ago, in the largest unit that is not zero: `45s`, `3m`, `2h`, `5d`.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    fn mk_row(name: &str, status: Option<Status>) -> EnvironmentStatus {
        let record = Some(Record {
            status,
            ..Record::default()
        });
        EnvironmentStatus {
            name: name.parse().unwrap(),
            cluster: name.into(),
            record,
            error: None,
            suspended: None,
            commit: None,
            drift: None,
        }
    }

    #[test]
    fn the_table_tells_state_and_reason() {
        let status = Status {
            phase: Phase::Failed,
            message: "load check acceptance: http_req_duration p(90)=702ms".into(),
            revision: Some("0123456789012345678901234567890123456789".parse().unwrap()),
            images: vec!["team/app:v1".into()],
            problems: vec![Problem::new("wrong").at_line("a.yaml", 3)],
            since: Timestamp::UNIX_EPOCH,
        };
        let now = Timestamp::from_second(200).unwrap();
        let text = table(
            &[
                EnvironmentStatus {
                    drift: Some(
                        (0..7)
                            .map(|n| format!("Deployment.apps a/b .spec.f{n}"))
                            .collect(),
                    ),
                    ..mk_row("staging", Some(status))
                },
                mk_row("prod", None),
            ],
            now,
            Paint::default(),
        );
        let expected = "\
ENVIRONMENT   STATUS    REVISION   SINCE   IMAGES
staging       failed    01234567   3m      app:v1
  load check acceptance: http_req_duration p(90)=702ms
  a.yaml:3: wrong
  drift: Deployment.apps a/b .spec.f0
  drift: Deployment.apps a/b .spec.f1
  drift: Deployment.apps a/b .spec.f2
  drift: Deployment.apps a/b .spec.f3
  drift: Deployment.apps a/b .spec.f4
  drift: and 2 more; gitsync diff --env staging shows them
prod          unknown   -          -
  gitsync has not synced it yet; start it with: gitsync run
";
        assert_eq!(text, expected);
    }

    #[test]
    fn ages_are_short() {
        let at = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        assert_eq!([at(5), at(61), at(7200), at(200_000)], ["5s", "1m", "2h", "2d"]);
    }
}
