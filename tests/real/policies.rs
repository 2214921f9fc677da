//! Policies as the real API server decides them, against what `gitsync validate` says beforehand.
//!
//! Each case is a policy of a namespace of its own and an object. What we say is refused, the server has to refuse with the
//! same words; what we let through, it has to accept; what we call unknown may be either.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use gitsync::desired::policy::{Verdict, check};
use manifest::Manifest;

use crate::harness::output::Output;
use crate::harness::pair::ClusterPair;
use crate::harness::state::StateDirectory;
use crate::harness::wait::wait_until;

const DEADLINE: Duration = Duration::from_secs(120);

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {team: shop, tier: web}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: team/web:1.2
        resources:
          limits: {cpu: '1', memory: 1Gi}
        ports:
        - containerPort: 80
      - name: sidecar
        image: team/sidecar@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
";
const CONFIG_MAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations: {example.com/owner: ann}
data:
  mode: production
  workers: '4'
  hosts: a.example.com,b.example.com
";
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80}
  - {name: metrics, port: 9090}
";

/// What is expected of us, apart from agreeing with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    Passes,
    Refused,
    Warned,
    /// We cannot know, and say so.
    Unknown,
}
use Ours::{Passes, Refused, Unknown, Warned};

/// A validation's expression, an object, and what is expected.
const EXPRESSIONS: [(&str, &str, Ours); 34] = [
    ("object.spec.replicas <= 5", DEPLOYMENT, Passes),
    ("object.spec.replicas > 5", DEPLOYMENT, Refused),
    (
        "object.spec.template.spec.containers.all(c, has(c.resources) && has(c.resources.limits))",
        DEPLOYMENT,
        Refused,
    ),
    (
        "object.spec.template.spec.containers.exists(c, has(c.resources.limits) && 'memory' in c.resources.limits)",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.template.spec.containers.exists_one(c, c.name == 'web')",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.template.spec.containers.map(c, c.name) == ['web', 'sidecar']",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.template.spec.containers.filter(c, c.image.contains('@')).size() == 2",
        DEPLOYMENT,
        Refused,
    ),
    (
        "object.spec.template.spec.containers.all(c, c.image.matches('^team/[a-z]+[:@].+$'))",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.template.spec.containers.all(c, c.image.matches(':[0-9.]+$'))",
        DEPLOYMENT,
        Refused,
    ),
    (
        "object.metadata.labels.team == 'shop' && object.metadata.labels['tier'] in ['web', 'batch']",
        DEPLOYMENT,
        Passes,
    ),
    ("has(object.metadata.labels.owner)", DEPLOYMENT, Refused),
    ("object.metadata.labels.owner == 'x'", DEPLOYMENT, Refused),
    (
        "!has(object.metadata.annotations) || !('x' in object.metadata.annotations)",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.metadata.?labels.owner.orValue('none') == 'none'",
        DEPLOYMENT,
        Unknown,
    ),
    (
        "object.metadata.name.startsWith('w') && object.metadata.name.endsWith('b') && size(object.metadata.name) == 3",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.template.spec.containers[2].name == 'x'",
        DEPLOYMENT,
        Refused,
    ),
    (
        "object.spec.template.spec.containers[0].resources.limits.memory == '1Gi'",
        DEPLOYMENT,
        Passes,
    ),
    (
        "object.spec.strategy.type == 'RollingUpdate'",
        DEPLOYMENT,
        Unknown,
    ),
    (
        "quantity(object.spec.template.spec.containers[0].resources.limits.memory).isLessThan(quantity('2Gi'))",
        DEPLOYMENT,
        Unknown,
    ),
    (
        "object.kind == 'Deployment' && object.apiVersion == 'apps/v1'",
        DEPLOYMENT,
        Passes,
    ),
    ("object.data.mode == 'production' || false", CONFIG_MAP, Passes),
    (
        "int(object.data.workers) >= 2 && int(object.data.workers) * 2 == 8",
        CONFIG_MAP,
        Passes,
    ),
    ("int(object.data.mode) > 0", CONFIG_MAP, Refused),
    (
        "object.data.hosts.split(',').all(h, h.endsWith('.example.com'))",
        CONFIG_MAP,
        Passes,
    ),
    (
        "object.data.hosts.split(',').map(h, h.upperAscii()).join('+') == 'A.EXAMPLE.COM+B.EXAMPLE.COM'",
        CONFIG_MAP,
        Passes,
    ),
    (
        "object.data.all(key, key in ['mode', 'workers'])",
        CONFIG_MAP,
        Refused,
    ),
    (
        "object.metadata.annotations['example.com/owner'] == 'ann'",
        CONFIG_MAP,
        Passes,
    ),
    (
        "object.data.mode.replace('pro', 're').substring(0, 2) == 're'",
        CONFIG_MAP,
        Passes,
    ),
    ("1 / (size(object.data) - 3) == 1", CONFIG_MAP, Refused),
    ("1 / (size(object.data) - 3) == 1 || true", CONFIG_MAP, Passes),
    ("object.spec.ports.all(p, p.port in [80, 443])", SERVICE, Refused),
    (
        "object.spec.ports.map(p, p.port).max() < 10000 && object.spec.ports.map(p, p.port).isSorted()",
        SERVICE,
        Passes,
    ),
    ("request.operation == 'CREATE'", SERVICE, Unknown),
    (
        "string(object.spec.ports[0].port) == '80' && object.spec.ports[0].port == 80",
        SERVICE,
        Passes,
    ),
];

