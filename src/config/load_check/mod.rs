//! Load check: the measured gate, in k6's own words.
//!
//! [`LoadCheckSpec`] is what was typed; [`plan::Plan`] is what it means. Compiling the one into the other reports
//! every problem at once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::script::bundle::Bundle;
use super::script::options::Layer;

pub mod compile;
pub mod expression;
mod forms;
pub mod limits;
pub mod metric;
pub mod plan;
pub mod threshold;

/// The measured gate between two environments: load on a target, and the bounds that its answers must keep.
///
/// The words are k6's. Unlike k6, a check without data never passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadCheckSpec {
    /// What the load goes to.
    pub target: TargetSpec,
    /// A service to compare with, for thresholds such as `p(90)<1.10*baseline`: exactly one of `service` and `url`. It gets
    /// the same load as the target at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineSpec>,
    /// Sends the load from several pods instead of from one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<DistributionSpec>,
    /// Virtual users that work at the same time, each with a connection of its own. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vus: Option<u32>,
    /// How long the virtual users start iterations, for example `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Iterations that all virtual users share, instead of working for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// Changes of the number of virtual users over time, instead of a constant number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageSpec>,
    /// How long iterations that are under way at the end may take to finish. Default `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_stop: Option<Duration>,
    /// Workloads by name, instead of `vus`, `duration`, `iterations` and `stages`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scenarios: BTreeMap<String, ScenarioSpec>,
    /// The requests of one iteration, in this order. Default: one GET of the target's path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<RequestSpec>,
    /// Conditions on every response, by name, for example `status == 200` or `duration < 600`.
    ///
    /// A check is counted and reported. It stops a promotion by a threshold on `checks`, or when it never holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, String>,
    /// A k6 script, by its path from the directory of this file. Its options say how the load is; `vus`, `duration`,
    /// `iterations`, `stages` and `thresholds` here replace them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Variables that the script finds in `__ENV`. `${target.host}`, `${target.port}` and `${target.url}` stand for
    /// what the target resolves to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Hosts beside the target that the script may reach, as `host` or `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// How the check is judged. Default `strict`.
    #[serde(default, skip_serializing_if = "Mode::is_strict")]
    pub mode: Mode,
    /// The script with the files that it reads, as they are in the commit.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub bundle: Option<Bundle>,
    /// Bounds by metric, for example `http_req_duration: ["p(90)<600"]`; durations in milliseconds.
    ///
    /// Tags narrow a metric: `http_req_duration{name:login}`. Without a threshold of its own, `http_req_failed`
    /// has `rate<0.01`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Vec<ThresholdSpec>>,
    /// How certain a verdict has to be.
    #[serde(default, skip_serializing_if = "StrictSpec::is_default")]
    pub strict: StrictSpec,
}

/// What the load goes to: exactly one of `service` and `url`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetSpec {
    /// A Service of the environment's cluster: its name, or a name with namespace, port and scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// An address, for example `https://shop.example/health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The path of requests that name none. Default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whom to trust, for a target that is spoken to over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// How the target must have answered before load is sent.
    #[serde(default, skip_serializing_if = "WaitReadySpec::is_default")]
    pub wait_ready: WaitReadySpec,
}

/// A service to compare with: exactly one of `service` and `url`. Requests, headers and TLS are those of the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineSpec {
    /// A Service of the same cluster: its name, or a name with namespace, port and scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// An address without a path, for example `https://shop.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Where the load is sent from: the pods of a Job in the target's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DistributionSpec {
    /// How many pods; each sends the same part of the virtual users, iterations and rates.
    pub pods: u32,
}

/// Whom to trust, for a target that is spoken to over TLS. Certificates are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificates (PEM) of authorities to trust besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<String>,
    /// The name that the certificate must have, where it is not the target's host: a load balancer has a name of its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// A Service: `name`, or the same with details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// The Service's name.
    pub name: String,
    /// Its namespace; without one, that of the environment's kustomization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The Service's port, by number or name; needed when it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortRef>,
    /// `http` or `https`; without one, `https` for port 443 or a port named so, else `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    /// The number.
    Number(u16),
    /// The name.
    Name(String),
}

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// How a target must have answered before load is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitReadySpec {
    /// How long to wait for an address and an answer. Default `30s`.
    #[serde(default = "WaitReadySpec::default_timeout")]
    pub timeout: Duration,
}

/// A step of a ramp: the target is reached at the end of the duration, on a straight line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageSpec {
    /// How long the step takes; `0s` jumps.
    pub duration: Duration,
    /// Virtual users, or iterations per time unit, at its end.
    pub target: u32,
}

/// Who decides when iterations start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutorName {
    /// Virtual users iterate without a pause for a duration.
    ConstantVus,
    /// The same, while their number follows stages.
    RampingVus,
    /// Virtual users share a number of iterations.
    SharedIterations,
    /// Each virtual user does a number of iterations.
    PerVuIterations,
    /// Iterations start at a constant rate, however long they take.
    ConstantArrivalRate,
    /// Iterations start at a rate that follows stages.
    RampingArrivalRate,
}

