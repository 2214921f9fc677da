//! Custom health: how far objects of a kind are that Kubernetes does not know, by what git says of the kind.
//!
//! The words, and the order in which they are asked, are those of Flux's `healthCheckExprs`: in progress, failed, current;
//! what is none of them is in progress.

use cel::{Program, Scope};
use serde_json::Value;

use super::rollout::{Progress, early, progress};
use crate::config::environment::HealthCheckExpr;

/// The rules of an environment.
#[derive(Debug, Default)]
pub struct Expressions {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    api_version: String,
    kind: String,
    in_progress: Option<Program>,
    failed: Option<Program>,
    current: Program,
    /// All of it as git says it, to tell it from another.
    text: String,
}

// === impl Expressions ===

impl Expressions {
    /// The rules as git says them. What is no expression was refused when the configuration was read, and is left out here.
    #[must_use]
    pub fn new(specs: &[HealthCheckExpr]) -> Self {
        let read = |text: &Option<String>| text.as_deref().and_then(|text| Program::parse(text).ok());
        let rule = |spec: &HealthCheckExpr| {
            Some(Rule {
                api_version: spec.api_version.clone(),
                kind: spec.kind.clone(),
                in_progress: read(&spec.in_progress),
                failed: read(&spec.failed),
                current: Program::parse(&spec.current).ok()?,
                text: format!("{spec:?}"),
            })
        };
        Self {
            rules: specs.iter().filter_map(rule).collect(),
        }
    }

    /// The progress of one live object: by the rule of its kind, and otherwise by the rules of Kubernetes.
    #[must_use]
    pub fn progress(&self, object: &Value) -> Progress {
        let Some(rule) = self.rule_of(object) else {
            return progress(object);
        };
        early(object).unwrap_or_else(|| rule.progress(object))
    }

    /// What tells the rule of an object's kind from any other; empty when there is none.
    #[must_use]
    pub fn text_of(&self, object: &Value) -> &str {
        self.rule_of(object).map_or("", |rule| &rule.text)
    }

    fn rule_of(&self, object: &Value) -> Option<&Rule> {
        let is_it = |rule: &&Rule| object["apiVersion"] == rule.api_version && object["kind"] == rule.kind;
        self.rules.iter().find(is_it)
    }
}

// === impl Rule ===

impl Rule {
    fn progress(&self, object: &Value) -> Progress {
        let mut scope = Scope::default();
        for (field, value) in object.as_object().into_iter().flatten() {
            scope.set(field, cel::Value::from(value));
        }
        // A field that is not there yet makes an expression neither true nor false.
        let holds = |program: &Program| program.evaluate(&scope) == Ok(cel::Value::Bool(true));
        if self.in_progress.as_ref().is_some_and(holds) {
            return Progress::InProgress("its health expression says that it is in progress".to_owned());
        }
        if self.failed.as_ref().is_some_and(holds) {
            return Progress::Failed("its health expression says that it has failed".to_owned());
        }
        match self.current.evaluate(&scope) {
            Ok(cel::Value::Bool(true)) => Progress::Current,
            Ok(cel::Value::Bool(false)) => {
                Progress::InProgress("its health expression does not hold yet".to_owned())
            }
            Ok(other) => Progress::InProgress(format!(
                "its health expression is a {}, not true or false",
                other.kind()
            )),
            Err(error) => Progress::InProgress(format!("its health expression has no answer yet: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mk_rules() -> Expressions {
        let specs: Vec<HealthCheckExpr> = serde_yaml::from_str(
            "- apiVersion: example.com/v1\n  kind: Database\n  inProgress: status.phase == 'Restoring'\n  \
             failed: status.phase == 'Lost'\n  \
             current: status.phase == 'Ready' && status.members.all(m, m.healthy) && spec.size == size(status.members)\n",
        )
        .unwrap();
        Expressions::new(&specs)
    }

    #[test]
    fn the_rule_of_a_kind_decides_in_the_order_of_flux() {
        let rules = mk_rules();
        let with = |status: Value| {
            let object = json!({
                "apiVersion": "example.com/v1",
                "kind": "Database",
                "metadata": {"generation": 2},
                "spec": {"size": 1},
                "status": status,
            });
            match rules.progress(&object) {
                Progress::Current => "current".to_owned(),
                Progress::InProgress(why) => why,
                Progress::Failed(_) => "failed".to_owned(),
                Progress::Terminating => "terminating".to_owned(),
            }
        };
        let member = |healthy: bool| json!([{"healthy": healthy}]);
        for (status, wanted) in [
            (json!({"phase": "Ready", "members": member(true)}), "current"),
            (
                json!({"phase": "Ready", "members": member(false)}),
                "its health expression does not hold yet",
            ),
            (json!({"phase": "Lost", "members": member(true)}), "failed"),
            (
                json!({"phase": "Restoring"}),
                "its health expression says that it is in progress",
            ),
            (
                json!({"phase": "Ready", "members": member(true), "observedGeneration": 1}),
                "generation 2 is not observed yet, the controller is at 1",
            ),
        ] {
            assert_eq!(with(status.clone()), wanted, "{status}");
        }
        let told = with(Value::Null);
        assert!(
            told.starts_with("its health expression has no answer yet"),
            "{told}"
        );
    }

    #[test]
    fn other_kinds_and_versions_are_judged_as_ever_and_what_goes_is_going() {
        let rules = mk_rules();
        let other = json!({"apiVersion": "example.com/v2", "kind": "Database"});
        assert_eq!(rules.progress(&other), Progress::Current);
        assert_eq!(rules.text_of(&other), "");
        let going = json!({
            "apiVersion": "example.com/v1",
            "kind": "Database",
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        });
        assert_eq!(rules.progress(&going), Progress::Terminating);
        assert!(rules.text_of(&going).contains("Lost"));
    }
}
