//! A rehearsal as a comment below a pull request: the answers first, then what would change, within what code hosts take.

use std::fmt::Write as _;

use super::text::{REMARK, reasons, verdict, word};
use crate::diff::markdown::{self, BUDGET};
use crate::diff::text::summary;
use crate::diff::{Diff, files};
use crate::reconcile::rehearse::{Applied, End, Passage, PromotionRehearsal, Rehearsal};
use crate::report::paint::Paint;

/// The comment, of less than 65,536 characters.
pub fn comment(rehearsal: &Rehearsal, shows_changes: bool) -> String {
    let mut out = format!("## gitsync rehearse\n\n**{}**\n\n", verdict(rehearsal));
    out += "| environment | | objects | images |\n|---|---|---|---|\n";
    for environment in &rehearsal.environments {
        let counts = summary(environment.applied.diff.counts());
        let images: Vec<String> = environment
            .images
            .iter()
            .map(|image| format!("`{image}`"))
            .collect();
        let _ = writeln!(
            out,
            "| {} | {} | {counts} | {} |",
            environment.name,
            marked(&environment.applied.end),
            images.join(", ")
        );
    }
    for environment in &rehearsal.environments {
        out += &details(environment.name.as_str(), &environment.applied);
    }
    for promotion in &rehearsal.promotions {
        out += &promotion_text(promotion);
    }
    let _ = writeln!(out, "\n{REMARK}");
    let out = markdown::cut(out, BUDGET / 2);
    let parts: Vec<(String, &Diff)> = parts(rehearsal, shows_changes);
    markdown::with_details(out, &parts, "gitsync rehearse")
}

/// What is shown in full: what the base did not have, and what promotions bring.
fn parts(rehearsal: &Rehearsal, shows_changes: bool) -> Vec<(String, &Diff)> {
    let environments = rehearsal.environments.iter().filter(|_| shows_changes);
    let mut parts: Vec<(String, &Diff)> = environments
        .map(|environment| (environment.name.to_string(), &environment.applied.diff))
        .collect();
    for promotion in &rehearsal.promotions {
        if let Passage::Commit { applied, .. } = &promotion.passage {
            parts.push((promotion.name.clone(), &applied.diff));
        }
    }
    parts
}

fn marked(end: &End) -> String {
    let mark = match end {
        End::Healthy => '✅',
        End::Unhealthy(_) | End::Refused(_) | End::Unrendered(_) => '❌',
    };
    format!("{mark} {}", word(end))
}

fn details(title: &str, applied: &Applied) -> String {
    let mut lines = reasons(&applied.end);
    lines.extend(applied.notes.iter().cloned());
    let line = |line: &String| format!("- {title}: {}\n", one_line(line));
    let lines: String = lines.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n{lines}")
    }
}

fn promotion_text(promotion: &PromotionRehearsal) -> String {
    let mut out = format!(
        "\n### {} → {}: {}\n\n",
        promotion.from, promotion.to, promotion.name
    );
    for gate in &promotion.gates {
        let answer = match &gate.answers {
            Ok(who) => format!("would be answered: {who}"),
            Err(why) => format!("❌ cannot pass: {why}"),
        };
        let _ = writeln!(
            out,
            "- gate `{}` ({}): {}",
            gate.name,
            one_line(&gate.asks),
            one_line(&answer)
        );
    }
    for wait in &promotion.waits {
        let _ = writeln!(out, "- waits for {}", one_line(wait));
    }
    match &promotion.passage {
        Passage::Blocked(why) => {
            let _ = writeln!(out, "- ❌ never begins: {}", one_line(why));
        }
        Passage::Refused(why) => {
            let _ = writeln!(out, "- ❌ refused: {}", one_line(why));
        }
        Passage::Nothing => {
            let _ = writeln!(out, "- nothing to promote: {} has it already", promotion.to);
        }
        Passage::Commit {
            subject,
            before,
            edit,
            applied,
        } => {
            let counts = summary(applied.diff.counts());
            let _ = writeln!(
                out,
                "- commit: {subject}\n- {} {}: {counts}",
                promotion.to,
                marked(&applied.end)
            );
            out += &details(promotion.to.as_str(), applied);
            out += &markdown::folded("the commit", &files::patch(before.tree(), edit, Paint::default()));
        }
    }
    out
}

/// A text that does not end the list that it is in.
fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}
