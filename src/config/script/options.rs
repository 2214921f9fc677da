//! Options: what a script, the environment and the command line say about a run, each layer over the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::scenarios;
use super::{Declared, HttpOptions, ScriptPlan, rules};
use crate::config::load_check::plan::{Base, Plan, Share, Strict};
use crate::config::load_check::{Mode, StrictSpec, TlsSpec};

/// Everything that is wrong with the options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

/// One layer of options: a JSON object with k6's names.
pub type Layer = Map<String, Value>;

/// Where a plan's options come from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The layers, each over the one before.
    pub layers: Vec<Layer>,
    /// The functions that the script exports.
    pub exports: &'a [String],
    /// The metrics that there are.
    pub metrics: &'a [Declared],
    /// How certain the verdict has to be.
    pub strict: StrictSpec,
    /// Whether a bound on failed requests is added when there is none.
    pub implicit_rule: bool,
}

/// Options that decide when iterations start. One layer's choice replaces that of all layers below.
const EXECUTION: [&str; 4] = ["duration", "iterations", "stages", "scenarios"];

/// Options of k6 that this program does not have. A script that sets one would measure something else here.
const UNSUPPORTED: [&str; 13] = [
    "hosts",
    "blockHostnames",
    "blacklistIPs",
    "tlsAuth",
    "tlsCipherSuites",
    "tlsVersion",
    "insecureSkipTLSVerify",
    "localIPs",
    "rps",
    "executionSegment",
    "executionSegmentSequence",
    "httpDebug",
    "paused",
];

/// Switches off all thresholds. No script can say so, only the environment.
const NO_THRESHOLDS: &str = "K6_NO_THRESHOLDS";

/// Options that have an effect here, or rightly none, beside those of [`EXECUTION`].
const HONOURED: [&str; 26] = [
    "vus",
    "thresholds",
    "tags",
    "maxRedirects",
    "batch",
    "batchPerHost",
    "discardResponseBodies",
    "noConnectionReuse",
    "noVUConnectionReuse",
    "noCookiesReset",
    "throw",
    "userAgent",
    "setupTimeout",
    "teardownTimeout",
    "minIterationDuration",
    "summaryTrendStats",
    NO_THRESHOLDS,
    "noSetup",
    "noTeardown",
    "systemTags",
    "ext",
    "cloud",
    "summaryTimeUnit",
    "noUsageReport",
    "dns",
    "linger",
];

/// The variables of the environment that set an option, with the option's name.
const VARIABLES: [(&str, &str); 21] = [
    ("K6_VUS", "vus"),
    ("K6_DURATION", "duration"),
    ("K6_ITERATIONS", "iterations"),
    ("K6_STAGES", "stages"),
    ("K6_MAX_REDIRECTS", "maxRedirects"),
    ("K6_BATCH", "batch"),
    ("K6_BATCH_PER_HOST", "batchPerHost"),
    ("K6_DISCARD_RESPONSE_BODIES", "discardResponseBodies"),
    ("K6_NO_CONNECTION_REUSE", "noConnectionReuse"),
    ("K6_NO_VU_CONNECTION_REUSE", "noVUConnectionReuse"),
    ("K6_NO_COOKIES_RESET", "noCookiesReset"),
    ("K6_THROW", "throw"),
    ("K6_USER_AGENT", "userAgent"),
    ("K6_SETUP_TIMEOUT", "setupTimeout"),
    ("K6_TEARDOWN_TIMEOUT", "teardownTimeout"),
    ("K6_MIN_ITERATION_DURATION", "minIterationDuration"),
    (NO_THRESHOLDS, NO_THRESHOLDS),
    ("K6_NO_SETUP", "noSetup"),
    ("K6_NO_TEARDOWN", "noTeardown"),
    ("K6_SUMMARY_TREND_STATS", "summaryTrendStats"),
    ("K6_INSECURE_SKIP_TLS_VERIFY", "insecureSkipTLSVerify"),
];

impl Problems {
    /// Adds a problem of the option at `place`.
    pub fn add(&mut self, place: &str, problem: impl AsRef<str>) {
        self.0.push(format!("options.{place}: {}", problem.as_ref()));
    }
}

