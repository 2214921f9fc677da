//! Rollback: an environment as it was at an earlier commit, and what is left behind in quarantine.
//!
//! It is an edit of the tip and not a revert: the images and the proof go back, what people changed in the overlay
//! since stays. It needs nothing but the environment's own directory, so it works while everything else is broken.

use jiff::Timestamp;
use kustomize::edit::{self, ImageEntry, NewImage};

use super::overlay::{edit_problem, kustomization};
use crate::config::orders::{self, QUARANTINE_FILE, Quarantined};
use crate::config::verified;
use crate::model::{Edit, EnvName, ImageRef};
use crate::problem::{Problem, Problems};
use crate::source::Snapshot;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The environment.
    pub environment: &'a EnvName,
    /// Its directory.
    pub dir: &'a str,
    /// The tip of the branch.
    pub tip: &'a Snapshot,
    /// The commit whose images and proof come back.
    pub to: &'a Snapshot,
    /// The evidence of the promotion that is taken back, if a promotion is.
    pub evidence: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
    /// Who asks.
    pub by: &'a str,
    /// When.
    pub now: Timestamp,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// What changes.
    pub edit: Edit,
    /// The images that come back.
    pub restored: Vec<String>,
    /// What goes into quarantine.
    pub rejected: Vec<String>,
}

/// Makes the edit.
///
/// # Errors
///
/// When an overlay cannot be read, or not be edited without touching something else.
pub fn roll_back(request: Request<'_>) -> Result<Rollback, Problems> {
    let Request { dir, tip, to, .. } = request;
    let (path, before) = kustomization(tip, dir)?;
    let (old_path, old) = kustomization(to, dir)?;
    let entries = |path: &str, text: &str| edit::images(text).map_err(|error| edit_problem(path, &error));
    let (present, wanted) = (entries(&path, &before)?, entries(&old_path, &old)?);
    let text = restore(&path, &before, &wanted)?;
    let same = |one: &ImageEntry, list: &[ImageEntry]| list.iter().any(|other| image(other) == image(one));
    let restored: Vec<String> = wanted
        .iter()
        .filter(|entry| !same(entry, &present))
        .map(image)
        .collect();
    let left: Vec<String> = present
        .iter()
        .filter(|entry| !same(entry, &wanted))
        .map(image)
        .collect();
    let mut edit = Edit::default();
    if text != before {
        edit.files.insert(path, text.into_bytes());
    }
    let moved = restore_proof(dir, tip, to, &mut edit)?;
    let rejected = if left.is_empty() && moved {
        request.evidence.map(str::to_owned).into_iter().collect()
    } else {
        left
    };
    if !edit.is_empty() {
        quarantine(request, &restored, &rejected, &mut edit)?;
    }
    Ok(Rollback {
        edit,
        restored,
        rejected,
    })
}

/// Sets every image as it was; the result must say so, also where a key would have had to go.
fn restore(path: &str, text: &str, wanted: &[ImageEntry]) -> Result<String, Problem> {
    let mut text = text.to_owned();
    for entry in wanted {
        let to = NewImage {
            new_name: entry.new_name.clone(),
            new_tag: entry.new_tag.clone(),
            digest: entry.digest.clone(),
        };
        text = edit::set_image(&text, &entry.name, &to).map_err(|error| edit_problem(path, &error))?;
    }
    let after = edit::images(&text).map_err(|error| edit_problem(path, &error))?;
    for entry in wanted {
        let found = after.iter().find(|found| found.name == entry.name);
        if let Some(found) = found.filter(|found| image(found) != image(entry)) {
            let message = format!("{} cannot be made {} again", image(found), image(entry));
            let line = u32::try_from(found.line).unwrap_or(0);
            return Err(Problem::new(message)
                .at_line(path, line)
                .hint("edit the file by hand"));
        }
    }
    Ok(text)
}

/// Brings the proof back, or takes it away where there was none; whether that changes anything.
fn restore_proof(dir: &str, tip: &Snapshot, to: &Snapshot, edit: &mut Edit) -> Result<bool, Problem> {
    let path = format!("{dir}/{}", verified::FILE_NAME);
    let (before, after) = (text(tip, &path)?, text(to, &path)?);
    if before == after {
        return Ok(false);
    }
    match after {
        Some(after) => {
            edit.files.insert(path, after.into_bytes());
        }
        None => {
            edit.removed.insert(path);
        }
    }
    Ok(true)
}

/// Puts what is rejected into the list, and takes out what a person brings back on purpose.
fn quarantine(
    request: Request<'_>,
    restored: &[String],
    rejected: &[String],
    edit: &mut Edit,
) -> Result<(), Problem> {
    let path = format!("{}/{QUARANTINE_FILE}", request.dir);
    let present = text(request.tip, &path)?;
    let wrong = |error: String| Problem::new(error).at_line(&path, 0);
    let mut entries: Vec<Quarantined> = orders::entries(present.as_deref()).map_err(wrong)?;
    entries.retain(|entry| !restored.iter().any(|image| entry.image.as_ref() == Some(image)));
    for subject in rejected {
        let is_image = subject.contains([':', '@']);
        let entry = Quarantined {
            image: is_image.then(|| subject.clone()),
            evidence: (!is_image).then(|| subject.clone()),
            reason: Some(request.reason.to_owned()),
            by: Some(request.by.to_owned()),
            time: Some(request.now),
        };
        if !entries.iter().any(|known| known.subject() == subject) {
            entries.push(entry);
        }
    }
    if present.is_none() && entries.is_empty() {
        return Ok(());
    }
    let comment = "What must not be promoted here again; remove an entry to allow it.";
    let text = orders::with_entries(
        "Quarantine",
        request.environment,
        comment,
        present.as_deref(),
        &entries,
    );
    let text = text.map_err(wrong)?;
    if present.as_ref() != Some(&text) {
        edit.files.insert(path, text.into_bytes());
    }
    Ok(())
}