/// Whole policies: the fields of their specs besides the constraints, those of the binding, an object, and what is expected.
const POLICIES: [(&str, &str, &str, Ours); 14] = [
    (
        "validations: [{expression: 'object.spec.replicas > 5', message: too few}]",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "validations: [{expression: 'object.spec.replicas > 5', messageExpression: \"'it has ' + string(object.spec.replicas)\", message: unused}]",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "validations: [{expression: 'object.spec.replicas > 5', messageExpression: \"string(object.spec.nothing)\", message: the other}]",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "validations: [{expression: 'object.spec.replicas == 3'}, {expression: 'object.spec.replicas == 4', message: second}, {expression: 'object.spec.replicas == 5', message: third}]",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "{failurePolicy: Ignore, validations: [{expression: 'object.metadata.labels.owner == \"x\"'}]}",
        "",
        DEPLOYMENT,
        Passes,
    ),
    (
        "{failurePolicy: Fail, validations: [{expression: 'object.metadata.labels.owner == \"x\"'}]}",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "{variables: [{name: names, expression: 'object.spec.template.spec.containers.map(c, c.name)'}, {name: first, expression: 'variables.names[0]'}], validations: [{expression: 'variables.first != \"web\"', messageExpression: \"'no ' + variables.first\"}]}",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "{variables: [{name: broken, expression: 'object.spec.nothing'}], validations: [{expression: 'object.spec.replicas == 3'}]}",
        "",
        DEPLOYMENT,
        Passes,
    ),
    (
        "{matchConditions: [{name: only-batch, expression: 'object.metadata.labels.tier == \"batch\"'}], validations: [{expression: 'false'}]}",
        "",
        DEPLOYMENT,
        Passes,
    ),
    (
        "{matchConditions: [{name: only-web, expression: 'object.metadata.labels.tier == \"web\"'}], validations: [{expression: 'false', message: never}]}",
        "",
        DEPLOYMENT,
        Refused,
    ),
    (
        "validations: [{expression: 'false', message: think again}]",
        "validationActions: [Warn]",
        DEPLOYMENT,
        Warned,
    ),
    (
        "validations: [{expression: 'false'}]",
        "validationActions: [Audit]",
        DEPLOYMENT,
        Passes,
    ),
    (
        "validations: [{expression: 'false', message: selected}]",
        "objectSelector: {matchExpressions: [{key: tier, operator: In, values: [web]}, {key: owner, operator: DoesNotExist}]}",
        DEPLOYMENT,
        Refused,
    ),
    (
        "validations: [{expression: 'false'}]",
        "objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}",
        DEPLOYMENT,
        Passes,
    ),
];

struct Case {
    namespace: String,
    policies: String,
    object: String,
    expected: Ours,
}

// === impl Case ===

