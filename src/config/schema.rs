//! Schema: the JSON Schema of each kind, generated from the Rust types, and the check of a document against it.
//!
//! The check walks the YAML tree, so that every problem has its line, and knows the part of JSON Schema 2020-12
//! that the generator writes: `$ref`, `type`, `properties`, `required`, `additionalProperties`, `items`, `enum`,
//! `const`, `pattern`, `minimum`, `maximum`, `minItems`, `minLength`, `minProperties`, `anyOf` and `oneOf`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use manifest::{Kind, Node};
use regex::Regex;
use serde_json::{Value, json};

use super::environment::EnvironmentSpec;
use super::load_check::LoadCheckSpec;
use super::orders::{ApprovalsSpec, QuarantineSpec, SuspensionSpec};
use super::promotion::PromotionSpec;
use super::verified::VerifiedSpec;
use super::{API_VERSION, Document};
use crate::problem::{Problem, suggest};

/// gitsync's own kinds.
pub const KINDS: [&str; 7] = [
    "Environment",
    "LoadCheck",
    "Promotion",
    "Verified",
    "Suspension",
    "Quarantine",
    "Approvals",
];

/// The JSON Schema of a kind; `None` for a kind that is not ours.
#[must_use]
pub fn of_kind(kind: &str) -> Option<Value> {
    let mut schema = match kind {
        "Environment" => schemars::schema_for!(Document<EnvironmentSpec>),
        "LoadCheck" => schemars::schema_for!(Document<LoadCheckSpec>),
        "Promotion" => schemars::schema_for!(Document<PromotionSpec>),
        "Verified" => schemars::schema_for!(Document<VerifiedSpec>),
        "Suspension" => schemars::schema_for!(Document<SuspensionSpec>),
        "Quarantine" => schemars::schema_for!(Document<QuarantineSpec>),
        "Approvals" => schemars::schema_for!(Document<ApprovalsSpec>),
        _ => return None,
    }
    .to_value();
    schema["title"] = json!(kind);
    schema["$id"] = json!(format!(
        "https://gitsync.dev/schema/v1alpha1/{}.json",
        kind.to_lowercase()
    ));
    schema["properties"]["apiVersion"]["const"] = json!(API_VERSION);
    schema["properties"]["kind"]["const"] = json!(kind);
    Some(schema)
}

/// Checks a document of `file` against `schema`; every problem has its line and field.
#[must_use]
pub fn check(file: &str, document: &Node, schema: &Value) -> Vec<Problem> {
    let mut walk = Walk {
        file,
        root: schema,
        problems: Vec::new(),
    };
    walk.node(document, schema, "");
    walk.problems
}

