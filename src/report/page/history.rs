//! History: the promotions that git remembers, each with its evidence, and what people ordered.

use super::Frame;
use super::html::{ago, short, text};
use crate::model::trailer;
use crate::report::board::HistoryView;

pub(super) fn body(frame: Frame<'_>) -> String {
    if frame.board.history.is_empty() {
        return "<h1>History</h1><p>Git holds no promotion and no order yet.</p>".to_owned();
    }
    let entries: String = frame
        .board
        .history
        .iter()
        .map(|entry| row(frame, entry))
        .collect();
    format!(
        "<h1>History</h1><p class=\"dim\">Every promotion and every order is a commit; the evidence stands in its trailers.</p><ol class=\"history\">{entries}</ol>"
    )
}

fn row(frame: Frame<'_>, entry: &HistoryView) -> String {
    let commit = &entry.commit;
    let (kind, sign, tone) = kind(entry);
    let author = commit.author.split('<').next().unwrap_or_default().trim();
    let trailers: String = entry
        .trailers
        .iter()
        .map(|trailer| {
            format!(
                "<dt>{}</dt><dd>{}</dd>",
                text(trailer.key.trim_start_matches(trailer::PREFIX)),
                text(&trailer.value)
            )
        })
        .collect();
    let checks: String = entry
        .trailers
        .iter()
        .filter(|trailer| trailer.key == trailer::CHECK)
        .map(|trailer| format!("<p class=\"small good\">{}</p>", text(&trailer.value)))
        .collect();
    format!(
        "<li class=\"card\"><div class=\"top title\"><h2>{}</h2>{kind}<span class=\"grow\"></span><span class=\"dim small\">{}</span></div><p class=\"small\"><code>{revision}</code> <span class=\"dim\">by {}</span></p>{checks}\
         <details id=\"evidence-{revision}\"><summary>{summary}</summary><dl class=\"facts\">{trailers}</dl></details></li>",
        text(&commit.subject),
        ago(&commit.time, frame.now),
        text(author),
        revision = text(short(&commit.revision)),
        kind = badge(kind, sign, tone),
        summary = if kind == "promotion" {
            "Evidence"
        } else {
            "Trailers"
        },
    )
}

/// What a commit is, with a sign and a tone.
fn kind(entry: &HistoryView) -> (&'static str, &'static str, &'static str) {
    [
        (trailer::EVIDENCE, "promotion", "→", "good"),
        (trailer::ROLLBACK, "rollback", "↶", "bad"),
        (trailer::APPROVE, "approval", "✓", "info"),
        (trailer::SUSPEND, "suspension", "‖", "warn"),
        (trailer::RESUME, "resumption", "▸", "info"),
    ]
    .into_iter()
    .find(|(key, ..)| entry.has(key))
    .map_or(("order", "○", "dim"), |(_, kind, sign, tone)| {
        (kind, sign, tone)
    })
}

fn badge(kind: &str, sign: &str, tone: &str) -> String {
    format!(
        "<span class=\"badge {tone}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>{kind}</span>"
    )
}
