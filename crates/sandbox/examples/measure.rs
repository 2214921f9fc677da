//! Measures how fast a cluster starts, and how much memory 10,000 Deployments take:
//! `cargo run --release -p gitsync-sandbox --example measure` (Linux).

use std::io::Write as _;
use std::time::Instant;

use sandbox::{Cluster, Options};
use serde_json::json;

const OBJECTS: usize = 10_000;

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
    Ok(())
}
