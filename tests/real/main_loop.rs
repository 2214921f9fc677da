//! The main loop: from a commit to prod, and nothing on the way that was not proved.

use super::stage::{OVERLAY_OF_PROD, Stage, VERIFIED};
use crate::harness::tags;

#[test]
fn an_empty_pair_of_clusters_and_the_example_repository() {
    let stage = Stage::with_example();
    let before = stage.show(OVERLAY_OF_PROD);
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", "abc123de");

    // The overlay differs by exactly the image line, and the only other file is the proof.
    let after = stage.show(OVERLAY_OF_PROD);
    assert_eq!(after, before.replace("newTag: 9f31c0de", "newTag: abc123de"));
    let promotion = stage.last_promotion();
    assert_eq!(promotion.files, [OVERLAY_OF_PROD, VERIFIED]);
    let proved = stage.initial_commit();
    for (key, value) in [
        ("Gitsync-Image", "sanjeev-thiyagarajan/jenkins-flask-app:abc123de"),
        ("Gitsync-Source-Commit", "abc123de"),
        ("Gitsync-Verified-Revision", proved.as_str()),
        ("Gitsync-Verified-In", "staging"),
    ] {
        assert_eq!(promotion.trailer(key), Some(value), "{promotion:#?}");
    }
    assert!(
        promotion
            .trailer("Gitsync-Digest")
            .is_some_and(|digest| digest.contains("@sha256:")),
        "{promotion:#?}"
    );
    let figure = promotion.trailer("Gitsync-Check").unwrap_or_default();
    assert!(
        figure.starts_with("acceptance: http_req_duration p(90)<600 = "),
        "{figure}"
    );
    let verified = stage.show(VERIFIED);
    assert!(
        verified.contains(&format!("revision: {proved}")) && verified.contains("tag: abc123de"),
        "{verified}"
    );
}

#[test]
fn what_ci_sets_in_staging_arrives_in_prod_without_another_command() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    let next = tags::good(2);
    let image = format!("flask-app={}:{next}", stage.image());
    let set = stage.gitsync(&[
        "image",
        "set",
        &image,
        "--env",
        "staging",
        "--push",
        "--repo",
        &stage.remote_url(),
    ]);
    set.expect_code(0);
    stage.wait_until_running("staging", &next);
    stage.wait_until_running("prod", &next);
    assert_eq!(stage.promotions(), 2);
}

#[test]
fn what_git_no_longer_has_is_pruned_after_health_and_nothing_else_is() {
    let stage = Stage::new();
    stage.commit(
        "Add a config map",
        &[
            (
                "apps/flask-app/settings.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: blue\n",
            ),
            (
                "apps/flask-app/kustomization.yaml",
                "resources:\n- deployment.yaml\n- service.yaml\n- settings.yaml\n",
            ),
        ],
    );
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    for cluster in ["staging", "prod"] {
        let create = [
            "create",
            "configmap",
            "unrelated",
            "--from-literal=a=b",
            "-n",
            "flask-app",
        ];
        stage.pair().cluster(cluster).kubectl(&create).expect_code(0);
        assert!(stage.exists(cluster, "configmaps/settings"), "{cluster}");
    }
    stage.commit(
        "Drop the config map",
        &[(
            "apps/flask-app/kustomization.yaml",
            "resources:\n- deployment.yaml\n- service.yaml\n",
        )],
    );
    for cluster in ["staging", "prod"] {
        stage.wait_for(&format!("{cluster} to prune the config map"), || {
            if stage.exists(cluster, "configmaps/settings") {
                Err("it is still there".to_owned())
            } else {
                Ok(())
            }
        });
        assert!(stage.exists(cluster, "configmaps/unrelated"), "{cluster}");
        assert!(stage.exists(cluster, "services/flask-app-service"), "{cluster}");
    }
}

#[test]
fn a_change_of_the_shared_base_reaches_prod_only_when_staging_has_proved_it() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    // A base that staging cannot prove: its pods never become ready. Prod has to stay as it was.
    let base = stage.show("apps/flask-app/deployment.yaml");
    let broken = base.replace("memory: 256Mi", "memory: 257Mi");
    stage.commit(
        "Break the base, and staging with it",
        &[
            ("apps/flask-app/deployment.yaml", &broken),
            (
                "environments/staging/kustomization.yaml",
                &stage.overlay("staging", &tags::crash(1)),
            ),
        ],
    );
    stage.wait_for_status("staging", "CrashLoopBackOff");
    let limit = |cluster: &str| {
        stage.field(
            cluster,
            "deployments/flask-app",
            "/spec/template/spec/containers/0/resources/limits/memory",
        )
    };
    assert_eq!(limit("staging"), "257Mi");
    assert_eq!(limit("prod"), "256Mi");

    // As soon as staging proves the same base, prod gets it, by a commit that pins nothing but the revision.
    stage.commit(
        "Mend staging",
        &[(
            "environments/staging/kustomization.yaml",
            &stage.overlay("staging", &tags::good(1)),
        )],
    );
    stage.wait_for("prod to get the base", || match limit("prod") {
        found if found == "257Mi" => Ok(()),
        found => Err(found),
    });
    assert_eq!(stage.last_promotion().files, [VERIFIED]);
}
