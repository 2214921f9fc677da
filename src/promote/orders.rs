//! Orders: what a person's hand on the wheel commits. Whether it came from a terminal or from the dashboard, the edit,
//! the words and the trailers are the same.

use jiff::Timestamp;

use super::proof::Proof;
use super::rollback::Rollback;
use crate::config::duration::Duration;
use crate::config::orders::{
    self, APPROVALS_FILE, Approval, SUSPENSION_FILE, SuspensionSpec, entries, with_entries,
};
use crate::config::repository::environments::apps;
use crate::config::repository::{self, Config, Environment, Promotion};
use crate::model::{CommitMessage, Edit, EnvName, Revision, trailer};
use crate::problem::{Problem, Problems};
use crate::record::Record;
use crate::source::Snapshot;

/// The longest reason, in characters.
pub const LONGEST_REASON: usize = 500;

/// An edit, and what is said of it.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The environment that it is about.
    pub environment: String,
    /// That environment's directory; nothing outside it may change.
    pub dir: String,
    /// What changes.
    pub edit: Edit,
    /// What the commit says.
    pub message: CommitMessage,
    /// The answer when something changed.
    pub done: String,
    /// The answer when nothing had to change.
    pub idle: String,
}

/// The directory of an environment. It is found although the configuration of another one is broken: the hand on the
/// wheel must work just then.
///
/// # Errors
///
/// When there is no such environment.
pub fn environment_dir(tip: &Snapshot, name: &str) -> Result<String, Problem> {
    let (tree, above) = (tip.tree(), repository::ENVIRONMENTS);
    let (stage, app) = name
        .split_once('.')
        .map_or((name, None), |(stage, app)| (stage, Some(app)));
    let dir = format!("{above}/{stage}");
    if tree
        .list(&dir)
        .iter()
        .any(|file| file == repository::ENVIRONMENT_FILE)
    {
        match app {
            None => return Ok(dir),
            Some(app) if apps(tree, &dir).iter().any(|known| known == app) => {
                return Ok(format!("{dir}/{app}"));
            }
            Some(_) => {}
        }
    }
    let known = tree.list(above);
    Err(Problem::new(format!("there is no environment `{name}`"))
        .hint(format!("environments are {}", known.join(", "))))
}

/// A time as people write it: a time (RFC 3339) or a duration from `now`.
///
/// # Errors
///
/// When it is neither.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || "expected a time like 2026-01-31T18:00:00Z or a duration like 2h".to_owned();
    let span: Duration = text.parse().map_err(|_| wrong())?;
    now.checked_add(span.get()).map_err(|_| wrong())
}

/// Leaves an environment alone.
///
/// # Errors
///
/// When there is no such environment.
pub fn suspend(tip: &Snapshot, name: &EnvName, spec: &SuspensionSpec) -> Result<Wish, Problems> {
    let dir = environment_dir(tip, name.as_str())?;
    let path = format!("{dir}/{SUSPENSION_FILE}");
    let comment =
        "gitsync leaves this environment alone as long as this file is here; gitsync resume removes it.";
    let text = orders::to_text("Suspension", name, comment, spec)
        .map_err(|error| Problem::new(error.to_string()).at_line(&path, 0))?;
    let mut edit = Edit::default();
    edit.files.insert(path, text.into_bytes());
    let until = spec.until.map(|until| format!(" until {until}"));
    let subject = format!("Suspend {name}{}", until.unwrap_or_default());
    let done = format!("{name} is {spec}");
    Ok(Wish {
        idle: format!("{done}, already; nothing changed"),
        ..wish(
            name,
            dir,
            edit,
            message(subject, &spec.reason, trailer::SUSPEND, name),
            done,
        )
    })
}

/// Takes care of an environment again.
///
/// # Errors
///
/// When there is no such environment.
pub fn resume(tip: &Snapshot, name: &EnvName) -> Result<Wish, Problems> {
    let dir = environment_dir(tip, name.as_str())?;
    let mut edit = Edit::default();
    edit.removed.insert(format!("{dir}/{SUSPENSION_FILE}"));
    let message = message(format!("Resume {name}"), "", trailer::RESUME, name);
    let done = format!("{name} is taken care of again");
    Ok(Wish {
        idle: format!("{name} is not suspended; nothing changed"),
        ..wish(name, dir, edit, message, done)
    })
}

