use super::*;
use crate::source::testing::MemoryTree;

const STAGING: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: staging\nspec:\n  cluster:\n    context: staging\n";
const CHECK: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: acceptance\nspec:\n  target:\n    service: web\n  vus: 1\n  duration: 1s\n";
const PROMOTION: &str = "apiVersion: gitsync.dev/v1alpha1\nkind: Promotion\nmetadata:\n  name: up\nspec:\n  from: staging\n  to: prod\n  gates:\n  - loadCheck: acceptance\n";

fn mk_tree() -> MemoryTree {
    let mut tree = MemoryTree::default();
    tree.insert("environments/staging/environment.yaml", STAGING);
    tree.insert(
        "environments/prod/environment.yaml",
        &STAGING.replace("staging", "prod"),
    );
    tree.insert("policies/load-check.yaml", CHECK);
    tree.insert("policies/promotion.yaml", PROMOTION);
    tree
}

fn problems(tree: &MemoryTree) -> Vec<String> {
    read(tree)
        .err()
        .map(|problems| problems.0.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

#[test]
fn a_good_repository_is_read_whole() {
    let config = read(&mk_tree()).unwrap();
    assert_eq!(config.environments.len(), 2);
    let promotion = &config.promotions["up"];
    assert_eq!(
        (promotion.from.as_str(), promotion.to.as_str()),
        ("staging", "prod")
    );
    assert_eq!(config.promotions_from(&promotion.from).count(), 1);
    let order: Vec<&str> = config
        .in_order()
        .iter()
        .map(|environment| environment.name.as_str())
        .collect();
    assert_eq!(order, ["staging", "prod"]);
}

#[test]
fn foreign_documents_are_left_alone() {
    let mut tree = mk_tree();
    tree.insert(
        "policies/vap.yaml",
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: x}\n",
    );
    tree.insert("policies/README.md", "not YAML: [");
    assert_eq!(problems(&tree), [""; 0]);
}

#[test]
fn what_the_sync_options_cannot_mean_is_told_with_its_line() {
    let options = |text: &str| {
        let mut tree = mk_tree();
        tree.insert(
            "environments/staging/environment.yaml",
            &format!("{STAGING}{text}"),
        );
        problems(&tree)
    };
    let rule = |pointer: &str| {
        format!(
            "  sync:\n    ignoreDifferences:\n    - kind: Deployment\n      jsonPointers:\n      - {pointer}\n"
        )
    };
    assert_eq!(options(&rule("/spec/replicas")), [""; 0]);
    for (text, line, says) in [
        (rule("/metadata/labels"), 12, "cannot be ignored"),
        (rule("spec.replicas"), 12, "jsonPointers"),
        ("  sync:\n    pruneLimit: 120%\n".to_owned(), 9, "pruneLimit"),
        (
            "  sync:\n    pruneLimt: 20%\n".to_owned(),
            9,
            "did you mean `pruneLimit`?",
        ),
        ("  onFailure: panic\n".to_owned(), 8, "onFailure"),
        (
            "  healthCheckExprs:\n  - apiVersion: a/v1\n    kind: A\n    current: status.phase ==\n"
                .to_owned(),
            11,
            "spec.healthCheckExprs[0].current: is no expression: at character",
        ),
        ("  allow:\n    namespaces: [Shop]\n".to_owned(), 9, "namespaces"),
    ] {
        let told = options(&text);
        let at = format!("environments/staging/environment.yaml:{line}: ");
        assert!(
            told.len() == 1 && told[0].starts_with(&at) && told[0].contains(says),
            "{told:?}"
        );
    }
}

#[test]
fn every_dangling_reference_is_told_at_once() {
    let mut tree = mk_tree();
    tree.insert(
        "policies/promotion.yaml",
        &PROMOTION
            .replace("to: prod", "to: prd")
            .replace("acceptance", "aceptance"),
    );
    tree.insert(
        "environments/prod/environment.yaml",
        &STAGING.replace("name: staging", "name: production"),
    );
    let told = problems(&tree);
    for part in [
        "policies/promotion.yaml:7: spec.to: there is no environment `prd`",
        "policies/promotion.yaml:9: spec.gates[0].loadCheck: there is no LoadCheck `aceptance` in policies/ (did you mean `acceptance`?)",
        "environments/prod/environment.yaml:4: metadata.name: the environment is called `production`",
    ] {
        assert!(
            told.iter().any(|line| line.starts_with(part)),
            "{part}\n{told:#?}"
        );
    }
}

#[test]
fn a_circle_and_a_second_way_in_are_refused() {
    let mut tree = mk_tree();
    let back = PROMOTION
        .replace("name: up", "name: back")
        .replace("from: staging", "from: prod")
        .replace("to: prod", "to: staging");
    tree.insert("policies/back.yaml", &back);
    assert!(
        problems(&tree)
            .iter()
            .any(|line| line.contains("part of a circle")),
        "{:#?}",
        problems(&tree)
    );
    tree.insert(
        "policies/back.yaml",
        &PROMOTION.replace("name: up", "name: again"),
    );
    assert!(
        problems(&tree)
            .iter()
            .any(|line| line.contains("already leads to `prod`")),
        "{:#?}",
        problems(&tree)
    );
}

#[test]
fn a_threshold_that_means_nothing_has_its_line() {
    let mut tree = mk_tree();
    tree.insert(
        "policies/load-check.yaml",
        &format!("{CHECK}  thresholds:\n    http_req_duration: [\"p(90)<<600\"]\n"),
    );
    let told = problems(&tree);
    assert!(
        told.iter()
            .any(|line| line.starts_with("policies/load-check.yaml:11: spec.thresholds")),
        "{told:#?}"
    );
}

#[test]
fn an_empty_repository_says_what_to_write() {
    assert!(problems(&MemoryTree::default())[0].contains("gitsync schema Environment"));
}

#[test]
fn a_mistake_in_one_environment_holds_back_that_one_alone() {
    let last = read(&mk_tree()).unwrap();
    let mut tree = mk_tree();
    tree.insert("environments/staging/environment.yaml", "kind: [\n");
    let prod = STAGING.replace("staging", "prod") + "  sync:\n    interval: 7s\n";
    tree.insert("environments/prod/environment.yaml", &prod);
    let partial = read_over(&tree, &last);
    let (staging, prod): (EnvName, EnvName) = ("staging".parse().unwrap(), "prod".parse().unwrap());
    assert_eq!(partial.broken, BTreeSet::from([staging.clone()]));
    assert_eq!(partial.config.environments[&staging], last.environments[&staging]);
    assert_eq!(
        partial.config.environments[&prod]
            .spec
            .sync
            .interval
            .get()
            .as_secs(),
        7
    );
    assert_eq!(partial.config.promotions, last.promotions);
    assert_eq!(partial.problems.len(), 1, "{:#?}", partial.problems);

    tree.insert(
        "policies/promotion.yaml",
        &PROMOTION.replace("to: prod", "to: prdo"),
    );
    let partial = read_over(&tree, &last);
    assert_eq!(
        partial.config.promotions, last.promotions,
        "policies stay as they were"
    );
    assert_eq!(partial.problems.len(), 2, "{:#?}", partial.problems);
}

/// A repository whose environments have one directory per app: `api` and `web` in staging, `web` in prod.
fn mk_tree_of_apps() -> MemoryTree {
    let mut tree = mk_tree();
    for app in ["staging/api", "staging/web", "prod/web"] {
        tree.insert(
            &format!("environments/{app}/kustomization.yaml"),
            "resources: []\n",
        );
    }
    tree
}

#[test]
fn each_app_with_a_directory_of_its_own_is_an_environment_and_promoted_by_itself() {
    let config = read(&mk_tree_of_apps()).unwrap();
    let found: Vec<(&str, &str)> = config
        .environments
        .values()
        .map(|environment| (environment.name.as_str(), environment.dir.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("prod.web", "environments/prod/web"),
            ("staging.api", "environments/staging/api"),
            ("staging.web", "environments/staging/web")
        ]
    );
    let ways: Vec<(&str, &str, &str)> = config
        .promotions
        .values()
        .map(|promotion| {
            let (from, to) = (promotion.from.as_str(), promotion.to.as_str());
            (promotion.name.as_str(), from, to)
        })
        .collect();
    assert_eq!(
        ways,
        [("up.web", "staging.web", "prod.web")],
        "prod does not have the other app yet"
    );
    let names = |name| {
        let found = config.environments_of(name).unwrap();
        let names = found.iter().map(|environment| environment.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("staging"), ["staging.api", "staging.web"]);
    assert_eq!(names("staging.api"), ["staging.api"]);
    let told = config.environment("staging").unwrap_err().to_string();
    assert!(told.contains("name one of staging.api, staging.web"), "{told}");
}

#[test]
fn directories_beside_an_overlay_are_parts_of_it_and_no_apps() {
    let mut tree = mk_tree_of_apps();
    for name in ["staging", "prod"] {
        tree.insert(
            &format!("environments/{name}/kustomization.yaml"),
            "resources: [web]\n",
        );
    }
    let config = read(&tree).unwrap();
    let names: Vec<&str> = config.environments.keys().map(EnvName::as_str).collect();
    assert_eq!(names, ["prod", "staging"]);
    assert_eq!(config.promotions.keys().collect::<Vec<_>>(), ["up"]);
}

#[test]
fn orders_beside_the_environment_hold_for_each_app_and_those_of_an_app_for_it_alone() {
    let mut tree = mk_tree_of_apps();
    let suspension = |name: &str, reason: &str| {
        format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: Suspension\nmetadata: {{name: {name}}}\nspec: {{reason: {reason}}}\n"
        )
    };
    tree.insert(
        "environments/staging/api/suspension.yaml",
        &suspension("staging.api", "own"),
    );
    let suspended = |tree: &MemoryTree| {
        let config = read(tree).unwrap();
        let reasons = config.environments.values().map(|environment| {
            let suspension = environment.orders.suspension.as_ref();
            suspension
                .map(|suspension| suspension.reason.clone())
                .unwrap_or_default()
        });
        reasons.collect::<Vec<_>>()
    };
    assert_eq!(suspended(&tree), ["", "own", ""]);
    tree.insert(
        "environments/staging/suspension.yaml",
        &suspension("staging", "all"),
    );
    assert_eq!(suspended(&tree), ["", "own", "all"]);
}

#[test]
fn what_apps_cannot_be_is_told() {
    let promotion = |apps: &str| PROMOTION.replace("  gates:", &format!("  apps: [{apps}]\n  gates:"));
    let told_with = |path: &str, text: &str| {
        let mut tree = mk_tree_of_apps();
        tree.insert(path, text);
        problems(&tree)
    };
    assert_eq!(told_with("policies/promotion.yaml", &promotion("web")), [""; 0]);
    for (path, text, says) in [
        (
            "policies/promotion.yaml",
            promotion("web, api"),
            "policies/promotion.yaml:8: spec.apps[1]: `prod` has no app `api`; it has web",
        ),
        (
            "environments/prod/new/kustomization.yaml",
            String::new(),
            "policies/promotion.yaml:7: spec.to: `staging` has no app `new`; it has api, web",
        ),
        (
            "environments/prod/kustomization.yaml",
            String::new(),
            "policies/promotion.yaml:7: spec.to: `prod` has not one directory per app",
        ),
        (
            "environments/staging/Web/kustomization.yaml",
            String::new(),
            "environments/staging/Web/kustomization.yaml: `staging.Web` is not an environment name",
        ),
        (
            "environments/prod/verified.yaml",
            "apiVersion: gitsync.dev/v1alpha1\n".to_owned(),
            "environments/prod/verified.yaml: the environment has one directory per app",
        ),
    ] {
        let told = told_with(path, &text);
        assert!(told.len() == 1 && told[0].starts_with(says), "{says}\n{told:#?}");
    }
    let mut tree = mk_tree();
    tree.insert("policies/promotion.yaml", &promotion("web"));
    let told = problems(&tree);
    assert!(
        told.len() == 1 && told[0].contains("neither environment"),
        "{told:#?}"
    );
    tree = mk_tree();
    tree.insert(
        "environments/a.b/environment.yaml",
        &STAGING.replace("name: staging", "name: a.b"),
    );
    let told = problems(&tree);
    assert!(
        told.len() == 1 && told[0].contains("name it without a dot"),
        "{told:#?}"
    );
}

#[test]
fn a_mistake_in_one_app_holds_back_that_one_alone_and_one_beside_them_all() {
    let last = read(&mk_tree_of_apps()).unwrap();
    let broken = |path: &str| {
        let mut tree = mk_tree_of_apps();
        tree.insert(path, "kind: [\n");
        let partial = read_over(&tree, &last);
        assert_eq!(partial.config.environments.len(), 3, "{path}");
        let names = partial.broken.iter().map(ToString::to_string);
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        broken("environments/staging/web/quarantine.yaml"),
        ["staging.web"]
    );
    for path in [
        "environments/staging/environment.yaml",
        "environments/staging/suspension.yaml",
    ] {
        assert_eq!(broken(path), ["staging.api", "staging.web"], "{path}");
    }
}
