//! The builtin kinds of the sandbox against those of a real API server: defaults, refusals and tables, for the objects
//! in `objects.yaml`.
//!
//! Every object is created on both as a dry run, once for the object and once for the table, and some are created and then
//! changed by a patch. Whatever differs from time to time or by chance is made alike first.

use std::collections::BTreeMap;
use std::time::Duration;

use ::sandbox::{Cluster, Handle, Options};
use hyper::http::{Method, Request};
use kube::Client;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use regex::Regex;
use serde_json::{Value, json};

use crate::harness::pair::ClusterPair;
use crate::harness::runtime::{block_on, runtime};
use crate::harness::wait::wait_until;

const DEADLINE: Duration = Duration::from_secs(60);

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const JSON: &str = "application/json";

/// Kinds whose plural is not the kind with an `s`.
const PLURALS: [(&str, &str); 7] = [
    ("NetworkPolicy", "networkpolicies"),
    ("Ingress", "ingresses"),
    ("IngressClass", "ingressclasses"),
    ("StorageClass", "storageclasses"),
    ("PriorityClass", "priorityclasses"),
    ("Endpoints", "endpoints"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
];

const CLUSTER_SCOPED: [&str; 9] = [
    "Namespace",
    "PersistentVolume",
    "StorageClass",
    "IngressClass",
    "ClusterRole",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// An API server, real or not.
struct Server {
    client: Client,
    _sandbox: Option<Handle>,
}

/// An answer: the code, and the object or what was refused.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    code: u16,
    body: Value,
}

#[test]
fn objects_come_out_as_on_a_real_api_server() {
    let pair = ClusterPair::lease();
    let servers = [Server::real(pair.staging.client()), Server::sandbox()];
    let mut wrong = Vec::new();
    let mut count = 0;
    for document in serde_yaml::Deserializer::from_str(include_str!("objects.yaml")) {
        let case: Value = serde::Deserialize::deserialize(document).unwrap();
        let name = case["case"].as_str().unwrap();
        count += 1;
        for (what, answers) in compare(&case, &servers) {
            let [real, sandbox] = answers.map(Answer::comparable);
            for difference in differences(&real, &sandbox, "") {
                wrong.push(format!("{name}, {what}: {difference}"));
            }
        }
    }
    assert!(count >= 70, "only {count} objects were compared");
    assert!(
        wrong.is_empty(),
        "{} differences\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What both servers answer to each request of a case.
fn compare(case: &Value, servers: &[Server; 2]) -> Vec<(&'static str, [Answer; 2])> {
    let object = &case["object"];
    let path = path_of(object);
    let dry = format!("{path}?dryRun=All");
    let ask = |accept: &'static str| {
        servers
            .each_ref()
            .map(|server| server.create(&dry, object, accept))
    };
    let created = ask(JSON);
    let is_right = created.iter().all(|answer| answer.code < 400);
    let mut all = vec![("created", created)];
    if is_right {
        all.push(("in a table", ask(TABLE)));
    }
    if is_right && case.get("change").is_some() {
        let named = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
        all.push((
            "changed",
            servers
                .each_ref()
                .map(|server| server.change(&path, &named, case)),
        ));
    }
    all
}

fn path_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let kind = object["kind"].as_str().unwrap();
    let root = if version == "v1" {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{version}")
    };
    let irregular = PLURALS.iter().find(|(name, _)| *name == kind);
    let plural = irregular.map_or_else(
        || format!("{}s", kind.to_lowercase()),
        |(_, plural)| (*plural).to_owned(),
    );
    let namespace = if CLUSTER_SCOPED.contains(&kind) {
        ""
    } else {
        "/namespaces/default"
    };
    format!("{root}{namespace}/{plural}")
}

// === impl Server ===

impl Server {
    fn real(client: Client) -> Self {
        Self {
            client,
            _sandbox: None,
        }
    }

    /// A sandbox without controllers: it is the API alone that is compared.
    fn sandbox() -> Self {
        let options = Options {
            controllers: false,
            ..Options::default()
        };
        let handle = block_on(Cluster::start(options)).unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&handle.kubeconfig()).unwrap();
        let client = block_on(async {
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            Client::try_from(config.unwrap()).unwrap()
        });
        Self {
            client,
            _sandbox: Some(handle),
        }
    }

    fn create(&self, path: &str, object: &Value, accept: &str) -> Answer {
        self.ask(Method::POST, path, Some(object), JSON, accept)
    }

    /// Creates the object of a case, changes it by way of trial, and deletes it.
    fn change(&self, path: &str, named: &str, case: &Value) -> Answer {
        let created = self.create(path, &case["object"], JSON);
        assert!(created.code < 400, "{}: {created:?}", case["case"]);
        let dry = format!("{named}?dryRun=All");
        let answer = self.ask(
            Method::PATCH,
            &dry,
            Some(&case["change"]),
            "application/merge-patch+json",
            JSON,
        );
        let options = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
        self.ask(Method::DELETE, named, Some(&options), JSON, JSON);
        wait_until(DEADLINE, &format!("{named} is gone"), || {
            let free = json!({"metadata": {"finalizers": null}});
            self.ask(
                Method::PATCH,
                named,
                Some(&free),
                "application/merge-patch+json",
                JSON,
            )
            .code
                == 404
        });
        answer
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>, kind: &str, accept: &str) -> Answer {
        let body = body
            .map(|body| serde_json::to_vec(body).unwrap())
            .unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", kind)
            .header("Accept", accept)
            .body(Body::from(body))
            .unwrap();
        runtime().block_on(async {
            let response = self.client.send(request).await.unwrap();
            let code = response.status().as_u16();
            let bytes = response.into_body().collect_bytes().await.unwrap();
            Answer {
                code,
                body: serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))),
            }
        })
    }
}

