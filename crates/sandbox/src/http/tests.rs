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
async fn the_audit_tells_who_asked_what() {
    let cluster = mk_cluster();
    let since = cluster.requests(0).1;
    let map = json!({"metadata": {"name": "a"}});
    ask(&cluster, "POST", MAPS, map).await;
    ask(&cluster, "GET", &format!("{MAPS}?limit=1"), Value::Null).await;
    ask(&cluster, "GET", &format!("{MAPS}/b"), Value::Null).await;
    drop(open(&cluster, "GET", &format!("{MAPS}?watch=true"), Value::Null).await);
    ask(&cluster, "DELETE", MAPS, Value::Null).await;
    let (told, next) = cluster.requests(since);
    assert_eq!(next, since + 5);
    let said = |one: &crate::Request| {
        let uri = one.uri.replace(MAPS, "maps");
        format!("{} {} {uri} {}", one.user, one.verb, one.code)
    };
    let said: Vec<String> = told.iter().map(said).collect();
    let wanted = [
        "admin create maps 201",
        "admin list maps?limit=1 200",
        "admin get maps/b 404",
        "admin watch maps?watch=true 200",
        "admin deletecollection maps 200",
    ];
    assert_eq!(said, wanted);
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

#[tokio::test(flavor = "current_thread")]
async fn an_account_may_do_what_its_roles_say_and_no_more() {
    let cluster = mk_cluster();
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let role = json!({"metadata": {"name": "writer"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch"]},
    ]});
    let binding = json!({
        "metadata": {"name": "writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    for (path, object) in [
        (accounts.to_owned(), json!({"metadata": {"name": "robot"}})),
        (format!("{rbac}/roles"), role),
        (format!("{rbac}/rolebindings"), binding),
        (MAPS.to_owned(), json!({"metadata": {"name": "there"}})),
    ] {
        assert_eq!(ask(&cluster, "POST", &path, object).await.0, 201, "{path}");
    }
    let (code, issued) = ask(&cluster, "POST", &format!("{accounts}/robot/token"), json!({})).await;
    assert_eq!(code, 201, "{issued}");
    let token = issued["status"]["token"].as_str().unwrap();
    let apply = "application/apply-patch+yaml";
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string();
    let asked = [
        ("GET", "/apis", "", String::new(), 200),
        ("GET", MAPS, "", String::new(), 200),
        ("GET", "/api/v1/configmaps", "", String::new(), 403),
        (
            "GET",
            "/api/v1/namespaces/default/secrets",
            "",
            String::new(),
            403,
        ),
        ("DELETE", &format!("{MAPS}/there"), "", String::new(), 403),
        (
            "PATCH",
            &format!("{MAPS}/there?fieldManager=robot"),
            apply,
            map("there"),
            200,
        ),
        (
            "PATCH",
            &format!("{MAPS}/new?fieldManager=robot"),
            apply,
            map("new"),
            403,
        ),
    ];
    for (method, path, media, body, wanted) in asked {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", media)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = cluster.guarded_service().answer(request).await;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(code, wanted, "{method} {path}: {text}");
        if path.ends_with("new?fieldManager=robot") {
            let says = "User \\\"system:serviceaccount:default:robot\\\" cannot create resource \\\"configmaps\\\" \
                        in API group \\\"\\\" in the namespace \\\"default\\\"";
            assert!(text.contains(says), "{text}");
        }
    }
    // A token ends with its account.
    ask(&cluster, "DELETE", &format!("{accounts}/robot"), Value::Null).await;
    let request = Request::get("/apis")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::new()))
        .unwrap();
    assert_eq!(cluster.guarded_service().answer(request).await.status(), 401);
}

#[tokio::test(flavor = "current_thread")]
async fn an_update_is_read_before_its_object_is_looked_for() {
    let cluster = mk_cluster();
    let (path, object) = (
        format!("{MAPS}/a"),
        json!({"metadata": {"name": "a"}, "bogus": 1}),
    );
    let missing = open(&cluster, "PUT", &path, object.clone()).await;
    assert_eq!(missing.status().as_u16(), 404);
    assert_eq!(
        missing.headers()["warning"],
        "299 - \"unknown field \\\"bogus\\\"\""
    );
    let (code, refused) = ask(&cluster, "PUT", &format!("{path}?fieldValidation=Strict"), object).await;
    assert_eq!(code, 400, "{refused}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_dry_run_answers_in_the_form_of_the_storage() {
    let cluster = mk_cluster();
    let role = json!({"metadata": {"name": "a"}, "rules": []});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    for path in [format!("{path}?dryRun=All"), path.to_owned()] {
        let (code, made) = ask(&cluster, "POST", &path, role.clone()).await;
        assert_eq!((code, &made["rules"]), (201, &Value::Null), "{made}");
        assert!(made.get("rules").is_some(), "{made}");
    }
}