/// A workload. Which fields it has follows from its executor, as in k6.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Who decides when iterations start.
    pub executor: ExecutorName,
    /// How long after the start of the check it begins. Default `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Duration>,
    /// How long iterations that are under way at the end may take to finish. Default: that of the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_stop: Option<Duration>,
    /// The names of the requests of one iteration. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<String>,
    /// Virtual users (constant-vus, shared-iterations, per-vu-iterations). Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vus: Option<u32>,
    /// How long iterations start (constant-vus, constant-arrival-rate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Iterations (shared-iterations: of all; per-vu-iterations: of each). Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// When iterations stop starting though some are left (shared-iterations, per-vu-iterations). Default `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// Virtual users at the beginning (ramping-vus). Default 1.
    #[serde(default, rename = "startVUs", skip_serializing_if = "Option::is_none")]
    pub start_vus: Option<u32>,
    /// The ramp (ramping-vus, ramping-arrival-rate).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageSpec>,
    /// How long a virtual user that the ramp takes away may finish its iteration (ramping-vus). Default `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_ramp_down: Option<Duration>,
    /// Iterations per time unit (constant-arrival-rate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Iterations per time unit at the beginning (ramping-arrival-rate). Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_rate: Option<u32>,
    /// The unit of rates (constant-arrival-rate, ramping-arrival-rate). Default `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_unit: Option<Duration>,
    /// Virtual users that are made ready beforehand (constant-arrival-rate, ramping-arrival-rate).
    #[serde(default, rename = "preAllocatedVUs", skip_serializing_if = "Option::is_none")]
    pub pre_allocated_vus: Option<u32>,
    /// The most virtual users that slow answers may bind (constant-arrival-rate, ramping-arrival-rate). An
    /// iteration that finds none free is dropped, and counts as slow. Default: `preAllocatedVUs`.
    #[serde(default, rename = "maxVUs", skip_serializing_if = "Option::is_none")]
    pub max_vus: Option<u32>,
}

/// One request of an iteration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestSpec {
    /// The value of the tag `name`. Default: method and path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The method. Default `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path with its query, from the target's root. Default: the target's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Parameters that are added to the path, encoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body: a text, or `{json: …}`, which is sent as JSON with that content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodySpec>,
    /// How often the request is chosen, beside the other weights. With weights, an iteration is one request instead
    /// of all in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How long the answer may take, its body and redirects included. Default `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Statuses that are no failure: numbers, or ranges as `200-399`. Default `[200-399]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected_status: Vec<StatusSpec>,
    /// Redirects that are followed, to the target only. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_redirects: Option<u32>,
    /// Conditions on this request's response, by name, beside those of the whole check.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, String>,
    /// A pause after the answer. Default `0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Duration>,
}

/// A request's body.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BodySpec {
    /// Exactly this text.
    Text(String),
    /// A value that is sent as JSON.
    Json {
        /// The value.
        json: serde_json::Value,
    },
}

/// A status code, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusSpec {
    /// The lowest.
    pub min: u16,
    /// The highest.
    pub max: u16,
}

/// A bound: the expression, or the same with what happens when it is crossed early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdSpec {
    /// The expression, for example `p(90)<600`.
    pub threshold: String,
    /// Whether the run ends as soon as the bound is crossed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub abort_on_fail: bool,
    /// How long after the start the bound is first looked at for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_abort_eval: Option<Duration>,
}

/// How certain a verdict has to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StrictSpec {
    /// How sure a pass and a fail must be that the bound holds for the service and not just for the sample, between
    /// 0.5 and 1. Default 0.95.
    pub confidence: f64,
    /// How often a run without a clear verdict is repeated and added to what is known. Default 2.
    pub max_extend: u32,
    /// Requests in this time after the start are not counted. Default `0s`.
    pub warmup: Duration,
    /// Which checks fail the verdict by themselves. Default `never-passed`.
    pub fail_on_checks: FailOnChecks,
}

/// How a load check is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What cannot be known never passes.
    #[default]
    Strict,
    /// Exactly as k6 judges, with a word where `strict` differs.
    K6,
}

/// Which checks fail the verdict by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailOnChecks {
    /// One that never held.
    #[default]
    NeverPassed,
    /// One that did not hold every time.
    All,
    /// None; only thresholds count.
    Off,
}

/// A problem of a specification that its schema cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Where: a JSON pointer inside the specification.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

// === impl defaults ===

impl WaitReadySpec {
    fn default_timeout() -> Duration {
        Duration::from_secs(30)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for WaitReadySpec {
    fn default() -> Self {
        Self {
            timeout: Self::default_timeout(),
        }
    }
}

impl Default for StrictSpec {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            max_extend: 2,
            warmup: Duration::default(),
            fail_on_checks: FailOnChecks::default(),
        }
    }
}

impl Mode {
    fn is_strict(&self) -> bool {
        *self == Self::Strict
    }
}

