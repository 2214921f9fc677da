//! Repository configuration: all of gitsync's own documents of one commit, with every reference resolved.

pub mod survey;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::document::{self, Located, Raw};
use super::duration::Duration;
use super::environment::EnvironmentSpec;
use super::load_check::LoadCheckSpec;
use super::orders::Orders;
use super::promotion::{ApprovalMode, Freeze, PromotionSpec};
use super::script::bundle::Bundle;
use super::verified::{self, VerifiedSpec};
use crate::model::EnvName;
use crate::problem::{Problem, Problems, suggest};
use crate::source::Tree;

/// Where the environments are.
pub const ENVIRONMENTS: &str = "environments";
/// Where load checks and promotions are.
pub const POLICIES: &str = "policies";
/// The file that makes a directory an environment.
pub const ENVIRONMENT_FILE: &str = "environment.yaml";

/// What no rule may ignore.
const NEVER_IGNORED: [&str; 7] = [
    "/apiVersion",
    "/kind",
    "/metadata",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/labels",
    "/metadata/labels/gitsync.dev~1environment",
];

/// What a commit says about environments and the ways between them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The environments by name.
    pub environments: BTreeMap<EnvName, Environment>,
    /// The promotions by name.
    pub promotions: BTreeMap<String, Promotion>,
    /// The load checks by name.
    pub load_checks: BTreeMap<String, LoadCheckSpec>,
}

/// One environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name, which is also the name of its directory.
    pub name: EnvName,
    /// Its directory from the root of the repository; the overlay is there too.
    pub dir: String,
    /// What it says.
    pub spec: EnvironmentSpec,
    /// What was proved for it, once something was.
    pub verified: Option<VerifiedSpec>,
    /// What people decided for it.
    pub orders: Orders,
}

/// One way from an environment to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Its name.
    pub name: String,
    /// The environment that proves.
    pub from: EnvName,
    /// The environment that receives.
    pub to: EnvName,
    /// The names of the load checks that must pass, in order.
    pub gates: Vec<String>,
    /// Whether a person has to approve what was proved.
    pub approval: bool,
    /// How long what was proved waits.
    pub soak: std::time::Duration,
    /// When nothing is promoted.
    pub freezes: Vec<Freeze>,
}

/// Reads the configuration of a commit.
///
/// # Errors
///
/// Every problem at once: documents that are wrong, names that are used twice, references to what is not there,
/// promotions that form a circle.
pub fn read(tree: &dyn Tree) -> Result<Config, Problems> {
    let mut reader = Reader::default();
    reader.environments(tree);
    reader.policies(tree);
    let config = reader.resolve();
    Problems(reader.problems).into_result().map(|()| config)
}

/// What a commit says as far as it is sound, over what was known before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partial {
    /// The configuration; what is broken is as it was in the last good commit.
    pub config: Config,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The environments whose own directory has problems.
    pub broken: BTreeSet<EnvName>,
}

/// Reads the configuration of a commit that has problems. A mistake in one environment's directory holds back that
/// environment alone; one in the policies leaves all of them as they were in `last`.
#[must_use]
pub fn read_over(tree: &dyn Tree, last: &Config) -> Partial {
    let mut reader = Reader::default();
    reader.environments(tree);
    reader.policies(tree);
    let mut config = Config::default();
    reader.resolve_environments(&mut config);
    let mut broken = BTreeSet::new();
    for name in tree
        .list(ENVIRONMENTS)
        .iter()
        .filter_map(|name| name.parse::<EnvName>().ok())
    {
        let dir = format!("{ENVIRONMENTS}/{name}");
        if reader.problems.iter().any(|problem| is_at(problem, &dir)) {
            config.environments.remove(&name);
            config.environments.extend(
                last.environments
                    .get_key_value(&name)
                    .map(|(k, v)| (k.clone(), v.clone())),
            );
            broken.insert(name);
        }
    }
    reader.resolve_policies(&mut config);
    if reader.problems.iter().any(|problem| is_at(problem, POLICIES)) {
        config.load_checks.clone_from(&last.load_checks);
        config.promotions.clone_from(&last.promotions);
        let known = &config.environments;
        config
            .promotions
            .retain(|_, promotion| known.contains_key(&promotion.from) && known.contains_key(&promotion.to));
    }
    Partial {
        config,
        problems: reader.problems,
        broken,
    }
}

