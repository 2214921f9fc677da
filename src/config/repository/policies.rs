//! Policies: the load checks and promotions of a commit, and what their references lead to.

use super::{Config, ENVIRONMENT_FILE, ENVIRONMENTS, POLICIES, Promotion, Reader};
use crate::config::document::Located;
use crate::config::duration::Duration;
use crate::config::load_check::LoadCheckSpec;
use crate::config::promotion::{ApprovalMode, PromotionSpec};
use crate::config::script::bundle::Bundle;
use crate::model::EnvName;
use crate::problem::{Problem, suggest};
use crate::source::Tree;

/// The apps of an environment that has one directory for each.
fn apps_of<'a>(config: &'a Config, name: &str) -> Vec<&'a str> {
    let names = config.environments.keys();
    names
        .filter(|known| known.stage() == name)
        .filter_map(EnvName::app)
        .collect()
}

fn promotion(name: String, from: EnvName, to: EnvName, spec: &PromotionSpec) -> Promotion {
    let gates = spec.gates.iter();
    Promotion {
        name,
        from,
        to,
        gates: gates.clone().filter_map(|gate| gate.load_check.clone()).collect(),
        approval: gates
            .clone()
            .any(|gate| gate.approval == Some(ApprovalMode::Required)),
        soak: gates
            .filter_map(|gate| gate.soak)
            .map(Duration::get)
            .max()
            .unwrap_or_default(),
        freezes: spec.freezes.clone(),
    }
}

// === impl Reader ===

impl Reader {
    pub(super) fn policies(&mut self, tree: &dyn Tree) {
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

    pub(super) fn resolve_policies(&mut self, config: &mut Config) {
        self.resolve_load_checks(config);
        self.resolve_promotions(config);
        self.refuse_circles(config);
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
            self.check_gates(&found, config);
            for (name, from, to) in self.ways(&found, config) {
                if let Some(other) = config.promotion_to(&to) {
                    let message = format!(
                        "promotion `{}` already leads to `{to}`; an environment has one way in",
                        other.name
                    );
                    self.problems.push(found.problem(&["spec", "to"], message));
                }
                if config.promotions.contains_key(&name) {
                    self.twice(&found, "Promotion");
                }
                let promotion = promotion(name, from, to, &found.document.spec);
                config.promotions.insert(promotion.name.clone(), promotion);
            }
        }
    }

    /// The names and ends of what a Promotion stands for: itself, or a promotion of each app.
    fn ways(&mut self, found: &Located<PromotionSpec>, config: &Config) -> Vec<(String, EnvName, EnvName)> {
        let spec = &found.document.spec;
        let (from, to) = (apps_of(config, &spec.from), apps_of(config, &spec.to));
        if from.is_empty() && to.is_empty() {
            return self.way(found, config).into_iter().collect();
        }
        for (field, name, apps) in [("from", &spec.from, &from), ("to", &spec.to, &to)] {
            if apps.is_empty() && !self.is_broken(name) {
                let message = format!("`{name}` has not one directory per app, and the other end has");
                self.problems.push(found.problem(&["spec", field], message));
            }
        }
        if from.is_empty() || to.is_empty() {
            return Vec::new();
        }
        let mut wanted: Vec<(Vec<String>, &str)> = Vec::new();
        let at = |path: &[&str]| path.iter().map(|&key| key.to_owned()).collect();
        if spec.apps.is_empty() {
            wanted.extend(to.iter().map(|app| (at(&["spec", "to"]), *app)));
        }
        for (index, app) in spec.apps.iter().enumerate() {
            wanted.push((at(&["spec", "apps", &index.to_string()]), app));
        }
        let mut ways = Vec::new();
        for (path, app) in wanted {
            let ends = [(&spec.from, &from), (&spec.to, &to)];
            if let Some((missing, known)) = ends.into_iter().find(|(_, known)| !known.contains(&app)) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let message = format!("`{missing}` has no app `{app}`; it has {}", known.join(", "));
                self.problems.push(found.problem(&path, message));
                continue;
            }
            let ends = [&spec.from, &spec.to].map(|name| format!("{name}.{app}").parse::<EnvName>());
            if let [Ok(from), Ok(to)] = ends {
                ways.push((format!("{}.{app}", found.name()), from, to));
            }
        }
        ways
    }

    /// The name and ends of a Promotion between environments without apps; what is not there is told.
    fn way(&mut self, found: &Located<PromotionSpec>, config: &Config) -> Option<(String, EnvName, EnvName)> {
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
        if !spec.apps.is_empty() {
            let message = "neither environment has one directory per app";
            self.problems.push(found.problem(&["spec", "apps"], message));
        }
        let (from, to) = (spec.from.parse().ok()?, spec.to.parse().ok()?);
        Some((found.name().to_owned(), from, to))
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
