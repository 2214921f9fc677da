//! Environments: the directories that gitsync keeps a cluster in step with.
//!
//! ```text
//! environments/staging/environment.yaml      one environment, `staging`: its overlay is beside the file
//! environments/staging/kustomization.yaml
//!
//! environments/prod/environment.yaml         one for each app, `prod.api` and `prod.web`: what is beside the file holds for all
//! environments/prod/api/kustomization.yaml
//! environments/prod/web/kustomization.yaml
//! ```

use super::{ENVIRONMENT_FILE, ENVIRONMENTS, Environment, KUSTOMIZATION_FILES, Reader};
use crate::config::document::Located;
use crate::config::environment::EnvironmentSpec;
use crate::config::orders::Orders;
use crate::config::repository::Config;
use crate::config::verified;
use crate::model::EnvName;
use crate::problem::Problem;
use crate::source::Tree;

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

/// A directory with an `environment.yaml`.
#[derive(Debug)]
pub(super) struct Place {
    /// The directory's name, which is the environment's too.
    name: String,
    /// Its apps, if each has a directory of its own.
    apps: Vec<String>,
    found: Located<EnvironmentSpec>,
}

/// The apps of an environment's directory: the directories in it that hold a kustomization, unless it holds one itself.
#[must_use]
pub fn apps(tree: &dyn Tree, dir: &str) -> Vec<String> {
    let holds_one = |dir: &str| {
        let mut files = KUSTOMIZATION_FILES.iter();
        files.any(|file| tree.kind(&format!("{dir}/{file}")).is_some())
    };
    if holds_one(dir) {
        return Vec::new();
    }
    let mut names = tree.list(dir);
    names.retain(|name| holds_one(&format!("{dir}/{name}")));
    names
}

/// The directories that hold an `environment.yaml`, right or wrong, by their names, each with its [`apps`].
#[must_use]
pub fn stages(tree: &dyn Tree) -> Vec<(String, Vec<String>)> {
    let stage = |name: String| {
        let dir = format!("{ENVIRONMENTS}/{name}");
        let is_one = tree.list(&dir).iter().any(|file| file == ENVIRONMENT_FILE);
        is_one.then(|| (name, apps(tree, &dir)))
    };
    tree.list(ENVIRONMENTS).into_iter().filter_map(stage).collect()
}

/// The directory of an environment, by its name.
#[must_use]
pub fn directory(name: &EnvName) -> String {
    match name.app() {
        Some(app) => format!("{ENVIRONMENTS}/{}/{app}", name.stage()),
        None => format!("{ENVIRONMENTS}/{name}"),
    }
}

// === impl Reader ===

impl Reader {
    pub(super) fn environments(&mut self, tree: &dyn Tree) {
        for name in tree.list(ENVIRONMENTS) {
            let dir = format!("{ENVIRONMENTS}/{name}");
            let apps = apps(tree, &dir);
            for raw in self.raw(tree, &format!("{dir}/{ENVIRONMENT_FILE}")) {
                if let Some(found) = self.expect(raw, "Environment") {
                    let (name, apps) = (name.clone(), apps.clone());
                    self.environments.push(Place { name, apps, found });
                }
            }
            for app in &apps {
                self.read_beside_overlay(tree, &format!("{dir}/{app}"));
            }
            if apps.is_empty() {
                self.read_beside_overlay(tree, &dir);
            } else {
                let orders = self.orders(tree, &dir);
                self.orders.insert(dir.clone(), orders);
                self.refuse_proof_of_all(tree, &dir);
            }
        }
        if self.environments.is_empty() && self.problems.is_empty() {
            let message = format!("the repository has no {ENVIRONMENTS}/<name>/{ENVIRONMENT_FILE}");
            self.problems.push(
                Problem::new(message)
                    .hint("write one beside each overlay; its schema: gitsync schema Environment"),
            );
        }
    }

