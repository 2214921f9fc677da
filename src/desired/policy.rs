//! Policy: the `ValidatingAdmissionPolicies` of a repository, evaluated before anything is applied.
//!
//! The API server has the last word: it sees what other admission has changed, and who asks. Here is known what git has,
//! so an answer is one of three: it holds, it does not, or nobody can know here. Fields that the server fills in count as
//! not known where they are missing.

use std::collections::BTreeMap;

use cel::{Error, Program, Scope};
use manifest::Manifest;
use serde_json::{Value, json};

use crate::problem::{Problem, Problems};
use crate::source::Tree;

/// Where policies lie that no overlay has to render.
const POLICIES: &str = "policies";

const GROUP: &str = "admissionregistration.k8s.io/";

/// Fields that the API server fills in when they are missing.
const FILLED_IN: [&str; 50] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "namespace",
    "status",
    "replicas",
    "strategy",
    "updateStrategy",
    "rollingUpdate",
    "maxSurge",
    "maxUnavailable",
    "revisionHistoryLimit",
    "progressDeadlineSeconds",
    "imagePullPolicy",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "restartPolicy",
    "dnsPolicy",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "protocol",
    "type",
    "sessionAffinity",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "externalTrafficPolicy",
    "nodePort",
    "targetPort",
    "allocateLoadBalancerNodePorts",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
    "scheme",
    "defaultMode",
    "parallelism",
    "completions",
    "completionMode",
    "backoffLimit",
    "concurrencyPolicy",
    "suspend",
    "podManagementPolicy",
    "volumeMode",
    "storageClassName",
    "requests",
];

/// What becomes of an object that a policy does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody can know here; the API server decides.
    Unknown,
    /// It is applied, with a warning.
    Warned,
    /// It is refused.
    Denied,
}

/// A rule that an object does not fulfil, or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The policy.
    pub policy: String,
    /// What follows.
    pub verdict: Verdict,
    /// Which object, where in git, and why.
    pub problem: Problem,
}

/// Whether a policy is about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Unknown,
}

/// Evaluates every policy that is bound. `others` are policies that are not among the objects.
#[must_use]
pub fn check(objects: &[Manifest], others: &[Manifest]) -> Vec<Violation> {
    let known = objects.iter().chain(others);
    let of_kind = |kind: &'static str| {
        let found = known
            .clone()
            .filter(move |object| object.gvk().kind == kind && object.gvk().api_version().starts_with(GROUP));
        // What is rendered stands first, and is what counts.
        let mut by_name: BTreeMap<String, &Manifest> = BTreeMap::new();
        for object in found {
            by_name.entry(object.name().to_owned()).or_insert(object);
        }
        by_name
    };
    let (policies, bindings) = (
        of_kind("ValidatingAdmissionPolicy"),
        of_kind("ValidatingAdmissionPolicyBinding"),
    );
    let namespaces = labels_of_namespaces(objects);
    let mut violations = Vec::new();
    for (name, policy) in &policies {
        let bound = bindings
            .values()
            .filter(|binding| binding.value()["spec"]["policyName"] == json!(name));
        for binding in bound {
            let rule = Rule::new(
                name,
                &policy.value()["spec"],
                &binding.value()["spec"],
                &namespaces,
            );
            violations.extend(objects.iter().filter_map(|object| rule.check(object)));
        }
    }
    violations
}

/// Refuses objects that one of their own policies denies.
///
/// # Errors
///
/// With every denial.
pub fn refuse(objects: &[Manifest]) -> Result<(), Problems> {
    let denied = check(objects, &[])
        .into_iter()
        .filter(|violation| violation.verdict == Verdict::Denied);
    Problems(denied.map(|violation| violation.problem).collect()).into_result()
}

