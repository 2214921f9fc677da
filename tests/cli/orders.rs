//! Orders as files in git: what the commands write, and what is said of a file that a person wrote wrongly.

use super::desk::Desk;

const PROD: &str = "environments/prod/kustomization.yaml";
const VERIFIED: &str = "environments/prod/verified.yaml";
const QUARANTINE: &str = "environments/prod/quarantine.yaml";
const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";

impl Desk {
    /// Commits what a promotion of `tag` would.
    fn promote(&self, tag: &str, evidence: &str) -> String {
        let overlay = self.remote.read(PROD).unwrap();
        let line = overlay.lines().find(|line| line.contains("newTag:")).unwrap();
        let overlay = overlay.replace(
            line,
            &format!("    newTag: {tag}").replacen("    ", &line[..line.find('n').unwrap()], 1),
        );
        let verified = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Verified\nmetadata: {{name: prod}}\nspec:\n  from: staging\n  revision: {}\n  images: []\n  time: {tag}\n",
            self.remote.head()
        );
        let message = format!("Promote {tag} to prod\n\nGitsync-Evidence: {evidence}");
        self.remote
            .commit(&message, &[(PROD, Some(&overlay)), (VERIFIED, Some(&verified))])
    }

    fn tag(&self) -> String {
        let overlay = self.remote.read(PROD).unwrap();
        let line = overlay.lines().find(|line| line.contains("newTag:")).unwrap();
        line.split(':')
            .nth(1)
            .unwrap()
            .split('#')
            .next()
            .unwrap()
            .trim()
            .to_owned()
    }
}

#[test]
fn a_rollback_goes_back_one_promotion_at_a_time_and_never_to_what_was_rejected() {
    let desk = Desk::new();
    let original = desk.tag();
    for (tag, evidence) in [("aaaa0001", "1-1"), ("aaaa0002", "2-2"), ("aaaa0003", "3-3")] {
        desk.promote(tag, evidence);
    }
    let proved = desk.remote.read_at("main~1", VERIFIED);
    // Nothing but the environment's own directory has to be sound.
    desk.remote.commit(
        "Break staging",
        &[("environments/staging/environment.yaml", Some("kind: [\n"))],
    );

    let said = desk.run(&["rollback", "prod", "--reason", "it leaks"]).ok();
    assert_eq!(
        said,
        format!("prod goes back to {IMAGE}:aaaa0002; {IMAGE}:aaaa0003 is in quarantine now\n")
    );
    assert_eq!(
        (desk.tag().as_str(), desk.remote.read(VERIFIED)),
        ("aaaa0002", proved)
    );
    let commit = &desk.remote.log()[0];
    assert_eq!(commit.files, [PROD, QUARANTINE, VERIFIED]);
    for (key, value) in [
        ("Gitsync-Rollback", "prod"),
        ("Gitsync-Image", &format!("{IMAGE}:aaaa0002")),
        ("Gitsync-Quarantine", &format!("{IMAGE}:aaaa0003")),
    ] {
        assert!(
            commit.trailers.contains(&(key.to_owned(), value.to_owned())),
            "{key}: {commit:?}"
        );
    }

    desk.run(&["rollback", "prod"]).ok();
    assert_eq!(desk.tag(), "aaaa0001");
    desk.run(&["rollback", "prod"]).ok();
    assert_eq!((desk.tag(), desk.remote.read(VERIFIED)), (original, None));
    let nothing = desk.run(&["rollback", "prod"]).expect_code(2);
    assert!(nothing.stderr.contains("--to REV"), "{nothing}");

    // On purpose, a rejected image may come back; then it is no longer rejected.
    let promoted = desk
        .remote
        .log()
        .into_iter()
        .find(|commit| commit.subject.contains("aaaa0003"))
        .unwrap();
    desk.run(&["rollback", "prod", "--to", &promoted.id[..10]]).ok();
    assert_eq!(desk.tag(), "aaaa0003");
    assert!(!desk.remote.read(QUARANTINE).unwrap().contains("aaaa0003"));
}