impl StrictSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl LoadCheckSpec {
    /// A specification for an address alone: one virtual user, one iteration, no thresholds of its own.
    #[must_use]
    pub fn for_url(url: impl Into<String>) -> Self {
        Self {
            target: TargetSpec {
                service: None,
                url: Some(url.into()),
                path: None,
                tls: None,
                wait_ready: WaitReadySpec::default(),
            },
            baseline: None,
            distribution: None,
            vus: None,
            duration: None,
            iterations: None,
            stages: Vec::new(),
            graceful_stop: None,
            scenarios: BTreeMap::new(),
            http: Vec::new(),
            checks: BTreeMap::new(),
            script: None,
            env: BTreeMap::new(),
            hosts: Vec::new(),
            mode: Mode::default(),
            bundle: None,
            thresholds: BTreeMap::new(),
            strict: StrictSpec::default(),
        }
    }

    /// The options of the script that the specification replaces.
    #[must_use]
    pub fn script_options(&self) -> Layer {
        let mut layer = Layer::new();
        let mut set = |name: &str, value: serde_json::Value| drop(layer.insert(name.to_owned(), value));
        if let Some(vus) = self.vus {
            set("vus", vus.into());
        }
        if let Some(duration) = self.duration {
            set("duration", duration.to_string().into());
        }
        if let Some(iterations) = self.iterations {
            set("iterations", iterations.into());
        }
        if !self.stages.is_empty() {
            set("stages", serde_json::json!(self.stages));
        }
        if !self.thresholds.is_empty() {
            set("thresholds", serde_json::json!(self.thresholds));
        }
        layer
    }

    /// Every problem that the schema cannot say; empty when the specification is right.
    #[must_use]
    pub fn validate(&self) -> Vec<Invalid> {
        self.compile().err().unwrap_or_default()
    }
}

impl Scheme {
    /// The scheme as a URL has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_reads() {
        let document: serde_json::Value =
            serde_yaml::from_str(include_str!("../../../policies/load-check.yaml")).unwrap();
        let spec: LoadCheckSpec = serde_json::from_value(document["spec"].clone()).unwrap();
        assert_eq!(spec.target.service.as_ref().unwrap().name, "flask-app-service");
        assert_eq!(spec.vus, Some(10));
        assert_eq!(spec.thresholds["http_req_duration"][0].threshold, "p(90)<600");
        assert_eq!(spec.validate(), []);
    }

    #[test]
    fn short_and_long_forms_mean_the_same() {
        let read = |text: &str| serde_yaml::from_str::<LoadCheckSpec>(text);
        let short = read("target: {service: web}\nthresholds: {http_reqs: [count>1]}\n").unwrap();
        let long = read("target: {service: {name: web}}\nthresholds: {http_reqs: [{threshold: count>1}]}\n")
            .unwrap();
        assert_eq!(short, long);
        let full = "target: {service: {name: web, namespace: shop, port: http, scheme: https}}\n\
                    http: [{path: /a, expectedStatus: [200, 300-399]}]\n";
        let full = read(full).unwrap();
        assert_eq!(
            full.http[0].expected_status,
            [
                StatusSpec { min: 200, max: 200 },
                StatusSpec { min: 300, max: 399 }
            ]
        );
        assert_eq!(
            full.target.service.as_ref().unwrap().port,
            Some(PortRef::Name("http".into()))
        );
        let again = serde_yaml::from_str::<LoadCheckSpec>(&serde_yaml::to_string(&full).unwrap()).unwrap();
        assert_eq!(again, full);
    }

    #[test]
    fn unknown_and_impossible_fields_are_refused() {
        for (text, says) in [
            ("target: {service: web}\nvu: 3\n", "unknown field `vu`"),
            (
                "target: {service: {name: web, prot: 3}}\n",
                "unknown field `prot`",
            ),
            ("target: {service: {name: web, port: 0}}\n", "a port's number"),
            ("target: {service: {name: web, port: 70000}}\n", "a port's number"),
            ("target: {service: 3}\n", "a Service's name"),
            ("target: {url: x}\nduration: 10\n", "a unit is expected"),
            (
                "target: {url: x}\nthresholds: {http_reqs: [{treshold: a}]}\n",
                "unknown field `treshold`",
            ),
            ("target: {url: x}\nhttp: [{expectedStatus: [20]}]\n", "a status"),
            (
                "target: {url: x}\nhttp: [{expectedStatus: [399-200]}]\n",
                "a status",
            ),
            (
                "target: {url: x}\nscenarios: {a: {executor: constant}}\n",
                "constant-vus",
            ),
        ] {
            let error = serde_yaml::from_str::<LoadCheckSpec>(text)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn every_field_is_documented_in_the_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(LoadCheckSpec)).unwrap();
        let definitions = schema["$defs"].as_object().unwrap();
        let objects = definitions.iter().map(|(name, schema)| (name.as_str(), schema));
        let mut seen = 0;
        for (name, object) in objects.chain([("LoadCheckSpec", &schema)]) {
            for (field, schema) in object["properties"].as_object().into_iter().flatten() {
                assert!(
                    schema["description"].is_string(),
                    "{name}.{field} has no description"
                );
                seen += 1;
            }
        }
        assert!(seen > 40, "{seen}");
    }
}
