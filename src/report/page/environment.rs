//! One environment: how it is, its load check, its objects, what syncing would change, its events.

use super::html::{ago, image, short, text};
use super::overview::tone;
use super::{Frame, Viewer, badge, commit, form, plot, waiting};
use crate::report::board::{CheckView, EnvironmentView, EventView, Health, ResourceView, VerificationView};

pub(super) fn body(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    [
        top(frame, environment),
        problems(environment),
        facts(frame, environment),
        check(frame, environment),
        resources(environment),
        pending(environment),
        events(frame, &environment.events),
    ]
    .concat()
}

fn top(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let name = text(&environment.name);
    let hint = environment
        .hint
        .as_ref()
        .map(|hint| format!("<p class=\"small\"><b>Next:</b> {}</p>", text(hint)))
        .unwrap_or_default();
    format!(
        "<div class=\"top title\" data-name=\"{name}\" data-state=\"{state}\"><h1>{name}</h1>{badge}<span class=\"grow\"></span>{actions}</div>\
         <p class=\"message\">{message}</p>{hint}<p class=\"dim small\">{waiting}</p>",
        state = environment.state.word(),
        badge = badge(environment.state),
        actions = actions(frame, environment),
        message = text(&environment.message),
        waiting = waiting(environment, frame.now),
    )
}

fn actions(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let Viewer::Operator { form_token } = frame.viewer else {
        return String::new();
    };
    let action = |verb: &str| format!("/environments/{}/{verb}", environment.name);
    let failed = environment
        .verifications
        .iter()
        .any(|last| last.verdict == "failed");
    let verify = if failed {
        form(&action("verify"), form_token, "Verify again", "plain")
    } else {
        String::new()
    };
    format!(
        "<div class=\"actions\">{verify}{}</div>",
        form(&action("sync"), form_token, "Sync now", "primary")
    )
}

fn problems(environment: &EnvironmentView) -> String {
    if environment.problems.is_empty() {
        return String::new();
    }
    let items: String = environment
        .problems
        .iter()
        .map(|problem| format!("<li>{}</li>", text(problem)))
        .collect();
    format!("<section class=\"note bad\" aria-label=\"Problems\"><ul>{items}</ul></section>")
}

fn facts(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let revision = |revision: &Option<String>| text(short(revision.as_deref().unwrap_or("none yet")));
    let images: String = environment
        .images
        .iter()
        .map(|reference| format!("<li>{}</li>", image(reference)))
        .collect();
    let changed = environment
        .changed_by
        .as_ref()
        .map(|change| {
            format!(
                "<dt>Overlay changed by</dt><dd>{}</dd>",
                commit(change, frame.now)
            )
        })
        .unwrap_or_default();
    let coming = frame
        .board
        .promotions
        .iter()
        .filter(|promotion| promotion.to == environment.name)
        .flat_map(|promotion| frame.board.coming(promotion))
        .map(|coming| {
            let now = coming.now.map_or_else(|| "nothing".to_owned(), image);
            format!(
                "<li>{now} <span aria-hidden=\"true\">→</span> {}</li>",
                image(coming.next)
            )
        })
        .collect::<String>();
    let coming = if coming.is_empty() {
        String::new()
    } else {
        format!("<dt>Comes next</dt><dd><ul class=\"images\">{coming}</ul></dd>")
    };
    format!(
        "<section class=\"card\" aria-label=\"What runs\"><dl class=\"facts\"><dt>Images</dt><dd><ul class=\"images\">{images}</ul></dd>{coming}{changed}\
         <dt>Overlay of</dt><dd><code>{}</code></dd><dt>Shared files of</dt><dd><code>{}</code></dd><dt>Last applied</dt><dd><code>{}</code></dd>\
         <dt>Cluster</dt><dd>{}</dd></dl></section>",
        revision(&environment.revision),
        revision(&environment.shared),
        revision(&environment.synced),
        text(&environment.cluster),
    )
}

fn check(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let verifications: String = environment
        .verifications
        .iter()
        .map(|last| verification(frame, last))
        .collect();
    let live = environment.check.as_ref().map(live_check).unwrap_or_default();
    if verifications.is_empty() && live.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"check\" class=\"card\" aria-labelledby=\"check-h\"><h2 id=\"check-h\">Verification</h2>{live}{verifications}</section>"
    )
}

