//! Workers that speak over pipes of this process: what they measure together is what one would have.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::net::TcpListener;

use super::*;
use crate::config::load_check::plan::Base;
use crate::verify::judge::LoadOutcome;

/// A server that answers 200 and counts requests.
pub async fn server() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.unwrap_or(0) > 0 {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        counted.fetch_add(1, SeqCst);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (address, seen)
}

fn mk_links(count: usize) -> Vec<Link> {
    let link = |_| {
        let (input, theirs) = tokio::io::duplex(1 << 16);
        let (output, mine) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let cancel = CancellationToken::new();
            worker::serve(theirs, output, &cancel).await.unwrap();
        });
        Link {
            input: Box::new(input),
            output: Box::new(mine),
            keep: None,
        }
    };
    (0..count).map(link).collect()
}

async fn check_with(links: usize, text: &str) -> Result<Checked, LoadError> {
    let spec: LoadCheckSpec = serde_yaml::from_str(text).unwrap();
    let plan = spec.compile().unwrap();
    let Base::Origin(origin) = plan.base.clone() else {
        panic!("the tests name an address")
    };
    let (progress, cancel) = (watch::Sender::default(), CancellationToken::new());
    check(
        &spec,
        plan,
        origin.as_str().into(),
        mk_links(links),
        progress,
        &cancel,
    )
    .await
}

#[tokio::test]
async fn the_parts_are_exactly_the_whole() {
    let (address, seen) = server().await;
    for (text, iterations) in [
        ("vus: 5\niterations: 103", 103),
        (
            "scenarios: {a: {executor: per-vu-iterations, vus: 7, iterations: 4}}",
            28,
        ),
        (
            "scenarios: {a: {executor: constant-arrival-rate, rate: 50, duration: 1s, preAllocatedVUs: 10}}",
            50,
        ),
    ] {
        seen.store(0, SeqCst);
        let text = format!(
            "target: {{url: 'http://{address}', waitReady: {{timeout: 5s}}}}\nstrict: {{maxExtend: 0}}\n{text}\n"
        );
        let checked = check_with(3, &text).await.unwrap();
        assert_eq!(checked.verdict.outcome, LoadOutcome::Pass, "{text}");
        assert_eq!(checked.samples.iterations[0].complete, iterations, "{text}");
        assert_eq!(checked.samples.request_count(), iterations, "{text}");
        // Each worker asked once whether the target answers.
        assert_eq!(seen.load(SeqCst), iterations + 3, "{text}");
    }
}

#[tokio::test]
async fn a_repetition_uses_the_same_workers() {
    let (address, _) = server().await;
    let text = format!(
        "target: {{url: 'http://{address}'}}\nvus: 2\niterations: 20\nstrict: {{maxExtend: 1}}\n\
         thresholds: {{http_req_duration: ['p(90)<60000']}}\n"
    );
    let checked = check_with(2, &text).await.unwrap();
    assert_eq!((checked.repetitions, checked.samples.request_count()), (1, 40));
    assert_eq!(checked.verdict.outcome, LoadOutcome::Pass);
}

#[tokio::test]
async fn a_worker_that_cannot_reach_the_target_stops_the_check_before_load() {
    let text = "target: {url: 'http://127.0.0.1:1', waitReady: {timeout: 300ms}}\nvus: 2\niterations: 2\n";
    let error = check_with(2, text).await.unwrap_err().to_string();
    assert!(error.contains("is not ready"), "{error}");
}

#[tokio::test]
async fn a_worker_that_is_lost_breaks_the_check() {
    let (address, _) = server().await;
    let text = format!("target: {{url: 'http://{address}'}}\nvus: 2\nduration: 10s\n");
    let spec: LoadCheckSpec = serde_yaml::from_str(&text).unwrap();
    let mut links = mk_links(1);
    let (input, theirs) = tokio::io::duplex(1 << 16);
    let (mut output, mine) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        // It gets ready, and is gone when the load begins.
        send(&mut output, &FromWorker::Ready).await.unwrap();
        let mut lines = BufReader::new(theirs).lines();
        while !lines.next_line().await.unwrap().unwrap().contains("run") {}
    });
    links.push(Link {
        input: Box::new(input),
        output: Box::new(mine),
        keep: None,
    });
    let (progress, cancel) = (watch::Sender::default(), CancellationToken::new());
    let origins = Origins::from(format!("http://{address}").as_str());
    let error = check(&spec, spec.compile().unwrap(), origins, links, progress, &cancel)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("worker 1: it ended early"), "{error}");
}
