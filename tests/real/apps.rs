//! Apps: environments with one directory per app, each synced, checked and promoted by itself.

use super::stage::{DEADLINE, PROD, STAGING, Stage, trailer};
use crate::harness::git::git;
use crate::harness::tags;
use crate::harness::wait::wait_until;

/// A stage whose environments have the example as the app `web`, and nothing else.
fn stage_of_apps() -> Stage {
    let stage = Stage::new();
    let clone = stage.remote.clone_to("apps");
    let git = |args: &[&str]| git(&clone, args).ok();
    for (overlay, environment) in [(STAGING, "staging"), (PROD, "prod")] {
        let above = format!("environments/{environment}");
        std::fs::create_dir_all(clone.join(&above).join("web")).unwrap();
        for file in ["kustomization.yaml", "namespace.yaml"] {
            git(&["mv", &format!("{above}/{file}"), &format!("{above}/web/{file}")]);
        }
        let text = stage.read(overlay).replace("../../", "../../../");
        std::fs::write(clone.join(&above).join("web/kustomization.yaml"), text).unwrap();
    }
    git(&["add", "--all"]);
    git(&[
        "commit",
        "--quiet",
        "--message=Give the app a directory of its own",
    ]);
    git(&["push", "--quiet", "origin", "HEAD:main"]);
    stage
}

const SETTINGS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  namespace: flask-app\ndata:\n  colour: blue\n";

#[test]
fn each_app_is_promoted_by_itself_and_a_broken_one_holds_back_nobody_else() {
    let stage = stage_of_apps();
    let proved = stage.remote.head();
    stage.commit(
        "Add two apps to staging: one that cannot be rendered, and one that has no more than settings",
        &[
            (
                "environments/staging/broken/kustomization.yaml",
                "resources:\n- missing.yaml\n",
            ),
            (
                "environments/staging/settings/kustomization.yaml",
                "resources:\n- settings.yaml\n",
            ),
            ("environments/staging/settings/settings.yaml", SETTINGS),
        ],
    );
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    let promotions = stage.promotions();
    assert_eq!(promotions.len(), 1, "{promotions:#?}");
    assert_eq!(
        promotions[0].files,
        [
            "environments/prod/web/kustomization.yaml",
            "environments/prod/web/verified.yaml"
        ]
    );
    assert_eq!(
        trailer(&promotions[0], "Gitsync-Verified-In"),
        Some("staging.web")
    );
    assert_ne!(
        trailer(&promotions[0], "Gitsync-Verified-Revision"),
        Some(proved.as_str())
    );
    wait_until(DEADLINE, "the settings are applied", || {
        stage.exists("staging", "configmaps/settings")
    });
    assert!(
        !stage.exists("prod", "configmaps/settings"),
        "prod does not have that app"
    );
    stage.wait_for_log(&daemon, &["missing.yaml", "staging.broken"]);
    let url = stage.remote.url();
    let list = ["status", "--env", "staging", "--repo", &url];
    let told = stage.gitsync.run(&list).stdout;
    for name in ["staging.broken", "staging.settings", "staging.web"] {
        assert!(told.contains(name), "{told}");
    }

    // What changes in one app is no matter of its neighbours.
    let settings = SETTINGS.replace("blue", "red");
    stage.commit(
        "Change one app",
        &[("environments/staging/settings/settings.yaml", &settings)],
    );
    stage.wait_for_field("staging", "configmaps/settings", "/data/colour", "red");
    assert_eq!(stage.running("staging"), tags::good(1));
    assert_eq!(stage.promotions().len(), 1, "nothing of the other app changed");
}
