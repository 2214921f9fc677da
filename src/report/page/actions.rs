//! Actions: the forms of an operator, each only where it makes sense. What is hard to take back is a click away.

use super::html::{ago, short, text};
use super::{Frame, Viewer, form};
use crate::report::board::{ActionView, EnvironmentView, WaitView};

/// The ends of a suspension that the page offers; the API takes any.
const ENDS: [(&str, &str); 5] = [
    ("", "when somebody resumes it"),
    ("1h", "in an hour"),
    ("4h", "in four hours"),
    ("24h", "in a day"),
    ("168h", "in a week"),
];

/// The buttons of an environment; nothing for whoever only reads.
pub(super) fn buttons(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let Viewer::Operator { form_token, .. } = frame.viewer else {
        return String::new();
    };
    let path = |verb: &str| format!("/environments/{}/{verb}", environment.name);
    let failed = environment
        .verifications
        .iter()
        .any(|last| last.verdict == "failed");
    let mut buttons = String::new();
    if environment.suspended.is_some() {
        buttons += &form(&path("resume"), form_token, "Resume", "primary");
    }
    if failed {
        buttons += &form(&path("verify"), form_token, "Verify again", "plain");
    }
    buttons += &form(&path("sync"), form_token, "Sync now", "plain");
    format!("<div class=\"actions\">{buttons}</div>")
}

/// What takes a reason: a rollback and a suspension.
pub(super) fn careful(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let Viewer::Operator { form_token, .. } = frame.viewer else {
        return String::new();
    };
    let mut panels = String::new();
    if environment.suspended.is_none() {
        panels += &suspend(form_token, environment);
    }
    let receives = frame
        .board
        .promotions
        .iter()
        .any(|promotion| promotion.to == environment.name);
    if receives {
        panels += &rollback(form_token, environment);
    }
    format!("<div class=\"careful\">{panels}</div>")
}

fn suspend(form_token: &str, environment: &EnvironmentView) -> String {
    let ends: String = ENDS
        .iter()
        .map(|(value, label)| format!("<option value=\"{value}\">{label}</option>"))
        .collect();
    let more = format!(
        "<label for=\"suspend-until\">Ends</label><select id=\"suspend-until\" name=\"until\">{ends}</select>"
    );
    let what = "Nothing is applied, drift stays, and nothing is promoted from here or to here.";
    panel(form_token, environment, "suspend", "Suspend", what, &more)
}

fn rollback(form_token: &str, environment: &EnvironmentView) -> String {
    let what = "The images and the proof from before the last promotion come back by a commit; what runs now goes into quarantine.";
    panel(form_token, environment, "rollback", "Roll back", what, "")
}

fn panel(
    form_token: &str,
    environment: &EnvironmentView,
    verb: &str,
    label: &str,
    what: &str,
    more: &str,
) -> String {
    let name = text(&environment.name);
    format!(
        "<details id=\"{verb}\"><summary>{label}…</summary><form class=\"card fields\" method=\"post\" action=\"/environments/{name}/{verb}\">\
         <input type=\"hidden\" name=\"form\" value=\"{}\"><p class=\"small\">{what}</p>\
         <label for=\"{verb}-reason\">Reason</label><input id=\"{verb}-reason\" name=\"reason\" maxlength=\"500\" required autocomplete=\"off\">\
         {more}<button class=\"primary\">{label} {name}</button></form></details>",
        text(form_token),
    )
}

/// The button that approves what waits for it.
pub(super) fn approve(frame: Frame<'_>, to: &str, wait: &WaitView) -> String {
    match frame.viewer {
        _ if wait.kind != "unapproved" => String::new(),
        Viewer::Operator { form_token, .. } => format!(
            "<form method=\"post\" action=\"/environments/{to}/approve\"><input type=\"hidden\" name=\"form\" value=\"{}\">\
             <input type=\"hidden\" name=\"evidence\" value=\"{}\"><button class=\"primary\">Approve for {to}</button></form>",
            text(form_token),
            text(&wait.evidence),
            to = text(to),
        ),
        Viewer::Guest => "<p class=\"small\"><a href=\"/login\">Sign in</a> to approve.</p>".to_owned(),
        Viewer::Reader => String::new(),
    }
}

/// What people asked of an environment lately.
pub(super) fn log(frame: Frame<'_>, environment: &EnvironmentView) -> String {
    let own = |action: &&ActionView| action.environment == environment.name;
    let rows: String = frame
        .board
        .actions
        .iter()
        .filter(own)
        .map(|action| row(frame, action))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section class=\"card\" aria-labelledby=\"asked-h\"><h2 id=\"asked-h\">Asked for</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"asked-h\">\
         <table><thead><tr><th scope=\"col\">When</th><th scope=\"col\">Action</th><th scope=\"col\">Who</th><th scope=\"col\">What came of it</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
}

fn row(frame: Frame<'_>, action: &ActionView) -> String {
    let (tone, sign) = if action.done {
        ("good", "✓")
    } else {
        ("bad", "✕")
    };
    let commit = action
        .revision
        .as_deref()
        .map(|revision| format!(" <code>{}</code>", text(short(revision))))
        .unwrap_or_default();
    format!(
        "<tr><td class=\"dim nowrap\">{}</td><th scope=\"row\">{}</th><td>{}</td><td><span class=\"{tone}\" aria-hidden=\"true\">{sign}</span> {}{commit}</td></tr>",
        ago(&action.time, frame.now),
        text(&action.action),
        text(&action.by),
        text(&action.message),
    )
}