/// The layer that variables of the environment make.
///
/// # Errors
///
/// Variables whose value is none of the option's.
pub fn from_environment<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Layer, Problems> {
    let (mut layer, mut problems) = (Layer::new(), Problems::default());
    for (name, text) in variables.filter(|(_, text)| !text.is_empty()) {
        let Some((_, option)) = VARIABLES.iter().find(|(variable, _)| *variable == name) else {
            continue;
        };
        let value = match *option {
            "stages" => stages(text),
            "summaryTrendStats" => Some(json!(text.split(',').collect::<Vec<_>>())),
            "userAgent" | "duration" | "setupTimeout" | "teardownTimeout" | "minIterationDuration" => {
                Some(json!(text))
            }
            "vus" | "iterations" | "maxRedirects" | "batch" | "batchPerHost" => {
                text.parse::<i64>().ok().map(Value::from)
            }
            _ => match text {
                "true" | "1" | "t" | "T" | "TRUE" | "True" => Some(json!(true)),
                "false" | "0" | "f" | "F" | "FALSE" | "False" => Some(json!(false)),
                _ => None,
            },
        };
        match value {
            Some(value) => drop(layer.insert((*option).to_owned(), value)),
            None => problems.0.push(format!("{name}: `{text}` is not understood")),
        }
    }
    if problems.0.is_empty() {
        Ok(layer)
    } else {
        Err(problems)
    }
}

/// Stages as the command line and the environment write them: `10s:5,20s:10`.
#[must_use]
pub fn stages(text: &str) -> Option<Value> {
    let stage = |part: &str| {
        let (duration, target) = part.split_once(':')?;
        Some(json!({"duration": duration.trim(), "target": target.trim().parse::<u32>().ok()?}))
    };
    text.split(',')
        .map(stage)
        .collect::<Option<Vec<_>>>()
        .map(Value::from)
}

/// Reads the options into a plan.
///
/// # Errors
///
/// Everything that is wrong, and every option that is not supported.
pub fn read(sources: Sources<'_>) -> Result<ScriptPlan, Problems> {
    let mut problems = Problems::default();
    let mut warnings = Vec::new();
    for layer in &sources.layers {
        refuse_unsupported(layer, &mut problems, &mut warnings);
    }
    let mut options = consolidate(sources.layers);
    let (workloads, work) = scenarios::read(&mut options, sources.exports, &mut problems);
    let reader = Reader { options: &options };
    let switched_off = reader.flag(NO_THRESHOLDS, &mut problems);
    let thresholds = if switched_off {
        &Value::Null
    } else {
        reader.get("thresholds")
    };
    let mut script_rules = rules::read(thresholds, sources.metrics, &mut problems);
    if sources.implicit_rule && !switched_off {
        script_rules.extend(implicit_rule(&script_rules, sources.metrics));
    }
    let strict = sources.strict;
    let plan = ScriptPlan {
        load: Plan {
            scenarios: workloads,
            ..empty_plan(&strict)
        },
        work,
        rules: script_rules,
        http: reader.http(&mut problems),
        tags: reader.texts("tags", &mut problems),
        setup_timeout: reader.duration("setupTimeout", 60, &mut problems),
        teardown_timeout: reader.duration("teardownTimeout", 60, &mut problems),
        min_iteration: reader.duration("minIterationDuration", 0, &mut problems),
        trend_stats: reader.trend_stats(&mut problems),
        warnings,
        options: Value::Object(options.clone()),
    };
    if problems.0.is_empty() {
        Ok(plan)
    } else {
        Err(problems)
    }
}

fn empty_plan(strict: &StrictSpec) -> Plan {
    Plan {
        baseline: None,
        share: Share::default(),
        base: Base::Origin(String::new()),
        tls: TlsSpec::default(),
        wait_ready: Duration::ZERO,
        scenarios: Vec::new(),
        requests: Vec::new(),
        checks: Vec::new(),
        rules: Vec::new(),
        mode: Mode::default(),
        strict: Strict {
            confidence: strict.confidence,
            max_extend: strict.max_extend,
            warmup: strict.warmup.get(),
            fail_on_checks: strict.fail_on_checks,
        },
    }
}

/// The rule that stands in when none is set on `http_req_failed`.
fn implicit_rule(rules: &[super::ScriptRule], metrics: &[Declared]) -> Option<super::ScriptRule> {
    let name = "http_req_failed";
    let metric = metrics.iter().position(|metric| metric.name == name)?;
    let set = rules
        .iter()
        .any(|rule| rule.metric == metric && rule.tags.is_empty());
    let source = "rate<0.01";
    (!set).then(|| super::ScriptRule {
        name: name.to_owned(),
        metric,
        tags: Vec::new(),
        threshold: source.parse().expect("because the text is a threshold"),
        source: source.to_owned(),
        implicit: true,
        abort_after: None,
    })
}

fn refuse_unsupported(layer: &Layer, problems: &mut Problems, warnings: &mut Vec<String>) {
    for (option, value) in layer {
        let name = option.as_str();
        let off = matches!(value, Value::Null | Value::Bool(false));
        if UNSUPPORTED.contains(&name) && !off {
            problems.add(option, "this option is not supported");
        } else if !UNSUPPORTED.contains(&name) && !HONOURED.contains(&name) && !EXECUTION.contains(&name) {
            warnings.push(format!(
                "options.{option}: there is no such option; it is ignored, as k6 does"
            ));
        }
    }
}

