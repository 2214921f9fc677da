//! One environment: how it is, its load check, its objects, what syncing would change, its events.

use super::html::{ago, image, short, text, until};
use super::{Frame, actions, badge, check, commit, waiting};
use crate::report::board::{EnvironmentView, EventView, Health, PromotionView, ResourceView, WaitView};

pub(super) fn body(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    [
        top(frame, environment),
        suspended(frame, environment),
        problems(environment),
        waits(frame, environment),
        next(frame, environment),
        check::section(frame, environment),
        facts(frame, environment),
        pending(environment),
        resources(environment),
        actions::log(frame, environment),
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
         <p class=\"message\">{message}</p>{hint}<p class=\"dim small\">{waiting}</p>{careful}",
        state = environment.state.word(),
        badge = badge(environment.state),
        actions = actions::buttons(frame, environment),
        careful = actions::careful(frame, environment),
        message = text(&environment.message),
        waiting = waiting(environment, frame.now),
    )
}

fn suspended(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let Some(suspension) = &environment.suspended else {
        return String::new();
    };
    let by = suspension
        .by
        .as_ref()
        .map(|by| format!(" by {}", text(by)))
        .unwrap_or_default();
    let ends = match &suspension.until {
        Some(time) => format!("It ends {}.", until(time, frame.now)),
        None => "It lasts until somebody resumes it.".to_owned(),
    };
    format!(
        "<section class=\"note warn-note\" aria-label=\"Suspended\"><p><b>Suspended{by}:</b> {}</p><p class=\"small\">{ends}</p></section>",
        text(&suspension.reason)
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

/// What is proved here, and does not go on yet.
fn waits(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let item = |wait: &WaitView| {
        let to = frame
            .board
            .promotions
            .iter()
            .find(|promotion| promotion.name == wait.promotion)
            .map(|promotion| {
                format!(
                    " <a href=\"/environments/{0}#next\">See {0}</a>",
                    text(&promotion.to)
                )
            });
        format!(
            "<li><b>{}</b> {}{}{}</li>",
            text(&wait.promotion),
            text(&wait.message),
            ends(frame, wait),
            to.unwrap_or_default(),
        )
    };
    if environment.waits.is_empty() {
        return String::new();
    }
    let items: String = environment.waits.iter().map(item).collect();
    format!("<section class=\"note warn-note\" aria-label=\"Proved, and waiting\"><ul>{items}</ul></section>")
}

fn ends(frame: Frame<'_>, wait: &WaitView) -> String {
    wait.until
        .as_ref()
        .map(|time| format!(" ({})", until(time, frame.now)))
        .unwrap_or_default()
}

/// What the environment would receive next: the images, what it waits for, and the commit as it would be.
fn next(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let mut incoming = frame.board.promotions.iter();
    let Some(promotion) = incoming.find(|promotion| promotion.to == environment.name) else {
        return String::new();
    };
    let wait = wait_of(frame, promotion);
    let coming: String = frame
        .board
        .coming(promotion)
        .iter()
        .map(|coming| {
            let now = coming.now.map_or_else(|| "nothing".to_owned(), image);
            format!(
                "<li>{now} <span aria-hidden=\"true\">→</span><span class=\"unseen\"> becomes </span> {}</li>",
                image(coming.next)
            )
        })
        .collect();
    if coming.is_empty() && wait.is_none() {
        return String::new();
    }
    let waits = wait
        .map(|wait| {
            format!(
                "<p>{}{}</p>{}",
                text(&wait.message),
                ends(frame, wait),
                actions::approve(frame, &environment.name, wait)
            )
        })
        .unwrap_or_else(|| {
            let (from, gates) = (text(&promotion.from), text(&promotion.gates.join(", ")));
            format!("<p class=\"dim small\">Once <a href=\"/environments/{from}#check\">{from}</a> has passed {gates}.</p>")
        });
    let commit = wait
        .filter(|wait| !wait.next.is_empty())
        .map(|wait| {
            format!(
                "<details id=\"next-diff\" open><summary>The commit, and what it changes</summary>{}</details>",
                diff("The coming promotion", &wait.next)
            )
        })
        .unwrap_or_default();
    format!(
        "<section id=\"next\" class=\"card\" aria-labelledby=\"next-h\"><h2 id=\"next-h\">Comes next</h2><ul class=\"images\">{coming}</ul>{waits}{commit}</section>"
    )
}

fn wait_of<'a>(frame: Frame<'a>, promotion: &PromotionView) -> Option<&'a WaitView> {
    let from = frame.board.environment(&promotion.from)?;
    from.waits.iter().find(|wait| wait.promotion == promotion.name)
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
    format!(
        "<section class=\"card\" aria-label=\"What runs\"><dl class=\"facts\"><dt>Images</dt><dd><ul class=\"images\">{images}</ul></dd>{changed}\
         <dt>Overlay of</dt><dd><code>{}</code></dd><dt>Shared files of</dt><dd><code>{}</code></dd><dt>Last applied</dt><dd><code>{}</code></dd>\
         <dt>Cluster</dt><dd>{}</dd></dl></section>",
        revision(&environment.revision),
        revision(&environment.shared),
        revision(&environment.synced),
        text(&environment.cluster),
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
        "<tr class=\"{depth}\"><th scope=\"row\"><span class=\"kind\">{}</span> {}</th><td class=\"nowrap {tone}\"><span aria-hidden=\"true\">{sign}</span> {}</td><td>{reason}</td></tr>",
        text(kind),
        text(name),
        health.word(),
    )
}

fn pending(environment: &EnvironmentView) -> String {
    if environment.pending.is_empty() {
        return String::new();
    }
    format!(
        "<section class=\"card\" aria-labelledby=\"diff-h\"><h2 id=\"diff-h\">What syncing changes</h2>{}</section>",
        diff("What syncing changes", &environment.pending)
    )
}

/// A difference; what is added and removed is told by its sign as well as by its colour.
fn diff(label: &str, diff: &str) -> String {
    let lines: String = diff
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
        "<pre class=\"diff\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">{lines}</pre>",
        text(label)
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
                "<tr><td class=\"dim nowrap\">{}</td><th scope=\"row\">{}</th><td class=\"{tone}\">{}</td><td>{}</td></tr>",
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
