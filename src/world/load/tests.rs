//! The engine against servers of known behaviour. What is asserted are counts, statuses and verdicts, never times.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::load_check::LoadCheckSpec;
use crate::config::load_check::plan::Base;
use crate::verify::exchange::ErrorKind;

/// What a server does with a request for a path; other methods than GET have theirs before it: `POST /path`.
type Behaviour = dyn Fn(&str) -> Reply + Send + Sync;

enum Reply {
    /// A status with a body, on a connection that stays open.
    Answer(u16, &'static str),
    /// The status 200, but not before that moment.
    Late(Instant),
    /// Exactly these bytes; then the connection is closed.
    Raw(&'static str),
    /// Exactly these bytes; then nothing.
    Stall(&'static str),
    /// A reset.
    Reset,
}

/// A server on loopback that counts what it sees.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(behaviour: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (seen, accepted) = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&behaviour), Arc::clone(&seen)));
            }
        });
        Self {
            address,
            requests,
            connections,
            task,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, behaviour: Arc<Behaviour>, seen: Arc<AtomicU64>) {
    let mut buffer = Vec::new();
    loop {
        while !buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        seen.fetch_add(1, SeqCst);
        let text = String::from_utf8(std::mem::take(&mut buffer)).unwrap();
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = if method == "GET" {
            path.to_owned()
        } else {
            format!("{method} {path}")
        };
        match behaviour(&path) {
            Reply::Answer(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\nx-path: {path}\r\n\r\n",
                    body.len()
                );
                if stream
                    .write_all(format!("{head}{body}").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Reply::Late(moment) => {
                tokio::time::sleep_until(moment).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
            Reply::Raw(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Stall(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                std::future::pending::<()>().await;
            }
            Reply::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

fn mk_plan(url: &str, text: &str) -> Plan {
    let text = format!("target: {{url: '{url}', waitReady: {{timeout: 1s}}}}\n{text}\n");
    serde_yaml::from_str::<LoadCheckSpec>(&text)
        .unwrap()
        .compile()
        .unwrap()
}

async fn run_plan(plan: Plan) -> Result<Checked, LoadError> {
    let Base::Origin(origin) = plan.base.clone() else {
        panic!("the tests name an address")
    };
    check(plan, &origin, watch::Sender::default(), &CancellationToken::new()).await
}

/// The load of a plan without the wait for an answer.
async fn run_at(server: &Server, text: &str) -> (Arc<Plan>, Samples) {
    let cancel = CancellationToken::new();
    let plan = Arc::new(mk_plan(&server.url(), text));
    let target = Target::resolve(&server.url(), &plan, &cancel).await.unwrap();
    let samples = run(&plan, &[Arc::new(target)], &watch::Sender::default(), 0, &cancel)
        .await
        .unwrap();
    (plan, samples)
}

fn statuses(samples: &Samples) -> Vec<(u16, Option<ErrorKind>, u64)> {
    let series = samples.requests.iter().filter(|(key, _)| !key.hop);
    series
        .map(|(key, series)| (key.status, key.error, series.count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_counted_once() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    let text =
        "vus: 3\niterations: 30\nchecks: {ok: \"status == 200 && body contains 'ell'\", size: size == 5}";
    let (plan, samples) = run_at(&server, text).await;
    assert_eq!(statuses(&samples), [(200, None, 30)]);
    assert_eq!(server.requests.load(SeqCst), 30);
    // A user without an iteration left opens no connection.
    assert!(
        (1..=3).contains(&server.connections.load(SeqCst)),
        "{:?}",
        server.connections
    );
    assert_eq!(samples.iterations[0].complete, 30);
    let passes: Vec<_> = samples
        .check_counts(&plan)
        .iter()
        .map(|count| (count.passes, count.fails))
        .collect();
    assert_eq!(passes, [(30, 0), (30, 0)]);
    let received = "HTTP/1.1 200 Said\r\ncontent-length: 5\r\nx-path: /\r\n\r\nhello".len() as u64;
    assert_eq!(samples.data_received, 30 * received);
    assert_eq!(samples.requests.values().next().unwrap().times[0].count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_keeps_every_user_busy() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    let checked = run_plan(mk_plan(
        &server.url(),
        "vus: 4\nduration: 1s\nthresholds: {http_req_duration: ['p(90)<60000'], http_reqs: [count>40]}",
    ))
    .await
    .unwrap();
    assert_eq!(
        checked.verdict.outcome,
        LoadOutcome::Pass,
        "{:?}",
        checked.verdict
    );
    // One connection asked whether the target is ready.
    assert_eq!(server.connections.load(SeqCst), 4 + 1);
    assert_eq!(server.requests.load(SeqCst), checked.samples.request_count() + 1);
    assert_eq!(checked.samples.vus.max, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    for (name, behaviour, want) in [
        (
            "an error status",
            (|_| Reply::Answer(500, "oops")) as fn(&str) -> Reply,
            (500, None),
        ),
        ("not found", |_| Reply::Answer(404, ""), (404, None)),
        ("a reset", |_| Reply::Reset, (0, Some(ErrorKind::Reset))),
        (
            "closed without an answer",
            |_| Reply::Raw(""),
            (0, Some(ErrorKind::Closed)),
        ),
        (
            "not HTTP",
            |_| Reply::Raw("hello there\r\n\r\n"),
            (0, Some(ErrorKind::Protocol)),
        ),
        (
            "cut in the middle of the body",
            |_| Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
            (0, Some(ErrorKind::Closed)),
        ),
        (
            "never answered",
            |_| Reply::Stall(""),
            (0, Some(ErrorKind::Timeout)),
        ),
        (
            "a body that never ends",
            |_| Reply::Stall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
            (0, Some(ErrorKind::Timeout)),
        ),
    ] {
        let server = Server::start(behaviour).await;
        let text = "iterations: 3\nhttp: [{timeout: 300ms}]\n\
                    checks: {ok: status == 200, fast: duration < 100000, negated: '!(status == 1)'}";
        let (plan, samples) = run_at(&server, text).await;
        assert_eq!(statuses(&samples), [(want.0, want.1, 3)], "{name}");
        assert_eq!(server.requests.load(SeqCst), 3, "{name}: nothing is sent twice");
        let verdict = judge(&plan, &samples, 1);
        assert_eq!(verdict.outcome, LoadOutcome::Fail, "{name}: {verdict:?}");
        let held: Vec<_> = samples
            .check_counts(&plan)
            .iter()
            .map(|count| count.passes)
            .collect();
        assert!(
            want.1.is_none() || held == [0, 0, 0],
            "{name}: no check holds without an answer: {held:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_each_connection_is_no_failure() {
    let server =
        Server::start(|_| Reply::Raw("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"))
            .await;
    let (_, samples) = run_at(&server, "iterations: 5").await;
    assert_eq!(statuses(&samples), [(200, None, 5)]);
    assert_eq!(server.connections.load(SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_stay_on_the_target() {
    fn behaviour(path: &str) -> Reply {
        match path {
            "/once" => Reply::Raw(
                "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: end?a=1\r\ncontent-length: 0\r\n\r\n",
            ),
            "/loop" => Reply::Raw(
                "HTTP/1.1 301 Moved\r\nconnection: close\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n",
            ),
            "/away" => Reply::Raw(
                "HTTP/1.1 307 Away\r\nconnection: close\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            ),
            "/end?a=1" => Reply::Answer(200, "end"),
            _ => Reply::Answer(404, ""),
        }
    }
    for (path, options, want, requests) in [
        ("/once", "", (200, None), 2),
        ("/once", "maxRedirects: 0", (302, None), 1),
        ("/loop", "maxRedirects: 4", (301, Some(ErrorKind::Redirect)), 5),
        ("/away", "", (307, Some(ErrorKind::Redirect)), 1),
    ] {
        let server = Server::start(behaviour).await;
        let (_, samples) = run_at(&server, &format!("http: [{{path: {path}, {options}}}]")).await;
        assert_eq!(statuses(&samples), [(want.0, want.1, 1)], "{path} {options}");
        assert_eq!(
            samples.request_count(),
            requests,
            "{path} {options}: each hop counts"
        );
        assert_eq!(server.requests.load(SeqCst), requests, "{path} {options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_targets_are_stopped() {
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let hanging = Server::start(|_| Reply::Stall("")).await;
    let failing = Server::start(|_| Reply::Answer(500, "oops")).await;
    let absent = Server::start(|_| Reply::Answer(503, "nobody here")).await;
    let gate = "vus: 2\nduration: 1s\nthresholds: {http_req_duration: ['p(90)<600']}";
    for (name, url, says) in [
        ("refused", closed, "connection refused"),
        ("hanging", hanging.url(), "not answered in time"),
        (
            "no such host",
            "http://no-such-host.invalid".to_owned(),
            "no address",
        ),
        ("a proxy with nobody behind it", absent.url(), "status 503"),
    ] {
        let error = run_plan(mk_plan(&url, gate)).await.unwrap_err();
        let LoadError::Target(error) = error else {
            panic!("{name}: {error:?}")
        };
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    let checked = run_plan(mk_plan(&failing.url(), gate)).await.unwrap();
    assert_eq!(checked.verdict.outcome, LoadOutcome::Fail);
    assert!(
        checked.verdict.reason.contains("status 500"),
        "{}",
        checked.verdict.reason
    );
    for url in ["http://undefined:5000/", "http://:5000/", ""] {
        assert!(LoadCheckSpec::for_url(url).compile().is_err(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_readiness_only_looks() {
    // Asked by POST, this server would never be ready.
    let server =
        Server::start(|path| Reply::Answer(if path.starts_with("POST") { 503 } else { 405 }, "")).await;
    let text = "iterations: 3\nhttp: [{method: POST, path: /orders, body: ''}]";
    let checked = run_plan(mk_plan(&server.url(), text)).await.unwrap();
    assert_eq!(statuses(&checked.samples), [(503, None, 3)]);
    assert_eq!(
        checked.verdict.outcome,
        LoadOutcome::Fail,
        "{:?}",
        checked.verdict
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_the_end_counts_as_slow() {
    let server = Server::start(|_| Reply::Stall("")).await;
    for (grace, error, failed) in [
        ("0s", ErrorKind::Interrupted, None),
        ("100ms", ErrorKind::Timeout, Some((3, 3))),
    ] {
        let text = format!(
            "vus: 3\nduration: 1s\ngracefulStop: {grace}\nthresholds: {{http_req_duration: ['p(90)<600000']}}"
        );
        let (plan, samples) = run_at(&server, &text).await;
        assert_eq!(statuses(&samples), [(0, Some(error), 3)], "{grace}");
        assert_eq!(
            (samples.iterations[0].complete, samples.iterations[0].interrupted),
            (0, 3),
            "{grace}"
        );
        assert_eq!(samples.part(&plan, &plan.rules[1].selection), failed, "{grace}");
        let verdict = judge(&plan, &samples, 1);
        assert_eq!(
            verdict.thresholds[0].outcome,
            LoadOutcome::Fail,
            "{grace}: {verdict:?}"
        );
        assert_eq!(verdict.outcome, LoadOutcome::Fail, "{grace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_verdict_repeats_the_run_and_then_blocks() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    let gate = "thresholds: {http_req_duration: ['p(90)<60000']}\niterations: 10\n";
    let checked = run_plan(mk_plan(&server.url(), gate)).await.unwrap();
    assert_eq!(
        (checked.verdict.outcome, checked.repetitions),
        (LoadOutcome::Inconclusive, 2)
    );
    assert_eq!(checked.samples.request_count(), 30);
    let checked = run_plan(mk_plan(&server.url(), &gate.replace("10", "25")))
        .await
        .unwrap();
    assert_eq!(
        (checked.verdict.outcome, checked.repetitions),
        (LoadOutcome::Pass, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_a_run_at_once_and_voids_it() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    let plan = mk_plan(&server.url(), "vus: 2\nduration: 1h");
    let (cancel, progress) = (CancellationToken::new(), watch::Sender::default());
    let mut seen = progress.subscribe();
    let canceller = cancel.clone();
    tokio::spawn(async move {
        seen.wait_for(|progress: &Progress| progress.requests > 10)
            .await
            .unwrap();
        canceller.cancel();
    });
    let checked = check(plan, &server.url(), progress, &cancel).await.unwrap();
    assert_eq!(checked.verdict.outcome, LoadOutcome::Void);
    assert!(
        checked.samples.failures() == (0, checked.samples.request_count()),
        "{:?}",
        statuses(&checked.samples)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crossed_threshold_can_end_the_run() {
    let server = Server::start(|_| Reply::Answer(500, "oops")).await;
    let text = "vus: 1\nduration: 1h\nhttp: [{sleep: 10ms}]\n\
                thresholds: {http_req_failed: [{threshold: rate<0.5, abortOnFail: true}]}";
    let (plan, samples) = run_at(&server, text).await;
    assert_eq!(samples.ended, Ended::Aborted(0));
    assert_eq!(judge(&plan, &samples, 1).outcome, LoadOutcome::Fail);
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_do_what_they_say() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    for (name, scenario, least, most) in [
        (
            "per user",
            "{executor: per-vu-iterations, vus: 3, iterations: 4}",
            12,
            12,
        ),
        (
            "shared",
            "{executor: shared-iterations, vus: 3, iterations: 7}",
            7,
            7,
        ),
        (
            "a rate",
            "{executor: constant-arrival-rate, rate: 50, duration: 1s, preAllocatedVUs: 50}",
            50,
            50,
        ),
        (
            "a rising rate",
            "{executor: ramping-arrival-rate, stages: [{duration: 1s, target: 40}], preAllocatedVUs: 50}",
            20,
            20,
        ),
        (
            "a ramp",
            "{executor: ramping-vus, startVUs: 0, stages: [{duration: 1s, target: 3}]}",
            3,
            u64::MAX,
        ),
    ] {
        let text = format!("scenarios: {{a: {scenario}}}\nhttp: [{{sleep: 1ms}}]");
        let (_, samples) = run_at(&server, &text).await;
        let done = samples.iterations[0].complete;
        assert!((least..=most).contains(&done), "{name}: {done}");
        assert_eq!(samples.request_count(), done, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arrival_without_a_free_user_is_dropped_and_condemns() {
    let server = Server::start(|_| Reply::Stall("")).await;
    let text = "scenarios: {a: {executor: constant-arrival-rate, rate: 20, duration: 2s, preAllocatedVUs: 1, maxVUs: 2,\
                gracefulStop: 0s}}\nthresholds: {http_req_duration: ['p(50)<600000'], http_req_failed: [rate<=1]}";
    let (plan, samples) = run_at(&server, text).await;
    assert_eq!(
        (samples.iterations[0].dropped, samples.iterations[0].interrupted),
        (38, 2)
    );
    let verdict = judge(&plan, &samples, 1);
    assert_eq!(verdict.thresholds[0].outcome, LoadOutcome::Fail, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrivals_count_all_who_wait_for_a_stall_to_end_and_a_loop_counts_one() {
    let slow_in = async |scenario: &str| {
        let (seen, end) = (AtomicU64::new(0), OnceLock::new());
        let server = Server::start(move |_| match seen.fetch_add(1, SeqCst) {
            ..20 => Reply::Answer(200, ""),
            _ => Reply::Late(*end.get_or_init(|| Instant::now() + Duration::from_secs(1))),
        })
        .await;
        let text = format!("scenarios: {{a: {scenario}}}\nthresholds: {{http_req_duration: ['p(90)<500']}}");
        let (_, samples) = run_at(&server, &text).await;
        samples.broken[0].iter().map(|block| block.broken).sum::<u32>()
    };
    // Of those who come within the second of the stall, half wait for longer than half a second.
    let arrivals =
        slow_in("{executor: constant-arrival-rate, rate: 50, duration: 2s, preAllocatedVUs: 100}").await;
    let looped = slow_in("{executor: constant-vus, vus: 1, duration: 2s}").await;
    // One request of the loop met the stall; the machine itself may stand still once more.
    assert!(
        arrivals >= 24 && (1..=3).contains(&looped),
        "{arrivals}, {looped}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_of_requests_is_one_iteration() {
    let server = Server::start(|path| Reply::Answer(if path == "/missing" { 404 } else { 200 }, "")).await;
    let text = "iterations: 5\nvus: 2\n\
                http: [{name: home}, {name: gone, path: /missing, expectedStatus: [404]}]\n\
                thresholds: {'http_reqs{name:gone}': [count==5], 'http_reqs{status:200}': [count==5], \
                'http_reqs{expected_response:false}': [count==0]}";
    let (plan, samples) = run_at(&server, text).await;
    let verdict = judge(&plan, &samples, 1);
    assert_eq!(verdict.outcome, LoadOutcome::Pass, "{verdict:?}");
    assert_eq!((samples.request_count(), samples.iterations[0].complete), (10, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_choose_one_request_of_an_iteration() {
    let server = Server::start(|_| Reply::Answer(200, "")).await;
    let text = "iterations: 40\nhttp: [{name: often, weight: 3, query: {q: 'a b'}}, {name: rarely, weight: 1}]\n\
                thresholds: {'http_reqs{name:often}': [count>=29, count<=31], \
                'http_reqs{name:rarely}': [count>=9, count<=11]}";
    let (plan, samples) = run_at(&server, text).await;
    let verdict = judge(&plan, &samples, 1);
    let counts: Vec<LoadOutcome> = verdict.thresholds[..4]
        .iter()
        .map(|judged| judged.outcome)
        .collect();
    assert_eq!(counts, [LoadOutcome::Pass; 4], "{:?}", verdict.thresholds);
    assert_eq!(
        (samples.request_count(), samples.iterations[0].complete),
        (40, 40)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_warm_up_are_not_counted() {
    let server = Server::start(|_| Reply::Answer(200, "hello")).await;
    let text = "vus: 1\nduration: 2s\nhttp: [{sleep: 20ms}]\nstrict: {warmup: 1s}";
    let (_, samples) = run_at(&server, text).await;
    assert!(samples.request_count() > 0);
    assert!(samples.request_count() < server.requests.load(SeqCst));
}

/// A server behind TLS that answers 200 by HTTP/1.1 and, when `h2`, by HTTP/2.
async fn tls_server(h2: bool) -> (SocketAddr, JoinHandle<()>) {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = if h2 { vec![b"h2".to_vec()] } else { Vec::new() };
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |request: hyper::Request<hyper::body::Incoming>| async move {
        // What the client took the server for comes back, so that a check can look at it.
        let host = request
            .headers()
            .get("host")
            .and_then(|host| host.to_str().ok().map(str::to_owned));
        let host = host
            .or_else(|| request.uri().authority().map(ToString::to_string))
            .unwrap_or_default();
        let body = http_body_util::Full::new(hyper::body::Bytes::from(host));
        Ok::<_, std::convert::Infallible>(hyper::Response::new(body))
    };
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us hangs up here, and the next one is welcome.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let io = hyper_util::rt::TokioIo::new(stream);
                let service = hyper::service::service_fn(answer);
                let _ = if h2 {
                    let executor = hyper_util::rt::TokioExecutor::new();
                    hyper::server::conn::http2::Builder::new(executor)
                        .serve_connection(io, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await
                };
            });
        }
    });
    (address, task)
}

fn mk_tls_plan(address: SocketAddr, trusted: bool, name: &str, rest: &str) -> Plan {
    let mut spec: LoadCheckSpec = serde_yaml::from_str(&format!(
        "target: {{url: 'https://{address}', waitReady: {{timeout: 1s}}}}\n{rest}\n"
    ))
    .unwrap();
    let ca = trusted.then(|| include_str!("testdata/ca.pem").to_owned());
    spec.target.tls = Some(crate::config::load_check::TlsSpec {
        ca_certificates: ca,
        server_name: Some(name.to_owned()),
    });
    spec.compile().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_in_both_versions_of_http() {
    for (h2, proto) in [(false, "HTTP/1.1"), (true, "HTTP/2.0")] {
        let (address, server) = tls_server(h2).await;
        let rest = format!(
            "vus: 2\niterations: 20\nhttp: [{{headers: {{Host: shop.example}}}}]\n\
             checks: {{host: body == 'shop.example'}}\nthresholds: {{'http_reqs{{proto:{proto}}}': [count==20], checks: [rate==1]}}"
        );
        let checked = run_plan(mk_tls_plan(address, true, "shop.example", &rest))
            .await
            .unwrap();
        assert_eq!(
            checked.verdict.outcome,
            LoadOutcome::Pass,
            "{proto}: {:?}",
            checked.verdict
        );
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_no_target() {
    let (address, server) = tls_server(false).await;
    for (name, trusted, host) in [
        ("an unknown authority", false, "shop.example"),
        ("another name", true, "other.example"),
    ] {
        let error = run_plan(mk_tls_plan(address, trusted, host, ""))
            .await
            .unwrap_err();
        let LoadError::Target(error) = error else {
            panic!("{name}: {error:?}")
        };
        assert!(
            error.to_string().contains("TLS handshake failed"),
            "{name}: {error}"
        );
    }
    server.abort();
}

#[tokio::test]
async fn a_baseline_gets_the_same_load_and_is_part_of_no_figure() {
    let target = Server::start(|_| Reply::Answer(200, "ok")).await;
    let baseline = Server::start(|_| Reply::Answer(200, "ok")).await;
    let text = format!(
        "baseline: {{url: '{}'}}\nscenarios: {{a: {{executor: per-vu-iterations, vus: 4, iterations: 25}}}}\n\
         thresholds: {{http_req_duration: ['p(50)<1000000*baseline'], http_reqs: ['count==100']}}",
        baseline.url()
    );
    let plan = mk_plan(&target.url(), &text);
    assert_eq!(plan.max_vus(), 8);
    let origins = Origins {
        target: target.url(),
        baseline: Some(baseline.url()),
    };
    let checked = check(plan, origins, watch::Sender::default(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        checked.verdict.outcome,
        LoadOutcome::Pass,
        "{:?}",
        checked.verdict
    );
    assert_eq!(checked.samples.request_count(), 100);
    // Each was asked once whether it answers.
    assert_eq!(
        (target.requests.load(SeqCst), baseline.requests.load(SeqCst)),
        (101, 101)
    );
    let compared = checked.verdict.thresholds[0].comparison.unwrap();
    assert_eq!((compared.samples, compared.baseline_samples), (100, 100));
}

#[tokio::test]
async fn a_baseline_that_fails_is_no_measure() {
    let target = Server::start(|_| Reply::Answer(200, "ok")).await;
    let baseline = Server::start(|_| Reply::Answer(500, "no")).await;
    let text = format!(
        "baseline: {{url: '{}'}}\nvus: 4\niterations: 100\nstrict: {{maxExtend: 0}}\n\
         thresholds: {{http_req_duration: ['p(50)<1000000*baseline']}}",
        baseline.url()
    );
    let plan = mk_plan(&target.url(), &text);
    let origins = Origins {
        target: target.url(),
        baseline: Some(baseline.url()),
    };
    let checked = check(plan, origins, watch::Sender::default(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(checked.verdict.outcome, LoadOutcome::Inconclusive);
    assert!(
        checked.verdict.reason.contains("the baseline itself fails"),
        "{}",
        checked.verdict.reason
    );
}
