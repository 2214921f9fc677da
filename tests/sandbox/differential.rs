//! Differential: each case is a sequence of requests, which both servers answer.
//!
//! ```sh
//! cargo test --test main sandbox::differential                                                    # the seeds from 0
//! GITSYNC_SANDBOX_CASES=1000 cargo test --test main sandbox::differential                         # before a release
//! GITSYNC_SANDBOX_CASES=1 GITSYNC_SANDBOX_SEED=39 cargo test --test main sandbox::differential    # one of them again
//! ```

use std::env;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::Request;
use kube::Client;
use kube::client::Body;
use sandbox::{Cluster, Options};
use serde_json::{Value, json};

use super::normal::{events, normal};
use super::objects::{GROUP, definition};
use super::sequence::{Call, calls};
use crate::harness::pair::ClusterPair;
use crate::harness::runtime::block_on;
use crate::harness::wait::wait_for;

const CASES: u64 = 60;
/// Of so many cases one is also watched, which takes a second of each server.
const WATCHED: u64 = 4;
const DEADLINE: Duration = Duration::from_secs(60);
/// So many different cases are told before the test gives up.
const TOLD: usize = 5;

/// What a server says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub warnings: Vec<String>,
    pub body: Value,
}

#[test]
fn the_sandbox_answers_as_a_control_plane_does() {
    let pair = ClusterPair::lease();
    let real = pair.staging.client();
    let cluster = Cluster::new(Options::default());
    // The client keeps a task of its own on the runtime.
    let sandbox = block_on(async { Client::new(cluster.service(), "default") });
    let clients = [&real, &sandbox];
    define(&clients);
    let number = |name: &str, default: u64| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (first, count) = (
        number("GITSYNC_SANDBOX_SEED", 0),
        number("GITSYNC_SANDBOX_CASES", CASES),
    );
    let mut wrong = Vec::new();
    for seed in first..first + count {
        wrong.extend(compare(&clients, seed));
        if wrong.len() >= TOLD {
            break;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Both servers get the custom kind, and are waited for until they serve it.
fn define(clients: &[&Client; 2]) {
    for client in clients {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let made = send(client, &mk_call("POST", path.to_owned(), Some(definition())));
        assert_eq!(made.code, 201, "{}", made.body);
        wait_for(DEADLINE, "the custom kind is served", || {
            let found = send(client, &mk_call("GET", format!("/apis/{GROUP}/v1/widgets"), None));
            let applied = json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": { "name": "probe" }, "spec": { "size": 1 } });
            let mut probe = mk_call(
                "PATCH",
                format!("/apis/{GROUP}/v1/namespaces/default/widgets/probe?fieldManager=probe&dryRun=All"),
                Some(applied),
            );
            probe.content_type = "application/apply-patch+yaml";
            let probed = send(client, &probe);
            if found.code == 200 && probed.code == 201 {
                Ok(())
            } else {
                Err(format!("{found:?} {probed:?}"))
            }
        });
    }
}

fn mk_call(method: &'static str, path: String, body: Option<Value>) -> Call {
    Call {
        method,
        path,
        content_type: "application/json",
        body,
        from_read: false,
    }
}

/// Sends the requests of a case to both, and tells the first difference.
fn compare(clients: &[&Client; 2], seed: u64) -> Option<String> {
    let namespace = format!("case-{seed}");
    let calls = calls(seed, &namespace);
    let collection = collection_of(&calls, &namespace);
    for client in clients {
        let made = send(
            client,
            &mk_call(
                "POST",
                "/api/v1/namespaces".into(),
                Some(json!({ "metadata": { "name": namespace } })),
            ),
        );
        assert_eq!(made.code, 201, "{}", made.body);
    }
    let start = clients.map(|client| {
        let list = send(client, &mk_call("GET", collection.clone(), None));
        list.body["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_else(|| panic!("{list:?}"))
            .to_owned()
    });
    let mut told = format!("seed {seed}\n");
    for call in &calls {
        let [real, sandbox] = clients.map(|client| send(client, &prepared(client, call)));
        let [wanted, found] = [&real, &sandbox].map(normal);
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            told,
            "  {} {} {} {body} -> {}",
            call.method, call.path, call.content_type, real.code
        );
        if wanted != found {
            return Some(format!("{told}{}", difference(&wanted, &found)));
        }
    }
    if !seed.is_multiple_of(WATCHED) {
        return None;
    }
    let [wanted, found] = [0, 1].map(|at| {
        let path = format!(
            "{collection}?watch=true&timeoutSeconds=1&resourceVersion={}",
            start[at]
        );
        events(&text(clients[at], &mk_call("GET", path, None)).1)
    });
    if wanted != found {
        return Some(format!(
            "{told}  the watch of it\n{}",
            difference(&json!(wanted), &json!(found))
        ));
    }
    None
}

/// Where the objects of a case are.
fn collection_of(calls: &[Call], namespace: &str) -> String {
    let path = calls[0].path.split('?').next().unwrap();
    let place = path.find(namespace).unwrap() + namespace.len() + 1;
    let plural = path[place..].split('/').next().unwrap();
    format!("{}{plural}", &path[..place])
}

/// A replacement of what the server has now; a read where it has nothing.
fn prepared(client: &Client, call: &Call) -> Call {
    if !call.from_read {
        return call.clone();
    }
    let path = call.path.split('?').next().unwrap().to_owned();
    let read = mk_call("GET", path, None);
    let mut object = send(client, &read).body;
    if object["kind"] == "Status" {
        return read;
    }
    json_patch::merge(&mut object, call.body.as_ref().unwrap());
    Call {
        body: Some(object),
        ..call.clone()
    }
}

fn send(client: &Client, call: &Call) -> Answer {
    let (parts, text) = text(client, call);
    let warnings = parts
        .headers
        .get_all("warning")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned());
    Answer {
        code: parts.status.as_u16(),
        warnings: warnings.collect(),
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

fn text(client: &Client, call: &Call) -> (hyper::http::response::Parts, String) {
    let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(call.method)
        .uri(&call.path)
        .header("content-type", call.content_type)
        .header("accept", "application/json")
        .body(Body::from(body.into_bytes()))
        .unwrap();
    block_on(async {
        let sent = tokio::time::timeout(DEADLINE, client.send(request)).await;
        let response = sent.unwrap_or_else(|_| panic!("no answer to {call:?}")).unwrap();
        let (parts, body) = response.into_parts();
        let bytes = tokio::time::timeout(DEADLINE, body.collect_bytes()).await;
        let bytes = bytes
            .unwrap_or_else(|_| panic!("no end of the answer to {call:?}"))
            .unwrap();
        (parts, String::from_utf8(bytes.to_vec()).unwrap())
    })
}

/// The lines in which two values differ.
fn difference(wanted: &Value, found: &Value) -> String {
    let [wanted, found] = [wanted, found].map(|value| serde_json::to_string_pretty(value).unwrap());
    let diff = similar::TextDiff::from_lines(&wanted, &found);
    diff.unified_diff()
        .context_radius(4)
        .header("control plane", "sandbox")
        .to_string()
}