/// All layers in one.
fn consolidate(layers: Vec<Layer>) -> Layer {
    let mut all = Layer::new();
    for layer in layers {
        let set = |option: &str| layer.get(option).is_some_and(|value| !value.is_null());
        if EXECUTION.iter().any(|option| set(option)) {
            EXECUTION.iter().for_each(|option| drop(all.remove(*option)));
        }
        all.extend(layer.into_iter().filter(|(_, value)| !value.is_null()));
    }
    all
}

/// Reads single options.
struct Reader<'a> {
    options: &'a Layer,
}

impl<'a> Reader<'a> {
    fn get(&self, option: &str) -> &'a Value {
        self.options.get(option).unwrap_or(&Value::Null)
    }

    fn flag(&self, option: &str, problems: &mut Problems) -> bool {
        match self.get(option) {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            _ => {
                problems.add(option, "true or false is expected");
                false
            }
        }
    }

    fn count(&self, option: &str, default: u32, problems: &mut Problems) -> u32 {
        match self.get(option) {
            Value::Null => default,
            value => whole(value)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or_else(|| {
                    problems.add(option, "a whole number is expected");
                    default
                }),
        }
    }

    fn duration(&self, option: &str, default: u64, problems: &mut Problems) -> Duration {
        let default = Duration::from_secs(default);
        match self.get(option) {
            Value::Null => default,
            value => duration(value).unwrap_or_else(|problem| {
                problems.add(option, problem);
                default
            }),
        }
    }

    fn texts(&self, option: &str, problems: &mut Problems) -> BTreeMap<String, String> {
        texts(self.get(option)).unwrap_or_else(|| {
            problems.add(option, "an object of texts is expected");
            BTreeMap::new()
        })
    }

    fn http(&self, problems: &mut Problems) -> HttpOptions {
        HttpOptions {
            max_redirects: self.count("maxRedirects", 10, problems),
            batch: self.count("batch", 20, problems).max(1) as usize,
            batch_per_host: self.count("batchPerHost", 6, problems).max(1) as usize,
            discard_bodies: self.flag("discardResponseBodies", problems),
            no_reuse: self.flag("noConnectionReuse", problems),
            no_vu_reuse: self.flag("noVUConnectionReuse", problems),
            keep_cookies: self.flag("noCookiesReset", problems),
            throw: self.flag("throw", problems),
            user_agent: self.get("userAgent").as_str().map(str::to_owned),
        }
    }

    fn trend_stats(&self, problems: &mut Problems) -> Vec<String> {
        let default = ["avg", "min", "med", "max", "p(90)", "p(95)"];
        let stats: Vec<String> = match self.get("summaryTrendStats") {
            Value::Array(stats) => stats
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            Value::Null => Vec::new(),
            _ => {
                problems.add("summaryTrendStats", "a list of texts is expected");
                Vec::new()
            }
        };
        for stat in &stats {
            let known = ["avg", "min", "med", "max", "count"].contains(&stat.as_str());
            let percentile = rules::threshold(&format!("{stat}<0"))
                .is_ok_and(|threshold| stat.starts_with("p(") && threshold.bound == 0.0);
            if !known && !percentile {
                problems.add(
                    "summaryTrendStats",
                    format!("`{stat}` is not a figure of a trend"),
                );
            }
        }
        if stats.is_empty() {
            default.map(str::to_owned).to_vec()
        } else {
            stats
        }
    }
}

/// A JSON number without a fraction.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
}

/// An object of texts; numbers and truth values are written out.
pub(super) fn texts(value: &Value) -> Option<BTreeMap<String, String>> {
    match value {
        Value::Null => Some(BTreeMap::new()),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return None,
                };
                Some((key.clone(), text))
            })
            .collect(),
        _ => None,
    }
}

/// A duration as k6 takes it: a text such as `1m30s`, or milliseconds.
///
/// # Errors
///
/// What is wrong with it.
pub fn duration(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Number(number) => {
            let millis = number.as_f64().unwrap_or_default();
            Duration::try_from_secs_f64(millis / 1e3).map_err(|_| format!("{number} is not a duration"))
        }
        Value::String(text) => match text.parse::<f64>() {
            Ok(millis) => Duration::try_from_secs_f64(millis / 1e3).map_err(|error| error.to_string()),
            Err(_) => text
                .parse::<crate::config::duration::Duration>()
                .map(crate::config::duration::Duration::get)
                .map_err(|error| error.to_string()),
        },
        other => Err(format!("{other} is not a duration")),
    }
}
