//! Proposal: the commit that takes what was proved to the next environment.
//!
//! It is an edit and not a file: "set the tag of this image in that overlay", applied to whatever the branch's tip
//! is. So a concurrent commit of somebody else survives, and trying again on a newer tip is safe.

use std::collections::BTreeSet;

use kustomize::edit::{self, NewImage};

use super::overlay::{edit_problem, kustomization};
use super::proof::Proof;
use crate::config::repository::Environment;
use crate::config::verified::{self, VerifiedImage, VerifiedSpec};
use crate::desired::tree::render;
use crate::desired::{Desired, build};
use crate::model::{CommitMessage, Edit, ImageRef, trailer};
use crate::problem::{Problem, Problems};
use crate::source::{Edited, Layered, Snapshot};

/// What promoting would be.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// A commit.
    Commit {
        /// The files it changes, all below the receiving environment's directory.
        edit: Edit,
        /// What it says.
        message: CommitMessage,
        /// What the receiving environment would be rendered to.
        desired: Desired,
    },
    /// Nothing: the receiving environment would be rendered to what it is.
    Nothing,
    /// It must not happen; the text says why.
    Refused(String),
}

/// The trees that a proposal is made from.
#[derive(Debug, Clone, Copy)]
pub struct Trees<'a> {
    /// The tip of the branch.
    pub head: &'a Snapshot,
    /// The commit whose overlay was proved.
    pub overlay: &'a Snapshot,
    /// The commit whose shared files were proved.
    pub shared: &'a Snapshot,
    /// The commit that the receiving environment reads its shared files from now, if one was proved before.
    pub pinned: Option<&'a Snapshot>,
}

/// Makes the commit that takes `proof` from one environment to the next.
///
/// # Errors
///
/// When an overlay cannot be read or edited, or the result does not render.
pub fn propose(
    from: &Environment,
    to: &Environment,
    proof: Proof<'_>,
    trees: Trees<'_>,
) -> Result<Proposal, Problems> {
    let edit = edit(from, to, proof, trees)?;
    let edited = Edited::new(trees.head.files(), &edit);
    let after = build(
        &Layered::new(&to.dir, &edited, trees.shared.files()),
        &to.dir,
        trees.head.revision(),
    )?;
    // What cannot be rendered now has nothing in common with what would be.
    let before = render(&to.dir, trees.head, trees.pinned).ok();
    if to.verified.is_some() && before.as_ref().is_some_and(|before| before.hash == after.hash) {
        return Ok(Proposal::Nothing);
    }
    let known = before.map(|before| before.images()).unwrap_or_default();
    if let Some(why) = unproved(&after, proof.images(), &known, from, to) {
        return Ok(Proposal::Refused(why));
    }
    Ok(Proposal::Commit {
        message: message(from, to, proof),
        edit,
        desired: after,
    })
}

fn edit(from: &Environment, to: &Environment, proof: Proof<'_>, trees: Trees<'_>) -> Result<Edit, Problems> {
    let (source_path, source) = kustomization(trees.overlay, &from.dir)?;
    let (target_path, mut target) = kustomization(trees.head, &to.dir)?;
    let before = target.clone();
    let in_file = |path: &str, error: edit::EditError| edit_problem(path, &error);
    for entry in edit::images(&source).map_err(|error| in_file(&source_path, error))? {
        let name = entry.new_name.as_deref().unwrap_or(&entry.name);
        if !proof.images().iter().any(|image| image.name == name) {
            continue;
        }
        let image = NewImage {
            new_name: entry.new_name.clone(),
            new_tag: entry.new_tag.clone(),
            digest: entry.digest.clone(),
        };
        target =
            edit::set_image(&target, &entry.name, &image).map_err(|error| in_file(&target_path, error))?;
    }
    let mut edit = Edit::default();
    if target != before {
        edit.files.insert(target_path, target.into_bytes());
    }
    edit.files
        .insert(to.verified_file(), verified_text(from, to, proof)?.into_bytes());
    Ok(edit)
}

