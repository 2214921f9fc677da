//! Repository configuration: all of gitsync's own documents of one commit, with every reference resolved.

pub mod environments;
mod policies;
pub mod survey;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use self::environments::{Place, directory};
use super::document::{self, Located, Raw};
use super::environment::EnvironmentSpec;
use super::load_check::LoadCheckSpec;
use super::orders::Orders;
use super::promotion::{Freeze, PromotionSpec};
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
/// The names under which kustomize finds a kustomization, in its order.
pub const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

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
    /// Its name, which is also the name of its directory; with the app's, where each app has a directory.
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
    for name in names(tree, &config, last) {
        if reader.problems.iter().any(|problem| concerns(problem, &name)) {
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

/// The environments that there are, or were and still have a directory.
fn names(tree: &dyn Tree, config: &Config, last: &Config) -> BTreeSet<EnvName> {
    let dirs = tree.list(ENVIRONMENTS);
    let listed = dirs.iter().filter_map(|dir| dir.parse::<EnvName>().ok());
    let known = config
        .environments
        .keys()
        .chain(last.environments.keys())
        .cloned();
    let is_there = |name: &EnvName| tree.kind(&directory(name)).is_some();
    let mut names: BTreeSet<EnvName> = listed.chain(known).filter(is_there).collect();
    let apps: Vec<EnvName> = names
        .iter()
        .filter(|name| name.app().is_some())
        .cloned()
        .collect();
    names.retain(|name| name.app().is_some() || apps.iter().all(|app| app.stage() != name.as_str()));
    names
}

/// Whether a problem is one of an environment: in its own directory, or in what all apps of its directory have in common.
pub(crate) fn concerns(problem: &Problem, name: &EnvName) -> bool {
    let own = directory(name);
    if name.app().is_none() {
        return is_at(problem, &own);
    }
    let above = format!("{ENVIRONMENTS}/{}", name.stage());
    let rest = problem.at.as_deref().and_then(|at| at.strip_prefix(&above));
    let in_common = rest.is_some_and(|rest| rest.matches('/').count() < 2 && !is_at(problem, &own));
    is_at(problem, &own) || in_common
}

/// Whether a problem is one of a directory.
pub(crate) fn is_at(problem: &Problem, dir: &str) -> bool {
    let rest = problem.at.as_deref().and_then(|at| at.strip_prefix(dir));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

#[derive(Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    environments: Vec<Place>,
    verified: BTreeMap<String, Located<VerifiedSpec>>,
    orders: BTreeMap<String, Orders>,
    promotions: Vec<Located<PromotionSpec>>,
    load_checks: Vec<Located<LoadCheckSpec>>,
}

// === impl Config ===

impl Config {
    /// The environments that `name` stands for: the one that is called so, or the apps of that directory.
    ///
    /// # Errors
    ///
    /// When there is none; the problem names the ones that exist.
    pub fn environments_of(&self, name: &str) -> Result<Vec<&Environment>, Problem> {
        let apps = self.environments.values();
        let apps: Vec<&Environment> = apps
            .filter(|app| app.name.app().is_some() && app.name.stage() == name)
            .collect();
        if apps.is_empty() {
            return self.environment(name).map(|found| vec![found]);
        }
        Ok(apps)
    }

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
            let is_app = |known: &&&str| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let apps: Vec<&str> = known.iter().filter(is_app).copied().collect();
            if !apps.is_empty() {
                let message = format!("environment `{name}` has one directory per app");
                return Problem::new(message).hint(format!("name one of {}", apps.join(", ")));
            }
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
}

#[cfg(test)]
mod tests;