/// The policies of the repository's own directory. What cannot be read is none of them.
#[must_use]
pub fn read(tree: &dyn Tree) -> Vec<Manifest> {
    let mut found = Vec::new();
    for name in tree.list(POLICIES) {
        let path = format!("{POLICIES}/{name}");
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        if let (true, Ok(Some(text))) = (is_yaml, tree.text(&path)) {
            found.extend(Manifest::parse(&text, &path).unwrap_or_default());
        }
    }
    found
}

/// A policy as one of its bindings applies it.
struct Rule<'a> {
    name: &'a str,
    policy: &'a Value,
    binding: &'a Value,
    namespaces: &'a BTreeMap<String, Value>,
}

// === impl Rule ===

impl<'a> Rule<'a> {
    fn new(
        name: &'a str,
        policy: &'a Value,
        binding: &'a Value,
        namespaces: &'a BTreeMap<String, Value>,
    ) -> Self {
        Self {
            name,
            policy,
            binding,
            namespaces,
        }
    }

    fn check(&self, object: &Manifest) -> Option<Violation> {
        let verdict = self.verdict_of_binding()?;
        let matched = self.matches(object);
        if matched == Match::No {
            return None;
        }
        let scope = self.scope(object);
        let conditions = self.conditions(&scope);
        let reason = match conditions {
            Ok(false) => return None,
            Ok(true) => self.first_violated(&scope)?,
            Err(error) => self.failed(error)?,
        };
        let (verdict, why) = match (reason, matched) {
            (Reason::Violated(why), Match::Yes) => (verdict, why),
            (Reason::Violated(why), _) => (Verdict::Unknown, format!("{why}, if the policy is about it")),
            (Reason::Unknown(why), _) => (Verdict::Unknown, why),
        };
        let problem = Problem::new(format!("policy {}: {why}", self.name))
            .at(Some(object.origin()))
            .object(&object.id());
        Some(Violation {
            policy: self.name.to_owned(),
            verdict,
            problem,
        })
    }

    /// What follows from a violation; `None` when it is only written down.
    fn verdict_of_binding(&self) -> Option<Verdict> {
        let actions = self.binding["validationActions"].as_array()?;
        if actions.iter().any(|action| action == "Deny") {
            Some(Verdict::Denied)
        } else {
            actions
                .iter()
                .any(|action| action == "Warn")
                .then_some(Verdict::Warned)
        }
    }

    fn matches(&self, object: &Manifest) -> Match {
        let constraints = [&self.policy["matchConstraints"], &self.binding["matchResources"]];
        let all = constraints.into_iter().flat_map(|constraint| {
            [
                self.resources(constraint, object),
                self.namespace(&constraint["namespaceSelector"], object),
                selects(
                    &constraint["objectSelector"],
                    &object.value()["metadata"]["labels"],
                    true,
                ),
            ]
        });
        all.fold(Match::Yes, Match::and)
    }

    fn resources(&self, constraint: &Value, object: &Manifest) -> Match {
        let any = |rules: &Value| {
            let rules = rules.as_array()?;
            let matched = rules.iter().map(|rule| resource_rule(rule, object));
            Some(matched.fold(Match::No, Match::or))
        };
        let excluded = any(&constraint["excludeResourceRules"]).unwrap_or(Match::No);
        any(&constraint["resourceRules"])
            .unwrap_or(Match::Yes)
            .and(excluded.not())
    }

    fn namespace(&self, selector: &Value, object: &Manifest) -> Match {
        if !is_selector(selector) {
            return Match::Yes;
        }
        if object.gvk().kind == "Namespace" {
            let labels = labels_of_namespace(object.name(), &object.value()["metadata"]["labels"]);
            return selects(selector, &labels, true);
        }
        match object.namespace() {
            // Nothing here says which namespace it would get, or whether it has one.
            "" => Match::Unknown,
            name => match self.namespaces.get(name) {
                Some(labels) => selects(selector, labels, true),
                None => selects(selector, &labels_of_namespace(name, &Value::Null), false),
            },
        }
    }