/// Whether a problem is one of a directory.
pub(crate) fn is_at(problem: &Problem, dir: &str) -> bool {
    let rest = problem.at.as_deref().and_then(|at| at.strip_prefix(dir));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    environments: Vec<(String, Located<EnvironmentSpec>)>,
    verified: BTreeMap<String, Located<VerifiedSpec>>,
    orders: BTreeMap<String, Orders>,
    promotions: Vec<Located<PromotionSpec>>,
    load_checks: Vec<Located<LoadCheckSpec>>,
}

// === impl Config ===

impl Config {
    /// The environment called `name`.
    ///
    /// # Errors
    ///
    /// When there is none; the problem names the ones that exist.
    pub fn environment(&self, name: &str) -> Result<&Environment, Problem> {
        let found = self
            .environments
            .values()
            .find(|environment| environment.name.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = self.environments.keys().map(EnvName::as_str).collect();
            let problem = Problem::new(format!("there is no environment `{name}`"));
            match suggest(name, known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => {
                    problem.hint(format!("no {ENVIRONMENTS}/<name>/{ENVIRONMENT_FILE} exists"))
                }
                None => problem.hint(format!("environments are {}", known.join(", "))),
            }
        })
    }

    /// The environments as the promotions flow: each after the one that it receives from, otherwise by name.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Environment> {
        let mut environments: Vec<&Environment> = self.environments.values().collect();
        environments.sort_by_key(|environment| self.depth(&environment.name));
        environments
    }

    /// How many promotions lead to an environment, one after the other. There are no circles.
    fn depth(&self, name: &EnvName) -> usize {
        let mut depth = 0;
        let mut at = name;
        while let Some(promotion) = self.promotion_to(at).filter(|_| depth <= self.promotions.len()) {
            (at, depth) = (&promotion.from, depth + 1);
        }
        depth
    }

    /// The promotions that begin in an environment.
    pub fn promotions_from<'a>(&'a self, name: &'a EnvName) -> impl Iterator<Item = &'a Promotion> {
        self.promotions
            .values()
            .filter(move |promotion| promotion.from == *name)
    }

    /// The promotion that ends in an environment, if one does.
    #[must_use]
    pub fn promotion_to(&self, name: &EnvName) -> Option<&Promotion> {
        self.promotions.values().find(|promotion| promotion.to == *name)
    }
}

// === impl Environment ===

impl Environment {
    /// The path of the file that says what was proved for this environment.
    #[must_use]
    pub fn verified_file(&self) -> String {
        format!("{}/{}", self.dir, verified::FILE_NAME)
    }
}

// === impl Reader ===

impl Reader {
    fn environments(&mut self, tree: &dyn Tree) {
        for name in tree.list(ENVIRONMENTS) {
            let dir = format!("{ENVIRONMENTS}/{name}");
            let file = format!("{dir}/{ENVIRONMENT_FILE}");
            for raw in self.raw(tree, &file) {
                if let Some(found) = self.expect(raw, "Environment") {
                    self.environments.push((dir.clone(), found));
                }
            }
            for raw in self.raw(tree, &format!("{dir}/{}", verified::FILE_NAME)) {
                if let Some(found) = self.expect(raw, "Verified") {
                    self.verified.insert(dir.clone(), found);
                }
            }
            let orders = self.orders(tree, &dir);
            self.orders.insert(dir, orders);
        }
        if self.environments.is_empty() && self.problems.is_empty() {
            let message = format!("the repository has no {ENVIRONMENTS}/<name>/{ENVIRONMENT_FILE}");
            self.problems.push(
                Problem::new(message)
                    .hint("write one beside each overlay; its schema: gitsync schema Environment"),
            );
        }
    }

    fn policies(&mut self, tree: &dyn Tree) {
        let names = tree.list(POLICIES);
        for name in names
            .iter()
            .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        {
            for raw in self.raw(tree, &format!("{POLICIES}/{name}")) {
                match raw.kind.as_str() {
                    "Promotion" => {
                        if let Some(found) = self.typed(raw) {
                            self.promotions.push(found);
                        }
                    }
                    "LoadCheck" => {
                        if let Some(mut found) = self.typed(raw) {
                            self.bundle(tree, &mut found);
                            self.load_checks.push(found);
                        }
                    }
                    kind => {
                        let message = format!("a document of kind {kind} belongs to {ENVIRONMENTS}/<name>/");
                        self.problems.push(Problem::new(message).at_line(&raw.file, 0));
                    }
                }
            }
        }
    }