/// The images of an environment that are in its quarantine.
///
/// # Errors
///
/// When the overlay or the list cannot be read.
pub fn has_rejected(snapshot: &Snapshot, tip: &Snapshot, dir: &str) -> Result<bool, Problems> {
    let path = format!("{dir}/{QUARANTINE_FILE}");
    let wrong = |error: String| Problem::new(error).at_line(&path, 0);
    let entries: Vec<Quarantined> = orders::entries(text(tip, &path)?.as_deref()).map_err(wrong)?;
    let (path, overlay) = kustomization(snapshot, dir)?;
    let images = edit::images(&overlay).map_err(|error| edit_problem(&path, &error))?;
    let rejected = |entry: &ImageEntry| entries.iter().any(|known| known.subject() == image(entry));
    Ok(images.iter().any(rejected))
}

fn image(entry: &ImageEntry) -> String {
    let image = ImageRef {
        repository: entry.new_name.clone().unwrap_or_else(|| entry.name.clone()),
        tag: entry.new_tag.clone(),
        digest: entry.digest.clone(),
    };
    image.to_string()
}

fn text(snapshot: &Snapshot, path: &str) -> Result<Option<String>, Problem> {
    snapshot
        .tree()
        .text(path)
        .map_err(|error| Problem::new(error).at_line(path, 0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::testing::MemoryTree;

    const OVERLAY: &str = "environments/prod/kustomization.yaml";
    const VERIFIED: &str = "environments/prod/verified.yaml";
    const LIST: &str = "environments/prod/quarantine.yaml";

    fn mk_snapshot(files: &[(&str, &str)]) -> Snapshot {
        let mut tree = MemoryTree::default();
        for (path, text) in files {
            tree.insert(path, text);
        }
        Snapshot::new("a".repeat(40).parse().unwrap(), Arc::new(tree))
    }

    fn mk_overlay(tag: &str) -> String {
        format!("# Ours.\nimages:\n- name: team/web # the shop\n  newTag: {tag}\n")
    }

    fn back(tip: &Snapshot, to: &Snapshot) -> Rollback {
        let environment = "prod".parse().unwrap();
        let request = Request {
            environment: &environment,
            dir: "environments/prod",
            tip,
            to,
            evidence: Some("obj-gates"),
            reason: "slow",
            by: "ann",
            now: Timestamp::UNIX_EPOCH,
        };
        roll_back(request).unwrap()
    }

    #[test]
    fn the_image_and_the_proof_go_back_and_what_was_there_is_rejected() {
        let note = "replicas: [{name: web, count: 5}]\n";
        let tip = mk_snapshot(&[(OVERLAY, &(mk_overlay("v2") + note)), (VERIFIED, "two\n")]);
        let to = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "one\n")]);
        let done = back(&tip, &to);
        let file = |path: &str| String::from_utf8(done.edit.files[path].clone()).unwrap();
        assert_eq!(
            file(OVERLAY),
            mk_overlay("v1") + note,
            "what people changed since stays"
        );
        assert_eq!(file(VERIFIED), "one\n");
        assert_eq!(
            (done.restored, done.rejected),
            (vec!["team/web:v1".into()], vec!["team/web:v2".to_owned()])
        );
        let list = String::from_utf8(done.edit.files[LIST].clone()).unwrap();
        for part in [
            "kind: Quarantine",
            "- image: team/web:v2",
            "reason: slow",
            "by: ann",
            "time: 1970-01-01T00:00:00Z",
        ] {
            assert!(list.contains(part), "{part}\n{list}");
        }
    }

    #[test]
    fn before_the_first_promotion_there_is_no_proof() {
        let tip = mk_snapshot(&[(OVERLAY, &mk_overlay("v2")), (VERIFIED, "two\n")]);
        let to = mk_snapshot(&[(OVERLAY, &mk_overlay("v1"))]);
        assert!(back(&tip, &to).edit.removed.contains(VERIFIED));
    }

    #[test]
    fn a_promotion_of_the_base_alone_is_rejected_by_its_evidence() {
        let tip = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "two\n")]);
        let to = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "one\n")]);
        let done = back(&tip, &to);
        assert_eq!(done.rejected, ["obj-gates"]);
        assert!(String::from_utf8_lossy(&done.edit.files[LIST]).contains("- evidence: obj-gates"));
    }

    #[test]
    fn what_a_person_brings_back_leaves_the_quarantine() {
        let one = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "one\n")]);
        let two = mk_snapshot(&[(OVERLAY, &mk_overlay("v2")), (VERIFIED, "two\n")]);
        let first = back(&two, &one);
        let list = String::from_utf8(first.edit.files[LIST].clone()).unwrap();
        let rolled = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "one\n"), (LIST, &list)]);
        assert!(has_rejected(&two, &rolled, "environments/prod").unwrap());
        assert!(!has_rejected(&one, &rolled, "environments/prod").unwrap());
        let again = back(&rolled, &two);
        let list = String::from_utf8(again.edit.files[LIST].clone()).unwrap();
        assert!(
            list.contains("team/web:v1") && !list.contains("team/web:v2"),
            "{list}"
        );
    }

    #[test]
    fn what_is_as_it_was_needs_no_edit() {
        let tip = mk_snapshot(&[(OVERLAY, &mk_overlay("v1")), (VERIFIED, "one\n")]);
        assert!(back(&tip, &tip).edit.is_empty());
    }
}
