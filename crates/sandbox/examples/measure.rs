//! Measures how fast a cluster starts, how much memory 10,000 Deployments take, and how long it takes to apply 1,001
//! objects server-side, twice: `cargo run --release -p gitsync-sandbox --example measure` (Linux).

use std::io::Write as _;
use std::time::Instant;

use http::Request;
use http_body_util::Full;
use sandbox::{Cluster, Options};
use serde_json::json;

const OBJECTS: usize = 10_000;
const APPLIED: usize = 1_001;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout();
    let began = Instant::now();
    let handle = Cluster::start(Options {
        controllers: false,
        ..Options::default()
    })
    .await?;
    writeln!(out, "start: {:?}", began.elapsed())?;
    let client = handle.cluster().client("measure");
    let began = Instant::now();
    for number in 0..OBJECTS {
        let labels = json!({ "app": format!("app-{number}") });
        let container = json!({ "name": "web", "image": "web:1", "ports": [{ "containerPort": 80 }],
                                "env": [{ "name": "A", "value": "1" }] });
        let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
        let metadata = json!({ "name": format!("app-{number}"), "namespace": "default", "labels": labels });
        let spec = json!({ "replicas": 2, "selector": { "matchLabels": labels }, "template": template });
        client.create("deployments.apps", json!({ "metadata": metadata, "spec": spec }))?;
    }
    writeln!(out, "{OBJECTS} creates: {:?}", began.elapsed())?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("VmRSS: unknown");
    writeln!(out, "{resident}")?;
    let began = Instant::now();
    let listed = client.list("deployments.apps", None).len();
    writeln!(out, "list of {listed}: {:?}", began.elapsed())?;
    for attempt in ["first", "second"] {
        let began = Instant::now();
        apply(handle.cluster()).await?;
        writeln!(
            out,
            "{attempt} server-side apply of {APPLIED}: {:?}",
            began.elapsed()
        )?;
    }
    Ok(())
}

/// Applies ConfigMaps by requests, one after the other, as a client does but without a connection.
async fn apply(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let service = cluster.service();
    for number in 0..APPLIED {
        let name = format!("settings-{number}");
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
                             "data": { "number": number.to_string(), "text": "x".repeat(500) } });
        let uri = format!("/api/v1/namespaces/default/configmaps/{name}?fieldManager=measure&force=true");
        let request = Request::patch(uri)
            .header("content-type", "application/apply-patch+yaml")
            .body(Full::new(bytes::Bytes::from(object.to_string())))?;
        let response = service.answer(request).await;
        if !response.status().is_success() {
            return Err(format!("{name}: {}", response.status()).into());
        }
    }
    Ok(())
}