    /// Gathers the files of a check's script.
    fn bundle(&mut self, tree: &dyn Tree, found: &mut Located<LoadCheckSpec>) {
        let Some(script) = found.document.spec.script.clone() else {
            return;
        };
        match Bundle::gather(&found.file, &script, |path| tree.text(path)) {
            Ok(bundle) => found.document.spec.bundle = Some(bundle),
            Err(problems) => {
                let place = |problem: String| found.problem(&["spec", "script"], problem);
                self.problems.extend(problems.into_iter().map(place));
            }
        }
    }

    pub(super) fn raw(&mut self, tree: &dyn Tree, file: &str) -> Vec<Raw> {
        let text = match tree.text(file) {
            Ok(Some(text)) => text,
            Ok(None) => return Vec::new(),
            Err(error) => {
                self.problems.push(Problem::new(error).at_line(file, 0));
                return Vec::new();
            }
        };
        document::read(file, &text).unwrap_or_else(|problems| {
            self.problems.extend(problems);
            Vec::new()
        })
    }

    pub(super) fn expect<Spec: DeserializeOwned>(&mut self, raw: Raw, kind: &str) -> Option<Located<Spec>> {
        if raw.kind == kind {
            return self.typed(raw);
        }
        let message = format!("holds a {}, expected kind {kind}", raw.kind);
        self.problems.push(Problem::new(message).at_line(&raw.file, 0));
        None
    }

    fn typed<Spec: DeserializeOwned>(&mut self, raw: Raw) -> Option<Located<Spec>> {
        raw.typed()
            .map_err(|problems| self.problems.extend(problems))
            .ok()
    }

    fn resolve(&mut self) -> Config {
        let mut config = Config::default();
        self.resolve_environments(&mut config);
        self.resolve_policies(&mut config);
        config
    }

    fn resolve_policies(&mut self, config: &mut Config) {
        self.resolve_load_checks(config);
        self.resolve_promotions(config);
        self.refuse_circles(config);
    }

    fn resolve_environments(&mut self, config: &mut Config) {
        for (dir, found) in std::mem::take(&mut self.environments) {
            let spec = &found.document.spec;
            let Ok(name) = found.name().parse::<EnvName>() else {
                continue;
            };
            if format!("{ENVIRONMENTS}/{name}") != dir {
                let message = format!("the environment is called `{name}`, its directory `{dir}`");
                self.problems.push(
                    found
                        .problem(&["metadata", "name"], message)
                        .hint("they must agree"),
                );
            }
            if spec.cluster.context.is_some() == spec.cluster.in_cluster {
                let message = "needs exactly one of `context` and `inCluster: true`";
                self.problems.push(found.problem(&["spec", "cluster"], message));
            }
            self.check_ignored(&found);
            let verified = self.verified.remove(&dir).map(|v| v.document.spec);
            let orders = self.orders.remove(&dir).unwrap_or_default();
            config.environments.insert(
                name.clone(),
                Environment {
                    name,
                    dir,
                    spec: found.document.spec,
                    verified,
                    orders,
                },
            );
        }
    }

    /// Refuses to ignore what says which object it is, or that it is ours.
    fn check_ignored(&mut self, found: &Located<EnvironmentSpec>) {
        for (rule, ignored) in found.document.spec.sync.ignore_differences.iter().enumerate() {
            for (at, pointer) in ignored.json_pointers.iter().enumerate() {
                if !NEVER_IGNORED.contains(&pointer.as_str()) {
                    continue;
                }
                let (rule, at) = (rule.to_string(), at.to_string());
                let path = ["spec", "sync", "ignoreDifferences", &rule, "jsonPointers", &at];
                let message = format!("`{pointer}` says which object it is, and cannot be ignored");
                self.problems
                    .push(found.problem(&path, message).hint("name a field below it"));
            }
        }
    }

    fn resolve_load_checks(&mut self, config: &mut Config) {
        for found in std::mem::take(&mut self.load_checks) {
            for invalid in found.document.spec.validate() {
                let pointer = format!("/spec{}", invalid.pointer);
                let path: Vec<String> = pointer
                    .split('/')
                    .skip(1)
                    .map(|key| key.replace("~1", "/").replace("~0", "~"))
                    .collect();
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let problem = found.problem(&path, invalid.message);
                self.problems.push(Problem {
                    hint: invalid.hint,
                    ..problem
                });
            }
            if config.load_checks.contains_key(found.name()) {
                self.twice(&found, "LoadCheck");
            }
            config
                .load_checks
                .insert(found.name().to_owned(), found.document.spec);
        }
    }

