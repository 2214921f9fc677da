use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{Clock, Cluster, Fault, FaultKind, Options};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn mk_cluster() -> Cluster {
    Cluster::new(Options {
        clock: Clock::manual(Timestamp::UNIX_EPOCH),
        ..Options::default()
    })
}

async fn ask(cluster: &Cluster, method: &str, path: &str, body: Value) -> (u16, Value) {
    let response = open(cluster, method, path, body).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn open(cluster: &Cluster, method: &str, path: &str, body: Value) -> Response<Body> {
    let bytes = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let content = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(Full::new(bytes))
        .unwrap();
    cluster.service().answer(request).await
}

async fn create(cluster: &Cluster, name: &str) {
    let (code, answer) = ask(cluster, "POST", MAPS, json!({"metadata": {"name": name}})).await;
    assert_eq!(code, 201, "{answer}");
}

async fn next(body: &mut Body) -> Value {
    let frame = body.frame().await.unwrap().unwrap();
    serde_json::from_slice(frame.data_ref().unwrap()).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "current_thread")]
async fn the_pages_of_a_list_are_of_one_state() {
    let cluster = mk_cluster();
    for name in ["a", "b", "c"] {
        create(&cluster, name).await;
    }
    let (_, first) = ask(&cluster, "GET", &format!("{MAPS}?limit=2"), Value::Null).await;
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    ask(&cluster, "DELETE", &format!("{MAPS}/c"), Value::Null).await;
    create(&cluster, "d").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = ask(&cluster, "GET", &format!("{MAPS}?continue={token}"), Value::Null).await;
    assert_eq!(names(&rest), ["c"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    cluster.compact();
    let (code, gone) = ask(&cluster, "GET", &format!("{MAPS}?continue={token}"), Value::Null).await;
    assert_eq!((code, &gone["reason"]), (410, &json!("Expired")));
    let token = gone["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = ask(&cluster, "GET", &format!("{MAPS}?continue={token}"), Value::Null).await;
    assert_eq!(names(&rest), ["d"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_watch_tells_what_begins_and_ceases_to_match() {
    let cluster = mk_cluster();
    create(&cluster, "a").await;
    let (_, list) = ask(&cluster, "GET", MAPS, Value::Null).await;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!(
        "{MAPS}?watch=true&labelSelector=app%3Dx&allowWatchBookmarks=true&resourceVersion={revision}"
    );
    let mut watch = open(&cluster, "GET", &path, Value::Null).await.into_body();
    let object = format!("{MAPS}/a");
    for labels in [
        json!({"app": "x"}),
        json!({"app": "x", "b": "c"}),
        json!({"app": "y"}),
    ] {
        ask(
            &cluster,
            "PATCH",
            &object,
            json!({"metadata": {"labels": labels}}),
        )
        .await;
    }
    for wanted in ["ADDED", "MODIFIED", "DELETED"] {
        let event = next(&mut watch).await;
        assert_eq!(event["type"], wanted);
        assert_eq!(event["object"]["metadata"]["labels"]["app"], "x");
    }
    let (bookmark, ()) = tokio::join!(next(&mut watch), async {
        tokio::task::yield_now().await;
        cluster.clock().advance(Duration::from_secs(61));
    });
    assert_eq!(bookmark["type"], "BOOKMARK");
    cluster.drop_watches();
}

#[tokio::test(flavor = "current_thread")]
async fn a_watch_of_forgotten_changes_is_refused() {
    let cluster = mk_cluster();
    create(&cluster, "a").await;
    cluster.compact();
    let mut watch = open(
        &cluster,
        "GET",
        &format!("{MAPS}?watch=true&resourceVersion=1"),
        Value::Null,
    )
    .await
    .into_body();
    let event = next(&mut watch).await;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert!(watch.frame().await.is_none());
}

#[tokio::test(flavor = "current_thread")]
async fn a_finalizer_holds_an_object() {
    let cluster = mk_cluster();
    let object = json!({"metadata": {"name": "a", "finalizers": ["example.com/one"]}});
    ask(&cluster, "POST", MAPS, object).await;
    let path = format!("{MAPS}/a");
    let (_, held) = ask(&cluster, "DELETE", &path, Value::Null).await;
    assert_eq!(held["metadata"]["deletionTimestamp"], "1970-01-01T00:00:00Z");
    let (code, _) = ask(
        &cluster,
        "PATCH",
        &path,
        json!({"metadata": {"finalizers": ["example.com/two"]}}),
    )
    .await;
    assert_eq!(code, 422, "no finalizer is added to a deleted object");
    ask(
        &cluster,
        "PATCH",
        &path,
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    let (code, _) = ask(&cluster, "GET", &path, Value::Null).await;
    assert_eq!(code, 404);
    create(&cluster, "b").await;
    let (_, marked) = ask(
        &cluster,
        "DELETE",
        &format!("{MAPS}/b?propagationPolicy=Orphan"),
        Value::Null,
    )
    .await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
}

#[tokio::test(flavor = "current_thread")]
async fn a_fault_happens_to_whom_it_is_meant_for_and_as_often() {
    let cluster = mk_cluster();
    let busy = cluster.inject(
        Fault::new(FaultKind::TooManyRequests(7))
            .methods(&["GET"])
            .path("configmaps")
            .times(1),
    );
    let response = open(&cluster, "GET", MAPS, Value::Null).await;
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(ask(&cluster, "GET", MAPS, Value::Null).await.0, 200);
    assert_eq!(busy.hits(), 1);
    let conflict = cluster.inject(Fault::new(FaultKind::Conflict));
    create(&cluster, "a").await;
    let (code, answer) = ask(&cluster, "PATCH", &format!("{MAPS}/a"), json!({})).await;
    assert_eq!((code, &answer["reason"]), (409, &json!("Conflict")));
    drop(conflict);
    assert_eq!(
        ask(&cluster, "PATCH", &format!("{MAPS}/a"), json!({})).await.0,
        200
    );
}

#[tokio::test(flavor = "current_thread")]
async fn without_a_token_nobody_is_let_in() {
    let handle = Cluster::start(Options {
        tls: false,
        controllers: false,
        ..Options::default()
    })
    .await
    .unwrap();
    let service = handle.cluster().guarded_service();
    let token = handle.access().token;
    for (header, wanted) in [
        ("", 401),
        ("Bearer wrong", 401),
        (&format!("Bearer {token}"), 200),
    ] {
        let request = Request::get(MAPS)
            .header("authorization", header)
            .body(Full::new(Bytes::new()))
            .unwrap();
        assert_eq!(
            service.answer(request).await.status().as_u16(),
            wanted,
            "{header}"
        );
    }
    assert!(
        !format!("{handle:?}").contains(&token),
        "a token is never printed"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_custom_kind_is_served_until_its_definition_goes() {
    let cluster = mk_cluster();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "minimum": 1, "default": 3},
    }}}});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names = json!({"plural": "widgets", "kind": "Widget"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let metadata = json!({"name": "widgets.example.com"});
    let (code, made) = ask(
        &cluster,
        "POST",
        definitions,
        json!({"metadata": metadata, "spec": spec}),
    )
    .await;
    assert_eq!(code, 201, "{made}");
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    let (_, widget) = ask(
        &cluster,
        "POST",
        widgets,
        json!({"metadata": {"name": "a"}, "spec": {"other": 1}}),
    )
    .await;
    assert_eq!(widget["spec"], json!({"size": 3}));
    let (code, _) = ask(
        &cluster,
        "POST",
        widgets,
        json!({"metadata": {"name": "b"}, "spec": {"size": 0}}),
    )
    .await;
    assert_eq!(code, 422);
    ask(
        &cluster,
        "DELETE",
        &format!("{definitions}/widgets.example.com"),
        Value::Null,
    )
    .await;
    assert_eq!(ask(&cluster, "GET", widgets, Value::Null).await.0, 404);
}