// === impl Answer ===

impl Answer {
    /// The part of an answer that does not depend on when and where it was given.
    fn comparable(self) -> Value {
        let Self { code, body } = self;
        if code >= 400 {
            let part = |key: &str| plain(body[key].clone());
            return json!({"code": code, "reason": part("reason"), "message": part("message"), "details": part("details")});
        }
        if body["kind"] == "Table" {
            let column = |column: &Value| {
                json!([
                    column["name"],
                    column["type"],
                    column["format"],
                    column["priority"]
                ])
            };
            let columns: Vec<Value> = body["columnDefinitions"]
                .as_array()
                .unwrap()
                .iter()
                .map(column)
                .collect();
            return json!({"columns": columns, "cells": plain(body["rows"][0]["cells"].clone())});
        }
        plain(body)
    }
}

/// Makes alike what is made anew each time, and what only a running controller adds.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, plain(value))).collect();
            for key in [
                "uid",
                "creationTimestamp",
                "resourceVersion",
                "managedFields",
                "lastPhaseTransitionTime",
            ] {
                map.remove(key);
            }
            if map.contains_key("nodePort") {
                map.insert("nodePort".to_owned(), "a port".into());
            }
            map.remove("deployment.kubernetes.io/revision");
            if map
                .get("annotations")
                .is_some_and(|annotations| *annotations == json!({}))
            {
                map.remove("annotations");
            }
            // A real controller has been at work between the two requests of a change.
            if map.get("status").is_some_and(|status| {
                status.get("observedGeneration").is_some() || status.get("conditions").is_some()
            }) {
                map.insert("status".to_owned(), json!({}));
            }
            map.into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::String(text) => plain_text(&text).into(),
        other => other,
    }
}

fn plain_text(text: &str) -> String {
    let replaced = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a uid"),
        (r"10\.96\.\d+\.\d+", "an address"),
        (r":\d{5}/", ":a port/"),
        (r"^\d+s$", "an age"),
        // A server shows what has changed in the form that its own memory has.
        (r"(?s)\n@@ .*", ""),
    ];
    replaced.iter().fold(text.to_owned(), |text, (pattern, word)| {
        Regex::new(pattern)
            .unwrap()
            .replace_all(&text, *word)
            .into_owned()
    })
}

/// The places at which two values differ.
fn differences(real: &Value, sandbox: &Value, path: &str) -> Vec<String> {
    match (real, sandbox) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            let none = Value::Null;
            keys.into_iter()
                .flat_map(|key| {
                    let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                    differences(a, b, &format!("{path}/{key}"))
                })
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs
                .flat_map(|(index, (a, b))| differences(a, b, &format!("{path}/{index}")))
                .collect()
        }
        _ if real == sandbox => Vec::new(),
        _ => vec![format!("{path}\n  real    {real}\n  sandbox {sandbox}")],
    }
}