struct Walk<'a> {
    file: &'a str,
    root: &'a Value,
    problems: Vec<Problem>,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn node(&mut self, node: &Node, schema: &'a Value, path: &str) {
        let schema = self.resolve(schema);
        for combinator in ["anyOf", "oneOf"] {
            if let Some(variants) = schema[combinator].as_array() {
                return self.variants(node, variants, path);
            }
        }
        if !self.has_type(node, schema, path) || !self.is_allowed(node, schema, path) {
            return;
        }
        match node.kind() {
            Kind::Mapping => self.mapping(node, schema, path),
            Kind::Sequence => self.sequence(node, schema, path),
            Kind::Scalar => self.scalar(node, schema, path),
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema["$ref"]
            .as_str()
            .and_then(|at| at.strip_prefix('#'))
            .and_then(|at| self.root.pointer(at));
        target.map_or(schema, |target| self.resolve(target))
    }

    /// Accepts what any variant accepts; otherwise tells the problems of the variant that comes nearest.
    fn variants(&mut self, node: &Node, variants: &'a [Value], path: &str) {
        let mut best: Option<Vec<Problem>> = None;
        for variant in variants {
            let mut trial = Walk {
                file: self.file,
                root: self.root,
                problems: Vec::new(),
            };
            trial.node(node, variant, path);
            if trial.problems.is_empty() {
                return;
            }
            let nearer = self.accepts_type(node, variant) || best.is_none();
            if nearer {
                best = Some(trial.problems);
            }
        }
        self.problems.extend(best.unwrap_or_default());
    }

    fn accepts_type(&self, node: &Node, schema: &'a Value) -> bool {
        type_names(self.resolve(schema))
            .iter()
            .any(|name| is_type(node, name))
    }

    fn has_type(&mut self, node: &Node, schema: &Value, path: &str) -> bool {
        let names = type_names(schema);
        if names.is_empty() || names.iter().any(|name| is_type(node, name)) {
            return true;
        }
        let wanted: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| *name != "null")
            .map(article)
            .collect();
        let mut problem = Problem::new(format!("must be {}, not {}", wanted.join(" or "), found(node)));
        if names.contains(&"string") && node.kind() == Kind::Scalar {
            problem = problem.hint(format!(
                "write it in quotes: \"{}\"",
                node.as_str().unwrap_or_default()
            ));
        }
        self.report(problem, node, path);
        false
    }

    fn is_allowed(&mut self, node: &Node, schema: &Value, path: &str) -> bool {
        let constant = schema.get("const").map(|value| vec![value.clone()]);
        let Some(allowed) = constant.or_else(|| schema["enum"].as_array().cloned()) else {
            return true;
        };
        let Ok(value) = node.to_json() else { return true };
        if allowed.contains(&value) {
            return true;
        }
        let words: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let mut problem = Problem::new(format!("must be {}, not {}", words.join(" or "), found(node)));
        if let Some(near) = node
            .as_str()
            .and_then(|word| suggest(word, words.iter().copied()))
        {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        self.report(problem, node, path);
        false
    }

    fn mapping(&mut self, node: &Node, schema: &'a Value, path: &str) {
        let properties = schema["properties"].as_object();
        let known = |key: &str| properties.and_then(|all| all.get(key));
        for (key, value) in node.entries() {
            let Some(name) = key.as_str() else {
                self.report(Problem::new("a key must be text"), key, path);
                continue;
            };
            let below = join(path, name);
            match known(name).or_else(|| schema.get("additionalProperties").filter(|more| more.is_object())) {
                Some(inner) => self.node(value, inner, &below),
                None if schema["additionalProperties"] == false => {
                    let names: Vec<&str> = properties
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    self.report(unknown(name, &names), key, &below);
                }
                None => {}
            }
        }
        let missing = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        for name in missing.filter(|name| node.get(name).is_none()) {
            self.report(Problem::new("is required"), node, &join(path, name));
        }
        if let Some(least) = schema["minProperties"].as_u64()
            && (node.entries().len() as u64) < least
        {
            self.report(
                Problem::new(format!("needs at least {least} entries")),
                node,
                path,
            );
        }
    }

    fn sequence(&mut self, node: &Node, schema: &'a Value, path: &str) {
        if let Some(least) = schema["minItems"].as_u64()
            && (node.items().len() as u64) < least
        {
            self.report(
                Problem::new(format!(
                    "needs at least {least} item{}",
                    if least == 1 { "" } else { "s" }
                )),
                node,
                path,
            );
        }
        if let Some(inner) = schema.get("items") {
            for (index, item) in node.items().iter().enumerate() {
                self.node(item, inner, &format!("{path}[{index}]"));
            }
        }
    }

    fn scalar(&mut self, node: &Node, schema: &Value, path: &str) {
        let text = node.as_str().unwrap_or_default();
        if let Some(pattern) = schema["pattern"].as_str()
            && !matches_pattern(pattern, text)
        {
            let example = schema["examples"][0]
                .as_str()
                .map(|e| format!(", for example {e}"))
                .unwrap_or_default();
            self.report(
                Problem::new(format!(
                    "`{text}` does not have the right form (pattern {pattern}){example}"
                )),
                node,
                path,
            );
        }
        if let Some(least) = schema["minLength"].as_u64()
            && (text.chars().count() as u64) < least
        {
            self.report(Problem::new("must not be empty"), node, path);
        }
        let number = node.to_json().ok().and_then(|value| value.as_f64());
        let Some(number) = number else { return };
        if let Some(least) = schema["minimum"].as_f64()
            && number < least
        {
            self.report(
                Problem::new(format!("must be at least {least}, not {text}")),
                node,
                path,
            );
        }
        if let Some(most) = schema["maximum"].as_f64()
            && number > most
        {
            self.report(
                Problem::new(format!("must be at most {most}, not {text}")),
                node,
                path,
            );
        }
    }

    fn report(&mut self, problem: Problem, node: &Node, path: &str) {
        let problem = problem.at_line(self.file, node.line());
        self.problems.push(if path.is_empty() {
            problem
        } else {
            problem.field(path)
        });
    }
}

fn join(path: &str, name: &str) -> String {
    match (path, name.contains(['.', ' ', '/'])) {
        ("", _) => name.to_owned(),
        (_, true) => format!("{path}[\"{name}\"]"),
        (_, false) => format!("{path}.{name}"),
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let problem = Problem::new("unknown field");
    match suggest(name, known.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("known here: {}", known.join(", "))),
    }
}

fn type_names(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_type(node: &Node, name: &str) -> bool {
    match name {
        "object" => node.kind() == Kind::Mapping,
        "array" => node.kind() == Kind::Sequence,
        _ if node.kind() != Kind::Scalar => false,
        _ => node.to_json().is_ok_and(|value| match name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            _ => value.is_string(),
        }),
    }
}

fn article(name: &str) -> &str {
    match name {
        "object" => "a mapping",
        "array" => "a list",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "text",
    }
}

fn found(node: &Node) -> String {
    match node.kind() {
        Kind::Mapping => "a mapping".to_owned(),
        Kind::Sequence => "a list".to_owned(),
        Kind::Scalar if node.is_null() => "empty".to_owned(),
        Kind::Scalar => format!("`{}`", node.as_str().unwrap_or_default()),
    }
}

/// Compiled patterns; there are a handful, one per field type.
static PATTERNS: Mutex<Option<HashMap<String, Regex>>> = Mutex::new(None);

fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut guard = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = guard.get_or_insert_default();
    if let Some(regex) = cache.get(pattern) {
        return regex.is_match(text);
    }
    // The patterns are our own; one that cannot be compiled must not refuse what people write.
    let Ok(regex) = Regex::new(pattern) else {
        return true;
    };
    cache.entry(pattern.to_owned()).or_insert(regex).is_match(text)
}