    fn scope(&self, object: &Manifest) -> Scope {
        let mut scope = Scope::default();
        scope.set_open_fields(|field| FILLED_IN.contains(&field));
        scope.set("object", cel::Value::from(&as_stored(object.value())));
        for name in ["oldObject", "request", "authorizer", "namespaceObject"] {
            scope.set_unknown(name);
        }
        match self.policy["paramKind"].is_null() {
            true => scope.set("params", cel::Value::Null),
            false => scope.set_unknown("params"),
        }
        for variable in self.policy["variables"].as_array().into_iter().flatten() {
            let value = evaluate(&variable["expression"], &scope);
            let name = variable["name"].as_str().unwrap_or_default();
            scope.set_result(&format!("variables.{name}"), value);
        }
        scope
    }

    /// Whether the policy's own conditions hold: one that does not ends it, whatever the others are.
    fn conditions(&self, scope: &Scope) -> Result<bool, Error> {
        let mut undecided = Ok(true);
        for condition in self.policy["matchConditions"].as_array().into_iter().flatten() {
            match truth(&condition["expression"], scope) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => undecided = Err(error),
            }
        }
        undecided
    }

    /// Of several, one that is violated counts more than one that is not known.
    fn first_violated(&self, scope: &Scope) -> Option<Reason> {
        let mut unknown = None;
        for validation in self.policy["validations"].as_array().into_iter().flatten() {
            let reason = match truth(&validation["expression"], scope) {
                Ok(true) => continue,
                Ok(false) => Some(Reason::Violated(message(validation, scope))),
                Err(error) => self.failed(told(error, validation)),
            };
            match reason {
                Some(Reason::Violated(why)) => return Some(Reason::Violated(why)),
                Some(reason) => unknown = unknown.or(Some(reason)),
                None => {}
            }
        }
        unknown
    }

    /// What follows from an expression without a value, as the policy says.
    fn failed(&self, error: Error) -> Option<Reason> {
        match error {
            Error::Unknown(why) => Some(Reason::Unknown(format!("it cannot be known here: {why}"))),
            Error::Failed(_) if self.policy["failurePolicy"] == "Ignore" => None,
            Error::Failed(why) => Some(Reason::Violated(why)),
        }
    }
}

/// Why an object is not let through, or may not be.
enum Reason {
    Violated(String),
    Unknown(String),
}

// === impl Match ===