    /// Whether an environment's own file already has a problem: that it is missing then is no second one.
    fn is_broken(&self, name: &str) -> bool {
        let file = format!("{ENVIRONMENTS}/{name}/{ENVIRONMENT_FILE}:");
        let mut places = self.problems.iter().filter_map(|problem| problem.at.as_ref());
        places.any(|at| at.starts_with(&file))
    }

    fn resolve_promotions(&mut self, config: &mut Config) {
        for found in std::mem::take(&mut self.promotions) {
            let spec = &found.document.spec;
            for (field, name) in [("from", &spec.from), ("to", &spec.to)] {
                if let Err(problem) = config.environment(name)
                    && !self.is_broken(name)
                {
                    let place = found.problem(&["spec", field], problem.message);
                    self.problems.push(Problem {
                        hint: problem.hint,
                        ..place
                    });
                }
            }
            self.check_gates(&found, config);
            let (Ok(from), Ok(to)) = (spec.from.parse::<EnvName>(), spec.to.parse::<EnvName>()) else {
                continue;
            };
            if let Some(other) = config.promotion_to(&to) {
                let message = format!(
                    "promotion `{}` already leads to `{to}`; an environment has one way in",
                    other.name
                );
                self.problems.push(found.problem(&["spec", "to"], message));
            }
            if config.promotions.contains_key(found.name()) {
                self.twice(&found, "Promotion");
            }
            let promotion = Promotion {
                name: found.name().to_owned(),
                from,
                to,
                gates: spec
                    .gates
                    .iter()
                    .filter_map(|gate| gate.load_check.clone())
                    .collect(),
                approval: spec
                    .gates
                    .iter()
                    .any(|gate| gate.approval == Some(ApprovalMode::Required)),
                soak: spec
                    .gates
                    .iter()
                    .filter_map(|gate| gate.soak)
                    .map(Duration::get)
                    .max()
                    .unwrap_or_default(),
                freezes: spec.freezes.clone(),
            };
            config.promotions.insert(promotion.name.clone(), promotion);
        }
    }

    fn check_gates(&mut self, found: &Located<PromotionSpec>, config: &Config) {
        let gates = &found.document.spec.gates;
        for (index, gate) in gates.iter().enumerate() {
            let index = index.to_string();
            let given = [
                gate.load_check.is_some(),
                gate.approval.is_some(),
                gate.soak.is_some(),
            ];
            if given.iter().filter(|given| **given).count() != 1 {
                let message = "needs exactly one of `loadCheck`, `approval` and `soak`";
                self.problems
                    .push(found.problem(&["spec", "gates", &index], message));
            }
            let Some(name) = gate
                .load_check
                .as_ref()
                .filter(|name| !config.load_checks.contains_key(*name))
            else {
                continue;
            };
            let near = suggest(name, config.load_checks.keys().map(String::as_str));
            let message = format!("there is no LoadCheck `{name}` in {POLICIES}/");
            let problem = found.problem(&["spec", "gates", &index, "loadCheck"], message);
            self.problems.push(Problem {
                hint: near.map(|near| format!("did you mean `{near}`?")),
                ..problem
            });
        }
        if !gates.iter().any(|gate| gate.load_check.is_some()) {
            let message = "needs at least one `loadCheck`; nothing else proves anything";
            self.problems.push(found.problem(&["spec", "gates"], message));
        }
    }

    fn twice<Spec>(&mut self, found: &Located<Spec>, kind: &str) {
        let message = format!("there is a second {kind} called `{}`", found.name());
        self.problems.push(found.problem(&["metadata", "name"], message));
    }

    fn refuse_circles(&mut self, config: &Config) {
        for promotion in config.promotions.values() {
            let (mut at, mut steps) = (&promotion.from, 0);
            while let Some(before) = config.promotion_to(at) {
                (at, steps) = (&before.from, steps + 1);
                if *at == promotion.from || steps > config.promotions.len() {
                    let message = format!(
                        "promotion `{}` is part of a circle: it leads back to `{}`",
                        promotion.name, promotion.from
                    );
                    self.problems.push(Problem::new(message).at_line(POLICIES, 0));
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        tree.insert("policies/vap.yaml", "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: x}\n");
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
}