fn live_check(check: &CheckView) -> String {
    let verdict = match (&check.verdict, check.running) {
        (_, true) => {
            "<span class=\"badge info\"><span aria-hidden=\"true\">◔</span> running</span>".to_owned()
        }
        (Some(verdict), false) => format!("<span class=\"badge {}\">{}</span>", tone(verdict), text(verdict)),
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
        .map(|threshold| format!("<code>{}</code>", text(threshold)))
        .collect();
    format!(
        "<div class=\"top\"><h3>{}</h3>{verdict}</div><p class=\"small\">{:.0} of {:.0} s · {} requests, {} failed · {} of {} VUs · {}</p>{plot}<p class=\"small\">{}</p>",
        text(&check.name),
        check.elapsed_seconds.min(check.duration_seconds),
        check.duration_seconds,
        check.requests,
        check.failed,
        check.vus,
        check.max_vus,
        thresholds.join(" "),
        text(&check.reason),
    )
}

fn verification(frame: Frame<'_>, last: &VerificationView) -> String {
    let figures: String = last
        .figures
        .iter()
        .map(|figure| format!("<li><code>{}</code></li>", text(figure)))
        .collect();
    format!(
        "<div class=\"top\"><h3>{}</h3><span class=\"badge {}\">{}</span></div><p class=\"small\">{} <span class=\"dim\">for <code>{}</code>, {}</span></p><ul class=\"figures small\">{figures}</ul>",
        text(&last.promotion),
        tone(&last.verdict),
        text(&last.verdict),
        text(&last.reason),
        text(short(&last.revision)),
        ago(&last.finished, frame.now),
    )
}

fn resources(environment: &EnvironmentView) -> String {
    if environment.resources.is_empty() {
        return String::new();
    }
    let rows: String = environment.resources.iter().map(resource).collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"objects-h\"><h2 id=\"objects-h\">Objects</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"objects-h\"><table><thead><tr><th scope=\"col\">Object</th><th scope=\"col\">Health</th><th scope=\"col\">Reason</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
}

fn resource(resource: &ResourceView) -> String {
    let drift: String = resource
        .drift
        .iter()
        .map(|drift| {
            let by = if drift.by.is_empty() {
                String::new()
            } else {
                format!(" by {}", text(&drift.by))
            };
            format!(
                "<br><span class=\"warn\">differs: <code>{}</code>{by}</span>",
                text(&drift.field)
            )
        })
        .collect();
    let children: String = resource
        .children
        .iter()
        .map(|child| {
            row(
                &format!("d{}", child.depth),
                &child.kind,
                &child.name,
                child.health,
                &text(&child.reason),
            )
        })
        .collect();
    let name = if resource.namespace.is_empty() {
        resource.name.clone()
    } else {
        format!("{}/{}", resource.namespace, resource.name)
    };
    let reason = format!("{}{drift}", text(&resource.reason));
    row("d0", &resource.kind, &name, resource.health, &reason) + &children
}

fn row(depth: &str, kind: &str, name: &str, health: Health, reason: &str) -> String {
    let (tone, sign) = match health {
        Health::Healthy => ("good", "✓"),
        Health::Progressing => ("info", "◐"),
        Health::Failed => ("bad", "✕"),
        Health::Missing => ("warn", "○"),
    };
    format!(
        "<tr class=\"{depth}\"><th scope=\"row\"><span class=\"kind\">{}</span> {}</th><td class=\"{tone}\"><span aria-hidden=\"true\">{sign}</span> {}</td><td>{reason}</td></tr>",
        text(kind),
        text(name),
        health.word(),
    )
}

fn pending(environment: &EnvironmentView) -> String {
    if environment.pending.is_empty() {
        return String::new();
    }
    let lines: String = environment
        .pending
        .lines()
        .map(|line| {
            let tag = match line.trim_start().chars().next() {
                Some('+') => "ins",
                Some('-') => "del",
                _ => "span",
            };
            format!("<{tag}>{}</{tag}>\n", text(line))
        })
        .collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"diff-h\"><h2 id=\"diff-h\">What syncing changes</h2><pre class=\"diff\" tabindex=\"0\">{lines}</pre></section>"
    )
}

fn events(frame: Frame<'_>, events: &[EventView]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let rows: String = events
        .iter()
        .map(|event| {
            let tone = if event.warning { "warn" } else { "" };
            format!(
                "<tr><td class=\"dim\">{}</td><th scope=\"row\">{}</th><td class=\"{tone}\">{}</td><td>{}</td></tr>",
                ago(&event.time, frame.now),
                text(&event.object),
                text(&event.reason),
                text(&event.message)
            )
        })
        .collect();
    format!(
        "<section class=\"card\" aria-labelledby=\"events-h\"><details id=\"events\"><summary><h2 id=\"events-h\">Events</h2></summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"events-h\"><table><thead><tr><th scope=\"col\">When</th><th scope=\"col\">Object</th><th scope=\"col\">Reason</th><th scope=\"col\">Message</th></tr></thead><tbody>{rows}</tbody></table></div></details></section>"
    )
}
