//! A load that several processes of the built binary send together.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use gitsync::config::load_check::LoadCheckSpec;
use gitsync::verify::judge::LoadOutcome;
use gitsync::verify::progress::Progress;
use gitsync::world::load::Origins;
use gitsync::world::load::fleet::{self, Link};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::binaries;

/// A server whose every third answer is 500; it counts what it answers.
async fn server() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {
                    if !head.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    head.clear();
                    let status = if counted.fetch_add(1, SeqCst) % 3 == 2 {
                        500
                    } else {
                        200
                    };
                    let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, seen)
}

fn worker() -> Child {
    let mut command = Command::new(binaries::gitsync());
    command.args(["check", "--worker"]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test]
async fn processes_measure_together_what_one_would() {
    let (url, seen) = server().await;
    let text = format!(
        "target: {{url: '{url}'}}\nvus: 6\niterations: 300\ndistribution: {{pods: 3}}\n\
         thresholds: {{http_req_failed: [rate<0.2]}}\n"
    );
    let spec: LoadCheckSpec = serde_yaml::from_str(&text).unwrap();
    let mut workers: Vec<Child> = (0..3).map(|_| worker()).collect();
    let links = workers.iter_mut().map(|worker| Link {
        input: Box::new(worker.stdin.take().unwrap()),
        output: Box::new(worker.stdout.take().unwrap()),
        keep: None,
    });
    let links: Vec<Link> = links.collect();
    let (progress, shown) = watch::channel(Progress::default());
    let (plan, cancel) = (spec.compile().unwrap(), CancellationToken::new());
    let origins = Origins::from(&url);
    let checked = fleet::check(&spec, plan, origins, links, progress, &cancel)
        .await
        .unwrap();
    // A third fails, which no single worker's share hides.
    assert_eq!(
        checked.verdict.outcome,
        LoadOutcome::Fail,
        "{:?}",
        checked.verdict
    );
    assert_eq!(checked.samples.request_count(), 300);
    let failed = checked.samples.failures().0;
    assert!((98..=102).contains(&failed), "{failed}");
    assert_eq!(seen.load(SeqCst), 303);
    assert_eq!(shown.borrow().requests, 300);
    assert_eq!(shown.borrow().scenarios[0].iterations, 300);
    // Nobody holds their input any more: they end by themselves, and well.
    for worker in &mut workers {
        assert!(worker.wait().await.unwrap().success());
    }
}
