//! A rehearsal for a terminal.

use std::fmt::Write as _;

use super::RehearseArgs;
use crate::cli::ui::{Ui, wrap};
use crate::diff::text::{Style, summary, unified};
use crate::diff::{Change, files};
use crate::reconcile::rehearse::{
    Applied, End, EnvironmentRehearsal, Passage, PromotionRehearsal, Rehearsal,
};
use crate::report::paint::{Paint, Tone};

/// Everything that a person should know, in the order in which it happened.
pub fn text(rehearsal: &Rehearsal, args: &RehearseArgs, ui: &Ui) -> String {
    let style = Style {
        paint: ui.paint(),
        full: args.full,
        columns: None,
    };
    let shows_changes = args.base.is_some();
    let mut out = String::new();
    for environment in &rehearsal.environments {
        out += &environment_text(environment, shows_changes, style);
    }
    for promotion in &rehearsal.promotions {
        out.push('\n');
        out += &promotion_text(promotion, style);
    }
    let verdict = verdict(rehearsal);
    let tone = if rehearsal.is_good() {
        Tone::Good
    } else {
        Tone::Bad
    };
    let remark: String = wrap(REMARK, ui.width())
        .iter()
        .map(|line| format!("{}\n", style.paint.tone(Tone::Dim, line)))
        .collect();
    out + &format!("\n{}\n{remark}", style.paint.tone(tone, verdict))
}

/// What has to be known of every rehearsal.
pub const REMARK: &str = "Rehearsed on sandbox clusters: images are taken to be there and to work, no load was sent, secrets did not \
     matter, and nothing real was asked or changed.";

/// The answer in one sentence.
pub fn verdict(rehearsal: &Rehearsal) -> &'static str {
    if rehearsal.is_broken() {
        "The repository does not render."
    } else if rehearsal.is_good() {
        "Everything would work."
    } else {
        "Something would fail."
    }
}

fn environment_text(environment: &EnvironmentRehearsal, shows_changes: bool, style: Style) -> String {
    let paint = style.paint;
    let name = paint.tone(Tone::Strong, &format!("{:12}", environment.name.as_str()));
    let short = |image: &String| image.rsplit('/').next().unwrap_or(image).to_owned();
    let images: Vec<String> = environment.images.iter().map(short).collect();
    let mut out = format!(
        "{name} {}  {}  {}\n",
        ended(&environment.applied.end, paint),
        summary(environment.applied.diff.counts()),
        paint.tone(Tone::Dim, &images.join(", "))
    );
    out += &details(&environment.applied);
    if shows_changes {
        out += &changes(&environment.applied, style);
    } else {
        out += &prunes(&environment.applied);
    }
    out
}

fn promotion_text(promotion: &PromotionRehearsal, style: Style) -> String {
    let paint = style.paint;
    let title = format!("{} ({} → {})", promotion.name, promotion.from, promotion.to);
    let mut out = format!("{}\n", paint.tone(Tone::Strong, &title));
    for gate in &promotion.gates {
        let _ = writeln!(out, "  gate {}: {}", gate.name, gate.asks);
        let answer = match &gate.answers {
            Ok(who) => format!("would be answered: {who}"),
            Err(why) => format!("{}: {why}", paint.tone(Tone::Bad, "cannot pass")),
        };
        let _ = writeln!(out, "    {answer}");
    }
    for wait in &promotion.waits {
        let _ = writeln!(out, "  waits for {wait}");
    }
    match &promotion.passage {
        Passage::Blocked(why) => {
            let _ = writeln!(out, "  {}: {why}", paint.tone(Tone::Bad, "never begins"));
        }
        Passage::Refused(why) => {
            let _ = writeln!(out, "  {}: {why}", paint.tone(Tone::Bad, "refused"));
        }
        Passage::Nothing => {
            let _ = writeln!(out, "  nothing to promote: {} has it already", promotion.to);
        }
        Passage::Commit {
            subject,
            before,
            edit,
            applied,
        } => {
            let _ = writeln!(out, "  commit: {subject}\n");
            out += &files::patch(before.tree(), edit, paint);
            let counts = summary(applied.diff.counts());
            let _ = writeln!(
                out,
                "\n{} {}  {counts}",
                paint.tone(Tone::Strong, promotion.to.as_str()),
                ended(&applied.end, paint)
            );
            out += &details(applied);
            out += &changes(applied, style);
        }
    }
    out
}

fn ended(end: &End, paint: Paint) -> String {
    let tone = match end {
        End::Healthy => Tone::Good,
        End::Unhealthy(_) | End::Refused(_) | End::Unrendered(_) => Tone::Bad,
    };
    paint.tone(tone, word(end))
}

/// How it ended.
pub fn word(end: &End) -> &'static str {
    match end {
        End::Healthy => "healthy",
        End::Unhealthy(_) => "unhealthy",
        End::Refused(_) => "refused",
        End::Unrendered(_) => "does not render",
    }
}

/// Why it ended so.
pub fn reasons(end: &End) -> Vec<String> {
    match end {
        End::Healthy => Vec::new(),
        End::Unhealthy(why) => vec![why.clone()],
        End::Refused(problems) | End::Unrendered(problems) => {
            problems.0.iter().map(ToString::to_string).collect()
        }
    }
}

/// Why it ended so, and what else was noticed.
fn details(applied: &Applied) -> String {
    let mut lines = reasons(&applied.end);
    lines.extend(applied.notes.iter().map(|note| format!("note: {note}")));
    lines
        .iter()
        .map(|line| format!("  {}\n", line.replace('\n', "\n  ")))
        .collect()
}

fn prunes(applied: &Applied) -> String {
    let pruned = applied
        .diff
        .changed()
        .filter(|object| matches!(object.change, Change::Prune(_)));
    pruned
        .map(|object| format!("  - {} {}\n", object.change.verb(), object.id))
        .collect()
}

fn changes(applied: &Applied, style: Style) -> String {
    let diff = unified(&applied.diff, style);
    if diff.is_empty() {
        diff
    } else {
        format!("\n{diff}\n")
    }
}