fn verified_text(from: &Environment, to: &Environment, proof: Proof<'_>) -> Result<String, Problems> {
    let spec = VerifiedSpec {
        from: from.name.to_string(),
        revision: proof.shared().to_string(),
        images: proof.images().to_vec(),
        time: proof.verification().finished.to_string(),
    };
    verified::to_text(&to.name, &spec).map_err(|error| {
        Problem::new(error.to_string())
            .at_line(&to.verified_file(), 0)
            .into()
    })
}

/// Why `after` must not be promoted: the first image that neither was proved nor is there already.
fn unproved(
    after: &Desired,
    proved: &[VerifiedImage],
    known: &BTreeSet<String>,
    from: &Environment,
    to: &Environment,
) -> Option<String> {
    for text in after.images() {
        let Ok(image) = text.parse::<ImageRef>() else {
            continue;
        };
        let same_name = proved.iter().find(|proved| proved.name == image.repository);
        match same_name {
            Some(proved) if is_same(proved, &image) => {}
            Some(_) => {
                return Some(format!(
                    "{} sets {text} in another place than its `images:`, and {} did not prove that",
                    to.dir, from.name
                ));
            }
            None if known.contains(&text) => {}
            None => {
                return Some(format!(
                    "{} would get {text}, which {} did not prove",
                    to.name, from.name
                ));
            }
        }
    }
    None
}

fn is_same(proved: &VerifiedImage, image: &ImageRef) -> bool {
    match (&image.tag, &image.digest) {
        (_, Some(digest)) => proved.digest.as_ref() == Some(digest),
        (tag, None) => proved.tag == *tag,
    }
}

fn message(from: &Environment, to: &Environment, proof: Proof<'_>) -> CommitMessage {
    let verification = proof.verification();
    let mut trailers = Vec::new();
    let mut add = |key: &str, value: String| trailers.push((key.to_owned(), value));
    for image in proof.images() {
        let tag = image
            .tag
            .as_ref()
            .map(|tag| format!(":{tag}"))
            .unwrap_or_default();
        add(trailer::IMAGE, format!("{}{tag}", image.name));
        if let Some(digest) = &image.digest {
            add(trailer::DIGEST, format!("{}@{digest}", image.name));
        }
        if let Some(commit) = image.tag.as_deref().filter(|tag| is_commit(tag)) {
            add(trailer::SOURCE_COMMIT, commit.to_owned());
        }
    }
    add(trailer::VERIFIED_REVISION, proof.shared().to_string());
    add(trailer::VERIFIED_IN, from.name.to_string());
    add(trailer::VERIFIED_AT, verification.finished.to_string());
    for figure in &verification.figures {
        add(trailer::CHECK, figure.clone());
    }
    add(trailer::EVIDENCE, proof.evidence());
    CommitMessage {
        subject: subject(to, proof),
        body: body(from, proof),
        trailers,
    }
}

fn subject(to: &Environment, proof: Proof<'_>) -> String {
    let short = |image: &VerifiedImage| {
        let name = image.name.rsplit('/').next().unwrap_or(&image.name);
        image
            .tag
            .as_ref()
            .map_or_else(|| name.to_owned(), |tag| format!("{name}:{tag}"))
    };
    match proof.images() {
        [] => format!("Promote {} to {}", proof.shared().short(), to.name),
        [one] => format!("Promote {} to {}", short(one), to.name),
        [first, rest @ ..] => format!("Promote {} and {} more to {}", short(first), rest.len(), to.name),
    }
}

fn body(from: &Environment, proof: Proof<'_>) -> String {
    let seconds = proof
        .verification()
        .finished
        .duration_since(proof.verification().started)
        .as_secs();
    format!(
        "{} ran revision {} and passed its gates in {seconds} s.",
        from.name,
        proof.shared().short()
    )
}

