//! A load check, while it runs and afterwards, and what the gates found.

use super::html::{ago, short, text};
use super::{Frame, plot};
use crate::report::board::{CheckView, EnvironmentView, VerificationView};

/// The verification of an environment; nothing when it has none.
pub(super) fn section(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let verifications: String = environment
        .verifications
        .iter()
        .map(|last| verification(frame, last))
        .collect();
    let live = environment
        .check
        .as_ref()
        .map(|check| live(check, "h3", check.running || verifications.is_empty()))
        .unwrap_or_default();
    if verifications.is_empty() && live.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"check\" class=\"card\" aria-labelledby=\"check-h\"><h2 id=\"check-h\">Verification</h2>{live}{verifications}</section>"
    )
}

/// The checks that the overview shows whole: those that run, and those that stopped something.
pub(super) fn panels(frame: Frame<'_>) -> String {
    let panel = |environment: &EnvironmentView| {
        let check = environment.check.as_ref()?;
        let stopped = check.verdict.as_deref() == Some("failed");
        (check.running || stopped).then(|| {
            format!(
                "<section class=\"card\" aria-label=\"Load check in {name}\"><p class=\"dim small\">Load check in <a href=\"/environments/{name}#check\">{name}</a></p>{}</section>",
                live(check, "h2", true),
                name = text(&environment.name),
            )
        })
    };
    let environments = frame.board.environments.iter();
    environments
        .filter_map(|environment| panel(environment))
        .collect()
}

/// How far a check is, in a few words and a bar.
pub(super) fn brief(check: &CheckView) -> String {
    let elapsed = check.elapsed_seconds.min(check.duration_seconds);
    format!(
        "<progress max=\"{all:.0}\" value=\"{elapsed:.1}\" aria-label=\"Load check {name}\"></progress><span class=\"small dim\">{elapsed:.0} of {all:.0} s</span>",
        all = check.duration_seconds.max(1.0),
        name = text(&check.name),
    )
}

/// One check; its reason is left out where a verification below says the same.
fn live(check: &CheckView, heading: &str, with_reason: bool) -> String {
    let verdict = match (&check.verdict, check.running) {
        (_, true) => badge("info", "◔", "running"),
        (Some(verdict), false) => verdict_badge(verdict),
        (None, false) => String::new(),
    };
    let plot = if check.latency.is_empty() {
        "<p class=\"dim\">waiting for the first answers</p>".to_owned()
    } else {
        plot::svg(check)
    };
    let thresholds: Vec<String> = check
        .thresholds
        .iter()
        .map(|threshold| format!("<code class=\"chip\">{}</code>", text(threshold)))
        .collect();
    let reason = if check.reason.is_empty() || !with_reason {
        String::new()
    } else {
        format!("<p>{}</p>", text(&check.reason))
    };
    let repeated = match check.repetition {
        0 => String::new(),
        count => format!(" · repeated {count}×, because the verdict was not clear"),
    };
    format!(
        "<div class=\"top title\"><{heading}>{}</{heading}>{verdict}<span class=\"grow\"></span><span class=\"small dim numbers\">{:.0} of {:.0} s · {} requests, {} failed · {} of {} VUs{repeated}</span></div>{reason}{plot}<p class=\"small chips\">{}</p>",
        text(&check.name),
        check.elapsed_seconds.min(check.duration_seconds),
        check.duration_seconds,
        check.requests,
        check.failed,
        check.vus,
        check.max_vus,
        thresholds.join(" "),
    )
}

fn verification(frame: Frame<'_>, last: &VerificationView) -> String {
    let figures: String = last
        .figures
        .iter()
        .map(|figure| format!("<li><code>{}</code></li>", text(figure)))
        .collect();
    format!(
        "<div class=\"top title\"><h3>{}</h3>{}<span class=\"grow\"></span><span class=\"small dim\"><code>{}</code>, {}</span></div><p>{}</p><ul class=\"figures small\">{figures}</ul>",
        text(&last.promotion),
        verdict_badge(&last.verdict),
        text(short(&last.revision)),
        ago(&last.finished, frame.now),
        text(&last.reason),
    )
}

fn verdict_badge(verdict: &str) -> String {
    match verdict {
        "passed" => badge("good", "✓", verdict),
        "failed" => badge("bad", "✕", verdict),
        _ => badge("warn", "○", verdict),
    }
}

fn badge(tone: &str, sign: &str, word: &str) -> String {
    format!(
        "<span class=\"badge {tone}\"><span class=\"sign\" aria-hidden=\"true\">{sign}</span>{}</span>",
        text(word)
    )
}
