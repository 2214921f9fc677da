//! The acceptance test of a pipeline, unchanged: what k6 lets through, and what the strict mode says.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::server::Server;
use crate::harness::git::hermetic;
use crate::harness::output::Output;

/// The script as pipelines have it: the address from the environment, the port in the script.
const SCRIPT: &str = "import http from 'k6/http';
import { check } from 'k6';

export const options = {
  vus: 10,
  duration: '1s',
  thresholds: { http_req_duration: ['p(90)<600'] },
};

export default function () {
  const res = http.get(`http://${__ENV.SERVICE_URL}/PATH`);
  check(res, {
    'status is 200': (r) => r.status === 200,
    'response time < 600ms': (r) => r.timings.duration < 600,
  });
}
";

const DEADLINE: Duration = Duration::from_secs(60);

fn run(service_url: Option<&str>, path: &str, mode: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("acceptance-test.js");
    fs::write(&file, SCRIPT.replace("PATH", path)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitsync"));
    hermetic(&mut command);
    command
        .current_dir(directory.path())
        .env("HOME", directory.path());
    if let Some(url) = service_url {
        command.env("SERVICE_URL", url);
    }
    command.args(["check", "--script", "acceptance-test.js", "--mode", mode]);
    Output::of(command, DEADLINE)
}

#[test]
fn a_dead_service_is_let_through_by_k6s_judgement_and_stopped_by_the_strict_one() {
    let server = Server::start();
    let alive = server.url().replace("http://", "");
    for (name, url, path, k6, strict) in [
        ("alive", Some(alive.as_str()), "", 0, 0),
        ("nobody listens", Some("127.0.0.1:1"), "", 0, 99),
        (
            "all answers are errors",
            Some(alive.as_str()),
            "status/500",
            0,
            99,
        ),
        ("no such name", Some("nobody.invalid"), "", 0, 99),
        ("the variable is not set", None, "", 0, 99),
        ("the variable is empty", Some(""), "", 0, 99),
    ] {
        let found = run(url, path, "k6");
        assert_eq!(found.code, k6, "{name}, as k6\n{found}");
        let found = run(url, path, "strict");
        assert_eq!(found.code, strict, "{name}, strict\n{found}");
    }
}

#[test]
fn the_judgement_of_k6_tells_where_the_strict_one_differs() {
    let found = run(Some("127.0.0.1:1"), "", "k6");
    assert!(found.stdout.contains("mode strict says fail"), "{found}");
}

#[test]
fn a_script_that_never_ends_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let script = "export const options = { scenarios: { a: { executor: 'constant-vus', vus: 2, duration: '1s', \
                  gracefulStop: '0s' } } };\nexport default () => { try { for (;;) {} } finally { for (;;) {} } };\n";
    fs::write(directory.path().join("script.js"), script).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gitsync"));
    hermetic(&mut command);
    command
        .current_dir(directory.path())
        .env("HOME", directory.path());
    command.args(["check", "script.js", "--mode", "k6"]);
    let found = Output::of(command, DEADLINE);
    assert_eq!(found.code, 0, "{found}");
    assert!(
        found.stderr.contains("0 complete and 2 interrupted iterations"),
        "{found}"
    );
}

#[test]
fn what_is_not_supported_is_named_with_its_line_before_any_request() {
    for (name, script, code, says) in [
        (
            "a module",
            "import http from 'k6/http';\nimport ws from 'k6/ws';\nexport default () => {};\n",
            107,
            "script.js:2: the module `k6/ws` is not supported",
        ),
        (
            "a function",
            "import http from 'k6/http';\nexport default () => {\n  http.asyncRequest('GET', 'http://127.0.0.1:1/');\n};\n",
            107,
            "script.js:3: `http.asyncRequest` of the module `k6/http` is not supported",
        ),
        (
            "a remote module",
            "import { x } from 'https://jslib.k6.io/x/1.0.0/index.js';\nexport default () => {};\n",
            107,
            "script.js:1: the remote module",
        ),
        (
            "an option",
            "export const options = { rps: 5 };\nexport default () => {};\n",
            104,
            "options.rps: this option is not supported",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("script.js"), script).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gitsync"));
        hermetic(&mut command);
        command
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .args(["check", "script.js"]);
        let found = Output::of(command, DEADLINE);
        assert_eq!(found.code, code, "{name}\n{found}");
        assert!(found.stderr.contains(says), "{name}\n{found}");
    }
}
