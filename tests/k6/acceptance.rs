//! The acceptance test of a pipeline, unchanged: what k6 lets through, and what the strict mode says.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::server::Server;
use crate::harness::binaries;
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
    let mut command = Command::new(binaries::gitsync());
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

/// Runs a script of its own.
fn check(script: &str, base: &str, mode: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("script.js"), script).unwrap();
    let mut command = Command::new(binaries::gitsync());
    hermetic(&mut command);
    command
        .current_dir(directory.path())
        .env("HOME", directory.path())
        .env("BASE", base);
    command.args(["check", "script.js", "--mode", mode]);
    Output::of(command, DEADLINE)
}

#[test]
fn a_server_that_never_answers_is_stopped_by_the_strict_judgement() {
    let server = Server::start();
    let script = "import http from 'k6/http';\nexport const options = { scenarios: { a: { executor: 'constant-vus', vus: 5, \
                  duration: '1s', gracefulStop: '0s' } }, thresholds: { http_req_duration: ['p(90)<600'] } };\n\
                  export default () => { http.get(__ENV.BASE + '/slow/60'); };\n";
    let found = check(script, &server.url(), "k6");
    assert_eq!(found.code, 0, "{found}");
    let found = check(script, &server.url(), "strict");
    assert_eq!(found.code, 99, "{found}");
}

#[test]
fn an_exception_in_an_iteration_fails_the_strict_judgement_only() {
    let server = Server::start();
    let script = "import http from 'k6/http';\nexport const options = { iterations: 60 };\n\
                  export default () => { http.get(__ENV.BASE); if (__ITER === 5) throw new Error('five'); };\n";
    assert_eq!(check(script, &server.url(), "k6").code, 0);
    let found = check(script, &server.url(), "strict");
    assert_eq!(found.code, 99, "{found}");
    assert!(
        found.stdout.contains("1 iterations threw, the first: five"),
        "{found}"
    );
}

#[test]
fn the_script_of_a_load_check_reaches_the_target_and_nothing_else() {
    let (server, other) = (Server::start(), Server::start());
    let directory = tempfile::tempdir().unwrap();
    let script = "import http from 'k6/http';\nimport { check } from 'k6';\n\
                  export const options = { iterations: 50, vus: 2, thresholds: { http_req_duration: ['p(90)<60000'] } };\n\
                  export default () => { check(http.get(__ENV.WHERE), { ok: (r) => r.status === 200 }); };\n";
    fs::write(directory.path().join("acceptance-test.js"), script).unwrap();
    let run = |whither: &str, hosts: &str| {
        let check = format!(
            "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: acceptance\nspec:\n  target:\n    \
             url: {}\n  script: acceptance-test.js\n  hosts: [{hosts}]\n  env:\n    WHERE: {whither}\n",
            server.url()
        );
        fs::write(directory.path().join("check.yaml"), check).unwrap();
        let mut command = Command::new(binaries::gitsync());
        hermetic(&mut command);
        command
            .current_dir(directory.path())
            .env("HOME", directory.path());
        command.args(["check", "check.yaml"]);
        Output::of(command, DEADLINE)
    };
    let found = run("${target.url}/", "");
    assert_eq!(found.code, 0, "{found}");
    let found = run(&other.url(), "");
    assert_eq!(found.code, 99, "{found}");
    assert!(found.stdout.contains("is not the target"), "{found}");
    let found = run(&other.url(), "127.0.0.1");
    assert_eq!(found.code, 0, "{found}");
}

#[test]
fn the_files_of_a_load_check_are_those_of_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write(
        "script.js",
        "const secret = open('/etc/passwd');\nexport default () => {};\n",
    );
    write(
        "check.yaml",
        "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: acceptance\nspec:\n  target:\n    \
         url: http://127.0.0.1:1\n  script: script.js\n",
    );
    let mut command = Command::new(binaries::gitsync());
    hermetic(&mut command);
    command
        .current_dir(directory.path())
        .env("HOME", directory.path());
    command.args(["check", "check.yaml"]);
    let found = Output::of(command, DEADLINE);
    assert_eq!(found.code, 104, "{found}");
    assert!(
        found.stderr.contains("/etc/passwd is outside of the repository"),
        "{found}"
    );
}

#[test]
fn a_script_that_never_ends_is_cut_off() {
    let script = "export const options = { scenarios: { a: { executor: 'constant-vus', vus: 2, duration: '1s', \
                  gracefulStop: '0s' } } };\nexport default () => { try { for (;;) {} } finally { for (;;) {} } };\n";
    let found = check(script, "", "k6");
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
        let mut command = Command::new(binaries::gitsync());
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