/// Whether a tag is an abbreviated or full commit id, as CI systems tag images.
fn is_commit(tag: &str) -> bool {
    (7..=40).contains(&tag.len())
        && tag
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::config::repository;
    use crate::record::{EvidenceKey, Verdict, Verification};
    use crate::source::testing::MemoryTree;

    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n  template:\n    spec:\n      containers:\n      - name: web\n        image: team/web:none\n";

    fn mk_environment(name: &str) -> String {
        format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{cluster: {{context: {name}}}}}\n"
        )
    }

    fn mk_overlay(tag: &str) -> String {
        format!(
            "# Comments stay.\nresources: [../../apps/web]\nimages:\n- name: team/web\n  newTag: {tag} # and here\n"
        )
    }

    fn mk_tree(staging: &str, prod: &str) -> MemoryTree {
        let mut tree = MemoryTree::default();
        tree.insert("apps/web/kustomization.yaml", "resources: [deployment.yaml]\n");
        tree.insert("apps/web/deployment.yaml", DEPLOYMENT);
        for (name, tag) in [("staging", staging), ("prod", prod)] {
            tree.insert(
                &format!("environments/{name}/environment.yaml"),
                &mk_environment(name),
            );
            tree.insert(
                &format!("environments/{name}/kustomization.yaml"),
                &mk_overlay(tag),
            );
        }
        tree
    }

    fn mk_snapshot(digit: char, tree: &MemoryTree) -> Snapshot {
        Snapshot::new(
            digit.to_string().repeat(40).parse().unwrap(),
            Arc::new(tree.clone()),
        )
    }

    fn mk_verification(tag: &str) -> Verification {
        Verification {
            key: EvidenceKey {
                objects: "o".repeat(64),
                gates: "g".repeat(64),
            },
            revision: "a".repeat(40).parse().unwrap(),
            shared: "a".repeat(40).parse().unwrap(),
            images: vec![VerifiedImage {
                name: "team/web".into(),
                tag: Some(tag.into()),
                digest: Some("sha256:1".into()),
            }],
            verdict: Verdict::Passed,
            reason: String::new(),
            figures: vec!["acceptance: http_req_duration p(90)<600 = 5.00".into()],
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::from_second(10).unwrap(),
        }
    }

    fn proposal(head: &MemoryTree, proved: &MemoryTree, pinned: Option<&MemoryTree>, tag: &str) -> Proposal {
        let verification = mk_verification(tag);
        let proof = Proof::of(&verification, &verification.key).unwrap();
        let (head, proved) = (mk_snapshot('b', head), mk_snapshot('a', proved));
        let pinned = pinned.map(|tree| mk_snapshot('c', tree));
        let config = repository::read(head.tree()).unwrap();
        let (from, to) = (
            config.environment("staging").unwrap(),
            config.environment("prod").unwrap(),
        );
        propose(
            from,
            to,
            proof,
            Trees {
                head: &head,
                overlay: &proved,
                shared: &proved,
                pinned: pinned.as_ref(),
            },
        )
        .unwrap()
    }

    fn with_pin(mut tree: MemoryTree) -> MemoryTree {
        let spec = VerifiedSpec {
            from: "staging".into(),
            revision: "c".repeat(40),
            images: vec![],
            time: "1970-01-01T00:00:00Z".into(),
        };
        tree.insert(
            "environments/prod/verified.yaml",
            &verified::to_text(&"prod".parse().unwrap(), &spec).unwrap(),
        );
        tree
    }

    #[test]
    fn exactly_the_image_line_and_the_verified_file_change() {
        let tree = mk_tree("0a1b2c3d", "00000000");
        let Proposal::Commit { edit, message, .. } = proposal(&tree, &tree, None, "0a1b2c3d") else {
            panic!("no commit")
        };
        assert_eq!(
            edit.files.keys().collect::<Vec<_>>(),
            [
                "environments/prod/kustomization.yaml",
                "environments/prod/verified.yaml"
            ]
        );
        let overlay = String::from_utf8(edit.files["environments/prod/kustomization.yaml"].clone()).unwrap();
        assert_eq!(overlay, mk_overlay("0a1b2c3d"));
        assert_eq!(message.subject, "Promote web:0a1b2c3d to prod");
        for (key, value) in [
            ("Gitsync-Image", "team/web:0a1b2c3d"),
            ("Gitsync-Digest", "team/web@sha256:1"),
            ("Gitsync-Source-Commit", "0a1b2c3d"),
            ("Gitsync-Check", "acceptance: http_req_duration p(90)<600 = 5.00"),
            ("Gitsync-Evidence", "oooooooooooooooo-gggggggggggggggg"),
        ] {
            assert!(
                message.trailers.contains(&(key.to_owned(), value.to_owned())),
                "{key}: {:#?}",
                message.trailers
            );
        }
    }

    #[test]
    fn what_prod_has_already_is_not_promoted_again() {
        let tree = with_pin(mk_tree("0a1b2c3d", "0a1b2c3d"));
        assert!(matches!(
            proposal(&tree, &tree, Some(&tree), "0a1b2c3d"),
            Proposal::Nothing
        ));
    }

    #[test]
    fn a_change_of_the_base_alone_moves_only_the_revision() {
        let before = mk_tree("0a1b2c3d", "0a1b2c3d");
        let mut after = with_pin(before.clone());
        after.insert(
            "apps/web/deployment.yaml",
            &DEPLOYMENT.replace("replicas: 1", "replicas: 2"),
        );
        let Proposal::Commit { edit, desired, .. } = proposal(&after, &after, Some(&before), "0a1b2c3d")
        else {
            panic!("no commit")
        };
        assert_eq!(
            edit.files.keys().collect::<Vec<_>>(),
            ["environments/prod/verified.yaml"]
        );
        assert_eq!(desired.objects[0].value()["spec"]["replicas"], 2);
    }

    #[test]
    fn a_newer_staging_at_the_tip_does_not_change_what_is_promoted() {
        let proved = mk_tree("0a1b2c3d", "00000000");
        let head = mk_tree("ffffffff", "00000000");
        let Proposal::Commit { desired, .. } = proposal(&head, &proved, None, "0a1b2c3d") else {
            panic!("no commit")
        };
        assert_eq!(
            desired.images().into_iter().collect::<Vec<_>>(),
            ["team/web:0a1b2c3d"]
        );
    }

    #[test]
    fn an_image_that_staging_did_not_prove_is_refused() {
        let sidecar = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: extra}\nspec: {template: {spec: {containers: [{name: e, image: 'team/extra:v2'}]}}}\n";
        let mut proved = mk_tree("0a1b2c3d", "00000000");
        let mut head = with_pin(proved.clone());
        let pinned = proved.clone();
        for tree in [&mut proved, &mut head] {
            tree.insert("apps/web/extra.yaml", sidecar);
            tree.insert(
                "apps/web/kustomization.yaml",
                "resources: [deployment.yaml, extra.yaml]\n",
            );
        }
        match proposal(&head, &proved, Some(&pinned), "0a1b2c3d") {
            Proposal::Refused(why) => assert!(
                why.contains("prod would get team/extra:v2, which staging did not prove"),
                "{why}"
            ),
            other => panic!("{other:?}"),
        }
    }

    /// The environment that proves may itself be rendered over an older base: then that base is what was proved.
    #[test]
    fn the_base_that_is_promoted_is_the_one_that_was_proved() {
        let base = mk_tree("0a1b2c3d", "00000000");
        let mut newer = base.clone();
        newer.insert(
            "apps/web/deployment.yaml",
            &DEPLOYMENT.replace("replicas: 1", "replicas: 2"),
        );
        let verification = Verification {
            shared: "c".repeat(40).parse().unwrap(),
            ..mk_verification("0a1b2c3d")
        };
        let proof = Proof::of(&verification, &verification.key).unwrap();
        let (head, shared) = (mk_snapshot('b', &newer), mk_snapshot('c', &base));
        let config = repository::read(head.tree()).unwrap();
        let (from, to) = (
            config.environment("staging").unwrap(),
            config.environment("prod").unwrap(),
        );
        let trees = Trees {
            head: &head,
            overlay: &head,
            shared: &shared,
            pinned: None,
        };
        let Proposal::Commit { edit, desired, .. } = propose(from, to, proof, trees).unwrap() else {
            panic!("no commit")
        };
        assert_eq!(desired.objects[0].value()["spec"]["replicas"], 1);
        let verified = String::from_utf8(edit.files["environments/prod/verified.yaml"].clone()).unwrap();
        assert!(verified.contains(&"c".repeat(40)), "{verified}");
    }
}