#[test]
fn suspending_and_resuming_write_and_remove_one_file() {
    let desk = Desk::new();
    let file = "environments/prod/suspension.yaml";
    let said = desk
        .run(&[
            "suspend",
            "prod",
            "--reason",
            "the audit",
            "--until",
            "2099-01-01T00:00:00Z",
        ])
        .ok();
    assert!(
        said.contains("prod is suspended by") && said.ends_with("until 2099-01-01T00:00:00Z: the audit\n"),
        "{said}"
    );
    assert!(
        desk.remote
            .read(file)
            .unwrap()
            .contains("until: 2099-01-01T00:00:00Z")
    );
    desk.run(&["validate"]).ok();
    let again = desk
        .run(&[
            "suspend",
            "prod",
            "--reason",
            "the audit",
            "--until",
            "2099-01-01T00:00:00Z",
        ])
        .ok();
    assert!(again.contains("nothing changed"), "{again}");
    desk.run(&["resume", "prod"]).ok();
    assert_eq!(desk.remote.read(file), None);
    let again = desk.run(&["resume", "prod"]).ok();
    assert!(
        again.contains("prod is not suspended; nothing changed"),
        "{again}"
    );
    assert_eq!(desk.remote.log().len(), 3);
    for wrong in [&["--until", "soon"][..], &["--until", "2001-01-01T00:00:00Z"]] {
        desk.run(&[&["suspend", "prod", "--reason", "r"], wrong].concat())
            .expect_code(2);
    }
    desk.run(&["suspend", "prdo", "--reason", "r"]).expect_code(2);
}

#[test]
fn approvals_are_added_below_each_other() {
    let desk = Desk::new();
    let one = format!("{IMAGE}:aaaa0001");
    let two = format!("{IMAGE}:aaaa0002");
    desk.run(&["approve", "prod", "--image", &one]).ok();
    let before = desk.remote.read("environments/prod/approvals.yaml").unwrap();
    desk.run(&["approve", "prod", "--image", &one, "--image", &two])
        .ok();
    let after = desk.remote.read("environments/prod/approvals.yaml").unwrap();
    assert!(
        after.starts_with(&before) && after[before.len()..].contains("aaaa0002"),
        "{after}"
    );
    desk.run(&["validate"]).ok();
    desk.run(&["approve", "prod", "--image", "web"]).expect_code(2);
}

#[test]
fn what_is_wrong_with_an_order_is_told_with_its_line() {
    let desk = Desk::new();
    let head = |kind: &str| {
        format!("apiVersion: gitsync.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: prod}}\nspec:\n")
    };
    let quarantine =
        head("Quarantine") + "  entries:\n  - image: team/web\n  - image: team/web:v1\n    evidence: 1-1\n";
    let suspension = head("Suspension") + "  reason: \"\"\n  until: tomorrow\n";
    let approvals = head("Approvals") + "  entries:\n  - imge: team/web:v1\n";
    let promotion = desk.remote.read("policies/promotion.yaml").unwrap();
    let promotion = promotion.replace(
        "  - loadCheck: acceptance\n",
        "  - approval: maybe\n  - soak: 1h\n    approval: required\n",
    );
    desk.remote.commit(
        "Write orders",
        &[
            (QUARANTINE, Some(&quarantine)),
            ("environments/prod/suspension.yaml", Some(&suspension)),
            ("environments/prod/approvals.yaml", Some(&approvals)),
            ("policies/promotion.yaml", Some(&promotion)),
        ],
    );
    let told = desk.run(&["validate"]).expect_code(1).stdout;
    for part in [
        "environments/prod/quarantine.yaml:6: spec.entries[0].image: `team/web` is not an image with a tag or a digest",
        "environments/prod/quarantine.yaml:7: spec.entries[1]: needs exactly one of `image` and `evidence`",
        "environments/prod/suspension.yaml:5: spec.reason: ",
        "environments/prod/suspension.yaml:6: spec.until: `tomorrow` does not have the right form",
        "environments/prod/approvals.yaml:6: spec.entries[0].imge: unknown field (did you mean `image`?)",
        "policies/promotion.yaml:9: spec.gates[0].approval: ",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let gates = promotion.replace("  - approval: maybe\n", "");
    desk.remote
        .commit("Write gates", &[("policies/promotion.yaml", Some(&gates))]);
    let told = desk.run(&["validate"]).expect_code(1).stdout;
    for part in [
        "policies/promotion.yaml:9: spec.gates[0]: needs exactly one of `loadCheck`, `approval` and `soak`",
        "spec.gates: needs at least one `loadCheck`; nothing else proves anything",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}
