//! Sequence: random requests about a few objects, so that they meet each other.

use serde_json::{Value, json};

use super::objects::{self, KINDS, Kind};
use crate::render::random::Random;

/// How a request is sent.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub content_type: &'static str,
    pub body: Option<Value>,
    /// Whether the body is merged into what the server answers to a read of the same path, and sent in its place.
    pub from_read: bool,
}

const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// The requests of a case, in a namespace of its own.
pub fn calls(seed: u64, namespace: &str) -> Vec<Call> {
    let mut random = Random::new(seed);
    let kind = random.pick(&KINDS);
    let count = 4 + random.below(10);
    (0..count)
        .map(|at| call(&mut random, &kind, namespace, at < 2))
        .collect()
}

fn call(random: &mut Random, kind: &Kind, namespace: &str, is_first: bool) -> Call {
    let name = random.pick(&["a", "b"]);
    let collection = kind.collection(namespace);
    let object = objects::object(random, kind, name);
    let path = format!("{collection}/{name}");
    let manager = random.pick(&["one", "two", "three"]);
    let mut query = format!("?fieldManager={manager}");
    if random.percent(10) {
        query.push_str("&dryRun=All");
    }
    query.push_str(random.pick(&["", "", "&fieldValidation=Strict", "&fieldValidation=Ignore"]));
    let make = |method, path: String, content_type, body| Call {
        method,
        path,
        content_type,
        body,
        from_read: false,
    };
    // The first one mostly makes an object.
    match random.below(if is_first { 12 } else { 20 }) {
        0..3 => make("POST", collection + &query, JSON, Some(object)),
        3..9 => {
            if random.percent(40) {
                query.push_str("&force=true");
            }
            make("PATCH", path + &query, APPLY, Some(object))
        }
        9 => make("PUT", path + &query, JSON, Some(object)),
        10..12 => Call {
            from_read: true,
            ..make("PUT", path + &query, JSON, Some(objects::patch(random, kind)))
        },
        12..14 => make("PATCH", path + &query, MERGE, Some(objects::patch(random, kind))),
        14..17 => {
            let body = if random.percent(50) {
                objects::strategic(random, kind)
            } else {
                objects::patch(random, kind)
            };
            make("PATCH", path + &query, STRATEGIC, Some(body))
        }
        17 => make(
            "PATCH",
            path + &query,
            JSON_PATCH,
            Some(objects::json_patch(random)),
        ),
        18 => make("DELETE", path, JSON, Some(delete_options(random))),
        _ => make("GET", read_path(random, kind, &collection, name), JSON, None),
    }
}

fn delete_options(random: &mut Random) -> Value {
    // The others leave the object to a controller, which runs beside the control plane alone.
    let policy = random.pick(&["Background", ""]);
    let mut options = json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
    if !policy.is_empty() {
        options["propagationPolicy"] = policy.into();
    }
    if random.percent(20) {
        options["preconditions"] = json!({ "uid": "00000000-0000-4000-8000-000000000000" });
    }
    options
}

fn read_path(random: &mut Random, kind: &Kind, collection: &str, name: &str) -> String {
    let queries = [
        "",
        "?labelSelector=app%3Dx",
        "?labelSelector=app%21%3Dx",
        "?labelSelector=app%20in%20(x,y)",
        "?fieldSelector=metadata.name%3Da",
        "?fieldSelector=spec.nothing%3Da",
        // A controller keeps a ConfigMap of its own in every namespace, which would be counted.
        if kind.kind == "ConfigMap" { "" } else { "?limit=1" },
        "?resourceVersion=0&resourceVersionMatch=Exact",
    ];
    if random.percent(50) {
        format!("{collection}/{name}")
    } else {
        format!("{collection}{}", random.pick(&queries))
    }
}