/// Allows the promotion of what was proved.
///
/// # Errors
///
/// When there is no such environment, or the present list cannot be read.
pub fn approve(tip: &Snapshot, name: &EnvName, subjects: &[Approval]) -> Result<Wish, Problems> {
    let dir = environment_dir(tip, name.as_str())?;
    let path = format!("{dir}/{APPROVALS_FILE}");
    let wrong = |error: String| Problem::new(error).at_line(&path, 0);
    let present = tip.tree().text(&path).map_err(wrong)?;
    let mut wanted: Vec<Approval> = entries(present.as_deref()).map_err(wrong)?;
    for subject in subjects {
        let is_it = |old: &Approval| old.image == subject.image && old.evidence == subject.evidence;
        if !wanted.iter().any(is_it) {
            wanted.push(subject.clone());
        }
    }
    let comment = "What people allowed to be promoted here; it has to be proved all the same.";
    let text = with_entries("Approvals", name, comment, present.as_deref(), &wanted).map_err(wrong)?;
    let mut edit = Edit::default();
    if present.as_ref() != Some(&text) {
        edit.files.insert(path, text.into_bytes());
    }
    let named = |approval: &Approval| approval.image.clone().or(approval.evidence.clone());
    let names: Vec<String> = subjects.iter().filter_map(named).collect();
    let said = names.join(", ");
    let trailers = names
        .into_iter()
        .map(|subject| (trailer::APPROVE.to_owned(), subject));
    let message = CommitMessage {
        subject: format!("Approve {said} for {name}"),
        body: String::new(),
        trailers: trailers.collect(),
    };
    let done = format!("{said} is approved for {name}");
    Ok(Wish {
        idle: format!("{done} already; nothing changed"),
        ..wish(name, dir, edit, message, done)
    })
}

/// The words of a rollback to `revision`.
#[must_use]
pub fn rollback(name: &EnvName, dir: String, revision: &Revision, reason: &str, done: Rollback) -> Wish {
    let what = if done.restored.is_empty() {
        revision.short().to_owned()
    } else {
        done.restored.join(", ")
    };
    let mut trailers = vec![
        (trailer::ROLLBACK.to_owned(), name.to_string()),
        (trailer::RESTORED.to_owned(), revision.to_string()),
    ];
    let list = |key: &'static str, values: &[String]| {
        let pairs = values.iter().map(|value| (key.to_owned(), value.clone()));
        pairs.collect::<Vec<_>>()
    };
    trailers.extend(list(trailer::IMAGE, &done.restored));
    trailers.extend(list(trailer::QUARANTINE, &done.rejected));
    let left = if done.rejected.is_empty() {
        String::new()
    } else {
        format!("; {} is in quarantine now", done.rejected.join(", "))
    };
    let message = CommitMessage {
        subject: format!("Roll {name} back to {what}"),
        body: reason.to_owned(),
        trailers,
    };
    Wish {
        idle: format!("{name} is as it was at {}; nothing changed", revision.short()),
        ..wish(
            name,
            dir,
            done.edit,
            message,
            format!("{name} goes back to {what}{left}"),
        )
    }
}

/// The promotion that leads to an environment, and where it begins.
///
/// # Errors
///
/// When there is none, or git does not hold one of its ends.
pub fn promoter<'a>(config: &'a Config, to: &EnvName) -> Result<(&'a Promotion, &'a Environment), Problem> {
    let to = config.environment(to.as_str())?;
    let promotion = config
        .promotion_to(&to.name)
        .ok_or_else(|| Problem::new(format!("no promotion leads to {}", to.name)))?;
    Ok((promotion, config.environment(promotion.from.as_str())?))
}

/// The name of what an environment has proved of what it runs now, by its own record.
#[must_use]
pub fn evidence(record: &Record, promotion: &str, gates: &str) -> Option<String> {
    let key = record.synced.as_ref()?.evidence_key(gates);
    let last = record.verifications.get(promotion)?;
    Some(Proof::of(last, &key)?.evidence())
}

fn message(subject: String, body: &str, trailer: &str, name: &EnvName) -> CommitMessage {
    CommitMessage {
        subject,
        body: body.to_owned(),
        trailers: vec![(trailer.to_owned(), name.to_string())],
    }
}

fn wish(name: &EnvName, dir: String, edit: Edit, message: CommitMessage, done: String) -> Wish {
    Wish {
        environment: name.to_string(),
        dir,
        edit,
        message,
        idle: String::new(),
        done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_duration() {
        let now = Timestamp::UNIX_EPOCH;
        for (text, wanted) in [
            ("1970-01-01T01:00:00Z", Some(3600)),
            ("2h", Some(7200)),
            ("soon", None),
            ("", None),
        ] {
            let found = until(text, now).ok().map(Timestamp::as_second);
            assert_eq!(found, wanted, "{text}");
        }
    }
}