impl Match {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

fn evaluate(expression: &Value, scope: &Scope) -> Result<cel::Value, Error> {
    let text = expression.as_str().unwrap_or_default();
    // The server knows more of the language than we do; it says so if it is no expression at all.
    let program = Program::parse(text).map_err(|error| Error::Unknown(format!("`{text}`, {error}")))?;
    program.evaluate(scope)
}

fn truth(expression: &Value, scope: &Scope) -> Result<bool, Error> {
    match evaluate(expression, scope)? {
        cel::Value::Bool(value) => Ok(value),
        other => Err(Error::Failed(format!(
            "the expression is a {}, not true or false",
            other.kind()
        ))),
    }
}

/// An error in the words of the API server, which names the expression.
fn told(error: Error, validation: &Value) -> Error {
    let expression = validation["expression"].as_str().unwrap_or_default();
    match error {
        Error::Failed(why) => Error::Failed(format!("expression '{expression}' resulted in error: {why}")),
        unknown @ Error::Unknown(_) => unknown,
    }
}

/// What a validation says when it does not hold.
fn message(validation: &Value, scope: &Scope) -> String {
    let made = match &validation["messageExpression"] {
        Value::Null => None,
        expression => evaluate(expression, scope).ok(),
    };
    if let Some(cel::Value::String(text)) = made
        && !text.trim().is_empty()
    {
        return text.trim().to_owned();
    }
    let message = validation["message"]
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let expression = validation["expression"].as_str().unwrap_or_default().trim();
    message.map_or_else(|| format!("failed expression: {expression}"), str::to_owned)
}

fn resource_rule(rule: &Value, object: &Manifest) -> Match {
    let has = |key: &str, wanted: &[&str]| {
        let list = rule[key].as_array()?;
        let found = list
            .iter()
            .filter_map(Value::as_str)
            .any(|item| wanted.contains(&item));
        Some(found)
    };
    let gvk = object.gvk();
    let version = gvk.api_version();
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let resource = plural(&gvk.kind);
    let group = Match::of(has("apiGroups", &["*", group]).unwrap_or(false));
    let resource = Match::of(has("resources", &["*", "*/*", &resource]).unwrap_or(false));
    // An equivalent version of the same kind matches too, unless the policy says otherwise.
    let version = match has("apiVersions", &["*", version]) {
        Some(true) => Match::Yes,
        _ => Match::Unknown,
    };
    let name = match rule["resourceNames"].as_array() {
        Some(names) if !names.is_empty() => Match::of(names.iter().any(|name| *name == object.name())),
        _ => Match::Yes,
    };
    let operation = match (
        has("operations", &["*"]),
        has("operations", &["CREATE"]),
        has("operations", &["UPDATE"]),
    ) {
        (Some(true), ..) | (_, Some(true), Some(true)) => Match::Yes,
        (_, Some(true), _) | (_, _, Some(true)) => Match::Unknown,
        _ => Match::No,
    };
    let scope = match (rule["scope"].as_str(), object.namespace()) {
        (Some("Namespaced"), "") => Match::Unknown,
        (Some("Cluster"), namespace) => Match::of(namespace.is_empty()),
        _ => Match::Yes,
    };
    [group, resource, version, name, operation, scope]
        .into_iter()
        .fold(Match::Yes, Match::and)
}

/// The resource of a kind, as Kubernetes forms it.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    match lower.chars().last() {
        _ if lower == "endpoints" => lower,
        Some('s' | 'x') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}

fn is_selector(selector: &Value) -> bool {
    ["matchLabels", "matchExpressions"]
        .iter()
        .any(|key| !selector[*key].is_null())
}

/// Whether labels are selected; where not `all` of them are known, one that is missing may be there.
fn selects(selector: &Value, labels: &Value, all: bool) -> Match {
    let missing = if all { Match::No } else { Match::Unknown };
    let one_of = |key: &str, values: &[&Value]| match labels.get(key) {
        Some(label) => Match::of(values.contains(&label)),
        None => missing,
    };
    let by_label = selector["matchLabels"].as_object().into_iter().flatten();
    let by_label = by_label.map(|(key, value)| one_of(key, &[value]));
    let by_expression = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|expression| {
            let key = expression["key"].as_str().unwrap_or_default();
            let values: Vec<&Value> = expression["values"].as_array().into_iter().flatten().collect();
            let exists = match labels.get(key) {
                Some(_) => Match::Yes,
                None => missing,
            };
            match expression["operator"].as_str() {
                Some("In") => one_of(key, &values),
                Some("NotIn") => one_of(key, &values).not(),
                Some("Exists") => exists,
                Some("DoesNotExist") => exists.not(),
                _ => Match::Unknown,
            }
        });
    by_label.chain(by_expression).fold(Match::Yes, Match::and)
}

fn labels_of_namespaces(objects: &[Manifest]) -> BTreeMap<String, Value> {
    let namespaces = objects.iter().filter(|object| object.gvk().kind == "Namespace");
    namespaces
        .map(|object| {
            let labels = labels_of_namespace(object.name(), &object.value()["metadata"]["labels"]);
            (object.name().to_owned(), labels)
        })
        .collect()
}

/// A namespace's labels, with the one that the API server gives to each.
fn labels_of_namespace(name: &str, own: &Value) -> Value {
    let mut labels = own.as_object().cloned().unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    Value::Object(labels)
}

