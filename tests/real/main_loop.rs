//! The main loop: from a commit to prod, and nothing on the way that was not proved.

use super::stage::{DEADLINE, IMAGE, PROD, STAGING, Stage, VERIFIED, trailer};
use crate::harness::tags;
use crate::harness::wait::wait_until;

const BASE: &str = "apps/flask-app/kustomization.yaml";
const DEPLOYMENT: &str = "apps/flask-app/deployment.yaml";

#[test]
fn an_empty_pair_of_clusters_and_the_example_repository() {
    let stage = Stage::with_example();
    let (proved, before) = (stage.remote.head(), stage.read(PROD));
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", "abc123de");

    // The overlay differs by exactly the image line, and the only other file is the proof.
    assert_eq!(
        stage.read(PROD),
        before.replace("newTag: 9f31c0de", "newTag: abc123de")
    );
    let promotions = stage.promotions();
    assert_eq!(promotions[0].files, [PROD, VERIFIED]);
    for (key, value) in [
        ("Gitsync-Image", "sanjeev-thiyagarajan/jenkins-flask-app:abc123de"),
        ("Gitsync-Source-Commit", "abc123de"),
        ("Gitsync-Verified-Revision", &proved),
        ("Gitsync-Verified-In", "staging"),
    ] {
        assert_eq!(trailer(&promotions[0], key), Some(value), "{promotions:#?}");
    }
    let digest = trailer(&promotions[0], "Gitsync-Digest").unwrap_or_default();
    assert!(digest.contains("@sha256:"), "{promotions:#?}");
    let figure = trailer(&promotions[0], "Gitsync-Check").unwrap_or_default();
    assert!(
        figure.starts_with("acceptance: http_req_duration p(90)<600 = "),
        "{figure}"
    );
    let verified = stage.read(VERIFIED);
    assert!(verified.contains(&format!("revision: {proved}")), "{verified}");
    assert!(verified.contains("tag: abc123de"), "{verified}");
}

#[test]
fn what_ci_sets_in_staging_arrives_in_prod_without_another_command() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));

    let next = tags::good(2);
    let image = format!("flask-app={IMAGE}:{next}");
    let url = stage.remote.url();
    stage
        .gitsync
        .run(&[
            "image", "set", &image, "--env", "staging", "--push", "--repo", &url,
        ])
        .ok();
    stage.wait_until_running("staging", &next);
    stage.wait_until_running("prod", &next);
    assert_eq!(stage.promotions().len(), 2);
}

#[test]
fn what_git_no_longer_has_is_pruned_after_health_and_nothing_else_is() {
    let stage = Stage::new();
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  colour: blue\n";
    let resources = "resources:\n- deployment.yaml\n- service.yaml\n";
    let files = [
        ("apps/flask-app/settings.yaml", settings),
        (BASE, &format!("{resources}- settings.yaml\n")),
    ];
    stage.commit("Add a config map", &files);
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
        stage.pair().cluster(cluster).kubectl(&create).ok();
        assert!(stage.exists(cluster, "configmaps/settings"), "{cluster}");
    }

    stage.commit("Drop the config map", &[(BASE, resources)]);
    for cluster in ["staging", "prod"] {
        let what = format!("{cluster} prunes the config map");
        wait_until(DEADLINE, &what, || !stage.exists(cluster, "configmaps/settings"));
        assert!(stage.exists(cluster, "configmaps/unrelated"), "{cluster}");
        assert!(stage.exists(cluster, "services/flask-app-service"), "{cluster}");
    }
}

#[test]
fn a_change_of_the_shared_base_reaches_prod_only_when_staging_has_proved_it() {
    let stage = Stage::new();
    let _daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let memory = "/spec/template/spec/containers/0/resources/limits/memory";
    let deployment = "deployments/flask-app";

    // A base that staging cannot prove, because its pods crash: prod has to stay as it was.
    let base = stage.read(DEPLOYMENT).replace("memory: 256Mi", "memory: 257Mi");
    stage.commit(
        "Change the base, and break staging",
        &[(DEPLOYMENT, &base), (STAGING, &stage.staging(&tags::crash(1)))],
    );
    stage.wait_for_status("staging", &["CrashLoopBackOff"]);
    assert_eq!(stage.field("staging", deployment, memory), "257Mi");
    assert_eq!(stage.field("prod", deployment, memory), "256Mi");

    // As soon as staging proves the same base, prod gets it, by a commit that moves nothing but the revision.
    stage.set_staging(&tags::good(1));
    stage.wait_for_field("prod", deployment, memory, "257Mi");
    assert_eq!(stage.promotions()[0].files, [VERIFIED]);
}