    fn read_beside_overlay(&mut self, tree: &dyn Tree, dir: &str) {
        for raw in self.raw(tree, &format!("{dir}/{}", verified::FILE_NAME)) {
            if let Some(found) = self.expect(raw, "Verified") {
                self.verified.insert(dir.to_owned(), found);
            }
        }
        let orders = self.orders(tree, dir);
        self.orders.insert(dir.to_owned(), orders);
    }

    /// Each app is proved by itself. What was proved for an environment before it had apps would otherwise be forgotten, and
    /// its shared files read as nobody proved them.
    fn refuse_proof_of_all(&mut self, tree: &dyn Tree, dir: &str) {
        let file = format!("{dir}/{}", verified::FILE_NAME);
        if tree.kind(&file).is_some() {
            let message = "the environment has one directory per app, and each app is proved by itself";
            let hint = format!("move it into the directory of each app: git mv {file} {dir}/<app>/");
            self.problems
                .push(Problem::new(message).at_line(&file, 0).hint(hint));
        }
    }

    pub(super) fn resolve_environments(&mut self, config: &mut Config) {
        for Place { name, apps, found } in std::mem::take(&mut self.environments) {
            let dir = format!("{ENVIRONMENTS}/{name}");
            let Ok(written) = found.name().parse::<EnvName>() else {
                continue;
            };
            if written.as_str() != name {
                let message = format!("the environment is called `{written}`, its directory `{dir}`");
                self.problems.push(
                    found
                        .problem(&["metadata", "name"], message)
                        .hint("they must agree"),
                );
            }
            if written.app().is_some() {
                let message = format!(
                    "`{written}` is the name of an app in an environment `{}`",
                    written.stage()
                );
                let problem = found.problem(&["metadata", "name"], message);
                self.problems.push(problem.hint("name it without a dot"));
                continue;
            }
            let spec = &found.document.spec;
            if spec.cluster.context.is_some() == spec.cluster.in_cluster {
                let message = "needs exactly one of `context` and `inCluster: true`";
                self.problems.push(found.problem(&["spec", "cluster"], message));
            }
            self.check_ignored(&found);
            self.check_expressions(&found);
            self.add(config, written, &dir, &apps, &found);
        }
    }

    /// Adds an environment, or one for each of its apps.
    fn add(
        &mut self,
        config: &mut Config,
        name: EnvName,
        dir: &str,
        apps: &[String],
        found: &Located<EnvironmentSpec>,
    ) {
        let all = self.orders.remove(dir).unwrap_or_default();
        if apps.is_empty() {
            self.insert(config, name, dir.to_owned(), all, found);
            return;
        }
        for app in apps {
            let dir = format!("{dir}/{app}");
            match name.with_app(app) {
                Ok(name) => {
                    let own = self.orders.remove(&dir).unwrap_or_default();
                    self.insert(config, name, dir, own.or(&all), found);
                }
                Err(error) => {
                    let file = format!("{dir}/{}", KUSTOMIZATION_FILES[0]);
                    self.problems
                        .push(Problem::new(error.to_string()).at_line(&file, 0));
                }
            }
        }
    }

    fn insert(
        &mut self,
        config: &mut Config,
        name: EnvName,
        dir: String,
        orders: Orders,
        found: &Located<EnvironmentSpec>,
    ) {
        let environment = Environment {
            name: name.clone(),
            verified: self.verified.remove(&dir).map(|found| found.document.spec),
            dir,
            spec: found.document.spec.clone(),
            orders,
        };
        config.environments.insert(name, environment);
    }

    /// Refuses health expressions that are none.
    fn check_expressions(&mut self, found: &Located<EnvironmentSpec>) {
        for (index, rule) in found.document.spec.health_check_exprs.iter().enumerate() {
            let index = index.to_string();
            let expressions = [
                ("inProgress", rule.in_progress.as_ref()),
                ("failed", rule.failed.as_ref()),
                ("current", Some(&rule.current)),
            ];
            for (field, text) in expressions {
                if let Some(Err(error)) = text.map(|text| cel::Program::parse(text)) {
                    let path = ["spec", "healthCheckExprs", &index, field];
                    let message = format!("is no expression: {error}");
                    self.problems.push(found.problem(&path, message));
                }
            }
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
}