impl Case {
    fn new(number: usize, spec: &str, binding: &str, object: &str, expected: Ours) -> Self {
        let namespace = format!("case-{number}");
        let (mut spec, binding): (serde_json::Value, serde_json::Value) = (
            serde_yaml::from_str(spec).unwrap(),
            serde_yaml::from_str(if binding.is_empty() { "{}" } else { binding }).unwrap(),
        );
        spec["matchConstraints"] = serde_json::json!({"resourceRules": [{
            "apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["configmaps", "deployments", "services"],
        }]});
        let mut resources = serde_json::json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        });
        if !binding["objectSelector"].is_null() {
            resources["objectSelector"] = binding["objectSelector"].clone();
        }
        let actions = match &binding["validationActions"] {
            serde_json::Value::Null => serde_json::json!(["Deny"]),
            actions => actions.clone(),
        };
        let mut policies = String::new();
        let document = |kind: &str, spec: serde_json::Value| {
            serde_json::json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": namespace}, "spec": spec,
            })
        };
        let binding = serde_json::json!({"policyName": namespace, "validationActions": actions, "matchResources": resources});
        for document in [
            serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            document("ValidatingAdmissionPolicy", spec),
            document("ValidatingAdmissionPolicyBinding", binding),
        ] {
            writeln!(policies, "---\n{document}").unwrap();
        }
        let object = object.replacen(
            "metadata:\n",
            &format!("metadata:\n  namespace: {namespace}\n"),
            1,
        );
        Self {
            namespace,
            policies,
            object,
            expected,
        }
    }

    /// What we say before anything is applied: how it ends, and with which words.
    fn ours(&self) -> (Ours, String) {
        let parse = |text: &str| Manifest::parse(text, "case.yaml").unwrap();
        let objects: Vec<Manifest> = [parse(&self.policies), parse(&self.object)].concat();
        let mut violations = check(&objects, &[]);
        assert!(violations.len() <= 1, "{violations:?}");
        let Some(violation) = violations.pop() else {
            return (Passes, String::new());
        };
        let ours = match violation.verdict {
            Verdict::Denied => Refused,
            Verdict::Warned => Warned,
            Verdict::Unknown => Unknown,
        };
        let start = format!("policy {}: ", self.namespace);
        let message = violation.problem.message.strip_prefix(&start).unwrap();
        (ours, message.to_owned())
    }

    /// Why we and the server do not agree.
    fn differs(&self, server: &Output) -> Option<String> {
        let (ours, words) = self.ours();
        let refused = server.stderr.contains("denied request: ");
        assert!(
            refused || server.code == 0,
            "the server could not decide: {server}\n{}",
            self.policies
        );
        let same_words = server.stderr.contains(&words);
        let agrees = match ours {
            Passes => !refused && !server.stderr.contains("Warning: Validation failed"),
            Refused => refused && same_words,
            Warned => !refused && server.stderr.contains("Warning: Validation failed") && same_words,
            Unknown => true,
        };
        (!agrees || ours != self.expected).then(|| {
            format!(
                "{}\nwe: {ours:?} {words}\nexpected: {:?}\n{server}",
                self.policies, self.expected
            )
        })
    }
}

#[test]
fn the_server_decides_as_was_said_before() {
    let pair = ClusterPair::lease();
    let cluster = &pair.staging;
    let expressions = EXPRESSIONS.iter().map(|(expression, object, expected)| {
        let validations = serde_json::json!({"validations": [{"expression": expression}]});
        (validations.to_string(), "", *object, *expected)
    });
    let policies = POLICIES
        .iter()
        .map(|(spec, binding, object, expected)| ((*spec).to_owned(), *binding, *object, *expected));
    let cases: Vec<Case> = expressions
        .chain(policies)
        .enumerate()
        .map(|(number, (spec, binding, object, expected))| {
            Case::new(number, &spec, binding, object, expected)
        })
        .collect();
    // The server reads policies in their order: when it knows the last one, it knows all.
    let last = Case::new(
        cases.len(),
        "validations: [{expression: 'false'}]",
        "",
        CONFIG_MAP,
        Refused,
    );
    let directory = StateDirectory::create("policies");
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let all: String = cases.iter().map(|case| case.policies.as_str()).collect();
    cluster
        .kubectl(&["create", "-f", &write("policies.yaml", &all)])
        .ok();
    cluster
        .kubectl(&["create", "-f", &write("last.yaml", &last.policies)])
        .ok();
    let create = |case: &Case| {
        let file = write(&case.namespace, &case.object);
        cluster.kubectl(&["create", "--dry-run=server", "-f", &file])
    };
    wait_until(DEADLINE, "the policies are in force", || create(&last).code != 0);
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|case| case.differs(&create(case)))
        .collect();
    assert!(
        differences.is_empty(),
        "{} of {} differ\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
}