/// An object with what the API server's types always have, be it empty.
fn as_stored(object: &Value) -> Value {
    let mut object = object.clone();
    for at in [
        "/spec",
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
    ] {
        let Some(pod) = object
            .pointer_mut(at)
            .filter(|spec| spec["containers"].is_array())
        else {
            continue;
        };
        if pod["securityContext"].is_null() {
            pod["securityContext"] = json!({});
        }
        for list in ["containers", "initContainers"] {
            for container in pod[list].as_array_mut().into_iter().flatten() {
                if container.is_object() && container["resources"].is_null() {
                    container["resources"] = json!({});
                }
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: limits}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
  variables:
  - {name: containers, expression: object.spec.template.spec.containers}
  validations:
  - expression: variables.containers.all(c, has(c.resources) && has(c.resources.limits))
    message: every container needs limits
";
    const BINDING: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: limits}
spec:
  policyName: limits
  validationActions: [Deny]
";
    const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {spec: {containers: [{name: web, image: 'a:1'}]}}}
";

    fn verdict(policy: &str, binding: &str, object: &str) -> Option<(Verdict, String)> {
        let text = [object, policy, binding].join("---\n");
        let objects = Manifest::parse(&text, "a.yaml").unwrap();
        let found = check(&objects, &[]).into_iter().next();
        found.map(|violation| (violation.verdict, violation.problem.to_string()))
    }

    #[test]
    fn what_a_policy_denies_is_said_with_its_place() {
        let told = "a.yaml:1: Deployment.apps shop/web: policy limits: every container needs limits";
        assert_eq!(
            verdict(POLICY, BINDING, DEPLOYMENT),
            Some((Verdict::Denied, told.to_owned()))
        );
        let good = DEPLOYMENT.replace("image: 'a:1'", "image: 'a:1', resources: {limits: {cpu: 1}}");
        assert_eq!(verdict(POLICY, BINDING, &good), None);
        let objects = Manifest::parse(&[DEPLOYMENT, POLICY, BINDING].join("---\n"), "a.yaml").unwrap();
        assert_eq!(refuse(&objects).unwrap_err().to_string(), told);
        assert!(refuse(&objects[..1]).is_ok());
        assert_eq!(
            check(&objects[..1], &objects[1..]).len(),
            1,
            "policies may lie elsewhere"
        );
    }

    #[test]
    fn a_policy_is_about_what_it_says_and_no_more() {
        let none = None;
        let (denied, warned, unknown) = (
            Some(Verdict::Denied),
            Some(Verdict::Warned),
            Some(Verdict::Unknown),
        );
        let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {tier: a}}\n";
        let with_namespace = format!("{DEPLOYMENT}{namespace}");
        let select =
            |selector: &str| format!("{BINDING}  matchResources: {{namespaceSelector: {selector}}}\n");
        let cases: [(&str, String, String, &str, Option<Verdict>); 16] = [
            (
                "another kind",
                POLICY.replace("[deployments]", "[pods]"),
                BINDING.into(),
                DEPLOYMENT,
                none,
            ),
            (
                "another group",
                POLICY.replace("[apps]", "[batch]"),
                BINDING.into(),
                DEPLOYMENT,
                none,
            ),
            (
                "every kind",
                POLICY.replace("[deployments]", "['*']"),
                BINDING.into(),
                DEPLOYMENT,
                denied,
            ),
            (
                "deletions",
                POLICY.replace("[CREATE, UPDATE]", "[DELETE]"),
                BINDING.into(),
                DEPLOYMENT,
                none,
            ),
            (
                "only new ones",
                POLICY.replace("[CREATE, UPDATE]", "[CREATE]"),
                BINDING.into(),
                DEPLOYMENT,
                unknown,
            ),
            (
                "another version",
                POLICY.replace("apiVersions: [v1]", "apiVersions: [v2]"),
                BINDING.into(),
                DEPLOYMENT,
                unknown,
            ),
            (
                "not bound",
                POLICY.into(),
                BINDING.replace("policyName: limits", "policyName: other"),
                DEPLOYMENT,
                none,
            ),
            (
                "a warning",
                POLICY.into(),
                BINDING.replace("Deny", "Warn, Audit"),
                DEPLOYMENT,
                warned,
            ),
            (
                "written down only",
                POLICY.into(),
                BINDING.replace("Deny", "Audit"),
                DEPLOYMENT,
                none,
            ),
            (
                "this namespace",
                POLICY.into(),
                select("{matchLabels: {kubernetes.io/metadata.name: shop}}"),
                DEPLOYMENT,
                denied,
            ),
            (
                "another namespace",
                POLICY.into(),
                select("{matchLabels: {kubernetes.io/metadata.name: x}}"),
                DEPLOYMENT,
                none,
            ),
            (
                "a label nobody knows",
                POLICY.into(),
                select("{matchLabels: {tier: a}}"),
                DEPLOYMENT,
                unknown,
            ),
            (
                "a label of git",
                POLICY.into(),
                select("{matchLabels: {tier: a}}"),
                &with_namespace,
                denied,
            ),
            (
                "labels of git",
                POLICY.into(),
                select("{matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}"),
                &with_namespace,
                none,
            ),
            (
                "a condition",
                format!(
                    "{POLICY}  matchConditions: [{{name: x, expression: \"object.metadata.name != 'web'\"}}]\n"
                ),
                BINDING.into(),
                DEPLOYMENT,
                none,
            ),
            (
                "who asks",
                format!(
                    "{POLICY}  matchConditions: [{{name: x, expression: \"request.userInfo.username != 'x'\"}}]\n"
                ),
                BINDING.into(),
                DEPLOYMENT,
                unknown,
            ),
        ];
        for (case, policy, binding, object, expected) in cases {
            let found = verdict(&policy, &binding, object);
            assert_eq!(found.as_ref().map(|found| found.0), expected, "{case}: {found:?}");
        }
    }

    #[test]
    fn expressions_without_a_value_follow_the_policy() {
        let with = |expression: &str, rest: &str| {
            let head = POLICY.split("  validations:").next().unwrap();
            format!("{head}{rest}  validations: [{{expression: \"{expression}\"}}]\n")
        };
        let of = |policy: &str| verdict(policy, BINDING, DEPLOYMENT);
        let missing = of(&with("object.spec.paused", ""));
        assert!(
            missing.as_ref().unwrap().1.ends_with(
                "policy limits: expression 'object.spec.paused' resulted in error: no such key: paused"
            ),
            "{missing:?}"
        );
        assert_eq!(of(&with("object.spec.paused", "  failurePolicy: Ignore\n")), None);
        for (expression, verdict) in [
            ("object.spec.replicas < 5", Verdict::Unknown),
            ("params.limit > 1 || true", Verdict::Denied),
            ("quantity('1Gi') == quantity('1Gi')", Verdict::Unknown),
            ("1 +", Verdict::Unknown),
            ("object.spec.replicas < 5 && false", Verdict::Denied),
        ] {
            let policy = with(expression, "");
            let found = of(&policy);
            let expected = if expression.starts_with("params") {
                None
            } else {
                Some(verdict)
            };
            assert_eq!(
                found.as_ref().map(|found| found.0),
                expected,
                "{expression}: {found:?}"
            );
        }
        let said = with("false", "").replace(
            "}]\n",
            ", messageExpression: \\\"'no ' + object.metadata.name\\\"}]\n",
        );
        let said = said.replace("\\\"", "\"");
        assert!(of(&said).unwrap().1.ends_with("policy limits: no web"));
    }

    #[test]
    fn kinds_have_the_plurals_of_kubernetes() {
        for (kind, resource) in [
            ("Deployment", "deployments"),
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Endpoints", "endpoints"),
        ] {
            assert_eq!(plural(kind), resource);
        }
    }
}
