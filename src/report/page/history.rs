//! History: the promotions that git remembers, each with its evidence.

use super::Frame;
use super::html::{ago, short, text};
use crate::report::board::HistoryView;

pub(super) fn body(frame: Frame<'_>) -> String {
    if frame.board.history.is_empty() {
        return "<h1>History</h1><p>Git holds no promotion yet.</p>".to_owned();
    }
    let entries: String = frame
        .board
        .history
        .iter()
        .map(|entry| row(frame, entry))
        .collect();
    format!(
        "<h1>History</h1><p class=\"dim\">Every promotion is a commit; its evidence stands in its trailers.</p><ol class=\"history\">{entries}</ol>"
    )
}

fn row(frame: Frame<'_>, entry: &HistoryView) -> String {
    let commit = &entry.commit;
    let author = commit.author.split('<').next().unwrap_or_default().trim();
    let trailers: String = entry
        .trailers
        .iter()
        .map(|trailer| {
            format!(
                "<dt>{}</dt><dd>{}</dd>",
                text(trailer.key.trim_start_matches("Gitsync-")),
                text(&trailer.value)
            )
        })
        .collect();
    let checks: String = entry
        .trailers
        .iter()
        .filter(|trailer| trailer.key == "Gitsync-Check")
        .map(|trailer| format!("<p class=\"small good\">{}</p>", text(&trailer.value)))
        .collect();
    format!(
        "<li class=\"card\"><div class=\"top\"><h2>{}</h2><span class=\"dim small\">{}</span></div><p class=\"small\"><code>{revision}</code> <span class=\"dim\">by {}</span></p>{checks}\
         <details id=\"evidence-{revision}\"><summary>Evidence</summary><dl class=\"facts\">{trailers}</dl></details></li>",
        text(&commit.subject),
        ago(&commit.time, frame.now),
        text(author),
        revision = text(short(&commit.revision)),
    )
}
