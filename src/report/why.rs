//! Why: the one chain from an environment back to what it waits for.

use jiff::Timestamp;

use super::paint::{Paint, Tone};
use super::status::{age, word};
use crate::record::{Phase, Status};

/// A commit, as far as people ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitLine {
    /// The first eight digits of its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
    /// Who wrote it, without the address.
    pub author: String,
    /// When.
    pub time: Timestamp,
}

/// One environment of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What its record says.
    pub status: Option<Status>,
    /// Why its record cannot be read.
    pub error: Option<String>,
    /// Why it is left alone, as git says.
    pub suspended: Option<String>,
    /// The last commit that changed its directory.
    pub commit: Option<CommitLine>,
}

/// The chain as text: the environment that was asked about first, then what it waits for.
///
/// `links` stand in the order of the flow, the environment that was asked about last.
#[must_use]
pub fn chain(links: &[Link], now: Timestamp, paint: Paint) -> String {
    let mut lines = Vec::new();
    let mut below: Option<&Link> = None;
    for link in links.iter().rev() {
        if let Some(target) = below {
            let missing = missing(link, target);
            if missing.is_empty() && !is_stuck(link) {
                break;
            }
            if !missing.is_empty() {
                let text = format!(
                    "{} asks for {}, which {} does not have",
                    link.name,
                    missing.join(", "),
                    target.name
                );
                lines.push(format!("  {text}"));
            }
        }
        lines.extend(link_lines(link, below.is_some(), now, paint));
        below = Some(link);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// How a commit is named to people.
#[must_use]
pub fn commit_text(commit: &CommitLine, now: Timestamp) -> String {
    format!(
        "{} {} ({}, {} ago)",
        commit.id,
        commit.subject,
        commit.author,
        age(commit.time, now)
    )
}

fn link_lines(link: &Link, cause: bool, now: Timestamp, paint: Paint) -> Vec<String> {
    let because = if cause { "because " } else { "" };
    let name = paint.tone(Tone::Strong, &link.name);
    let mut lines = Vec::new();
    match (&link.status, &link.error) {
        (_, Some(error)) => lines.push(format!("{because}{name} cannot be asked: {error}")),
        (None, None) => lines.push(format!(
            "{because}{name} has never been synced; start the daemon with: gitsync run"
        )),
        (Some(status), None) => {
            let tone = match status.phase {
                Phase::Synced | Phase::Promoting => Tone::Good,
                Phase::Failed => Tone::Bad,
                Phase::Progressing | Phase::Verifying | Phase::Held => Tone::Warn,
            };
            let state = paint.tone(tone, word(status.phase));
            let since = age(status.since, now);
            lines.push(format!(
                "{because}{name}: {state} for {since}, with {}",
                status.images.join(", ")
            ));
            if status.phase != Phase::Synced {
                lines.push(format!("  {}", status.message));
            }
            lines.extend(status.problems.iter().map(|problem| format!("  {problem}")));
        }
    }
    lines.extend(link.suspended.iter().map(|why| format!("  {why}")));
    let commit = link.commit.as_ref();
    lines.extend(commit.map(|commit| format!("  last changed by {}", commit_text(commit, now))));
    lines
}

fn is_stuck(link: &Link) -> bool {
    let status = link.status.as_ref();
    link.error.is_some() || status.is_none_or(|status| matches!(status.phase, Phase::Failed | Phase::Held))
}

/// The images that an environment asks for and the next one has not got.
fn missing(link: &Link, target: &Link) -> Vec<String> {
    let images = |link: &Link| {
        link.status
            .as_ref()
            .map(|status| status.images.clone())
            .unwrap_or_default()
    };
    let known = images(target);
    let names_it = |image: &String| {
        let repository = |text: &str| {
            text.parse::<crate::model::ImageRef>()
                .map(|image| image.repository)
                .ok()
        };
        known.iter().any(|known| repository(known) == repository(image))
    };
    let new = images(link).into_iter().filter(|image| !known.contains(image));
    new.filter(|image| known.is_empty() || names_it(image)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_link(name: &str, phase: Phase, message: &str, image: &str) -> Link {
        Link {
            name: name.into(),
            status: Some(Status {
                phase,
                message: message.into(),
                revision: None,
                images: vec![format!("team/web:{image}")],
                problems: Vec::new(),
                since: Timestamp::UNIX_EPOCH,
            }),
            error: None,
            suspended: None,
            commit: Some(CommitLine {
                id: "0a1b2c3d".into(),
                subject: format!("Set {image}"),
                author: "Ann".into(),
                time: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    #[test]
    fn the_chain_ends_at_what_is_waited_for() {
        let now = Timestamp::from_second(90).unwrap();
        let links = [
            mk_link("staging", Phase::Failed, "load check acceptance: too slow", "v2"),
            mk_link("prod", Phase::Synced, "in sync and healthy", "v1"),
        ];
        let expected = "\
prod: synced for 1m, with team/web:v1
  last changed by 0a1b2c3d Set v1 (Ann, 1m ago)
  staging asks for team/web:v2, which prod does not have
because staging: failed for 1m, with team/web:v2
  load check acceptance: too slow
  last changed by 0a1b2c3d Set v2 (Ann, 1m ago)
";
        assert_eq!(chain(&links, now, Paint::default()), expected);
        let same = [mk_link("staging", Phase::Synced, "", "v1"), links[1].clone()];
        assert!(
            !chain(&same, now, Paint::default()).contains("staging"),
            "nothing is waited for"
        );
    }
}
