//! Tool: load generators as processes, and what they print.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::gnu_time::{self, Spent};

/// Virtual users that an open loop may bind.
const USERS: u32 = 250;

/// A load generator.
pub enum Tool {
    Gitsync(PathBuf),
    /// gitsync with the script that k6 runs.
    Script(PathBuf),
    K6(PathBuf),
    Oha(PathBuf),
    Wrk(PathBuf),
}

/// What a program says of a run.
pub struct Figures {
    pub percentiles: [f64; 3],
    pub code: i32,
}

impl Tool {
    /// Both programs, and those of the PATH.
    pub fn all(gitsync: PathBuf, k6: PathBuf) -> Vec<Self> {
        let mut tools = vec![
            Self::Gitsync(gitsync.clone()),
            Self::Script(gitsync),
            Self::K6(k6),
        ];
        tools.extend(on_path("oha").map(Self::Oha));
        tools.extend(on_path("wrk").map(Self::Wrk));
        tools
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Gitsync(_) => "`gitsync check`",
            Self::Script(_) => "`gitsync check`, a k6 script",
            Self::K6(_) => "k6",
            Self::Oha(_) => "oha",
            Self::Wrk(_) => "wrk",
        }
    }

    pub fn has_open_loop(&self) -> bool {
        matches!(self, Self::Gitsync(_) | Self::K6(_))
    }

    /// The requests that it sends before its load: gitsync asks whether the target is ready.
    pub fn questions(&self) -> usize {
        usize::from(matches!(self, Self::Gitsync(_) | Self::Script(_)))
    }

    /// What the program says of an open loop.
    pub fn percentiles(&self, url: &str, rate: u32, seconds: u32) -> Figures {
        let dir = tempfile::tempdir().expect("because a temporary directory can be made");
        let export = dir.path().join("summary.json");
        let pointers = match self {
            Self::K6(_) => ["p(50)", "p(90)", "p(99)"],
            _ => ["med", "p(90)", "p(99)"],
        };
        let mut command = self.open(dir.path(), url, rate, seconds);
        let output = run(command.arg("--summary-export").arg(&export));
        let text = std::fs::read_to_string(&export).unwrap_or_default();
        let figures: Value = serde_json::from_str(&text).unwrap_or_default();
        let trend = &figures["metrics"]["http_req_duration"];
        let mut percentiles = pointers.map(|name| trend[name].as_f64().unwrap_or(f64::NAN));
        if matches!(self, Self::Gitsync(_)) {
            percentiles[2] = p99_of(&output);
        }
        Figures {
            percentiles,
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// An open loop, with its file in `dir`.
    ///
    /// # Panics
    ///
    /// When the program has none.
    pub fn open(&self, dir: &Path, url: &str, rate: u32, seconds: u32) -> Command {
        match self {
            Self::Gitsync(binary) => gitsync(binary, dir, &gitsync_open(url, rate, seconds)),
            Self::K6(binary) => k6(binary, dir, &k6_open(url, rate, seconds)),
            Self::Script(_) | Self::Oha(_) | Self::Wrk(_) => {
                unreachable!("because only programs with an open loop are asked")
            }
        }
    }

    /// Sends load without a pause.
    pub fn load(&self, url: &str, connections: u32, seconds: u32) -> Spent {
        let dir = tempfile::tempdir().expect("because a temporary directory can be made");
        let (connections, time) = (connections.to_string(), format!("{seconds}s"));
        let script = || k6_script(url, &format!("{{vus: {connections}, duration: '{time}'}}"));
        let command = match self {
            Self::Gitsync(binary) => {
                let mut command = Command::new(binary);
                command.args(["check", "--url", url, "-u", &connections, "-d", &time]);
                command
            }
            Self::Script(binary) => {
                let mut command = Command::new(binary);
                command
                    .args(["check", "--script"])
                    .arg(script_file(dir.path(), &script()));
                command
            }
            Self::K6(binary) => k6(binary, dir.path(), &script()),
            Self::Oha(binary) => {
                let mut command = Command::new(binary);
                command.args(["--no-tui", "-c", &connections, "-z", &time, url]);
                command
            }
            Self::Wrk(binary) => {
                let mut command = Command::new(binary);
                command.args(["-t1", "-c", &connections, "-d", &time, url]);
                command
            }
        };
        gnu_time::run(&command).1
    }
}

/// What each program does in so many rounds, which they take in turn; in the order of `key`.
pub fn in_turn<T>(
    tools: &[&Tool],
    rounds: usize,
    run: impl Fn(&Tool) -> T,
    key: impl Fn(&T) -> f64,
) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (tool, runs) in tools.iter().zip(&mut all) {
            runs.push(run(tool));
        }
    }
    for runs in &mut all {
        runs.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    all
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("cannot run {}: {error}", command.get_program().to_string_lossy()))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn gitsync(binary: &Path, dir: &Path, check: &str) -> Command {
    let file = dir.join("check.yaml");
    std::fs::write(&file, check).expect("because the temporary directory is ours");
    let mut command = Command::new(binary);
    command.arg("check").arg(file).args(["--output", "json"]);
    command
}

/// A threshold on the 99th percentile makes the program tell it.
fn gitsync_open(url: &str, rate: u32, seconds: u32) -> String {
    format!(
        "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata: {{name: open}}\nspec:\n  target: {{url: '{url}'}}\n  \
         scenarios:\n    open: {{executor: constant-arrival-rate, rate: {rate}, duration: {seconds}s, preAllocatedVUs: {USERS}}}\n  \
         thresholds: {{http_req_duration: ['p(99)<600000']}}\n  strict: {{maxExtend: 0}}\n"
    )
}

fn p99_of(output: &Output) -> f64 {
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    figures["thresholds"][0]["value"].as_f64().unwrap_or(f64::NAN)
}

fn k6(binary: &Path, dir: &Path, script: &str) -> Command {
    let mut command = Command::new(binary);
    command
        .env("K6_NO_USAGE_REPORT", "true")
        .env("K6_AUTO_EXTENSION_RESOLUTION", "false");
    command.arg("run").arg(script_file(dir, script));
    command
}

fn script_file(dir: &Path, script: &str) -> PathBuf {
    let file = dir.join("script.js");
    std::fs::write(&file, script).expect("because the temporary directory is ours");
    file
}

fn k6_open(url: &str, rate: u32, seconds: u32) -> String {
    let options = format!(
        "{{summaryTrendStats: ['p(50)', 'p(90)', 'p(99)'], scenarios: {{open: {{executor: 'constant-arrival-rate', \
         rate: {rate}, duration: '{seconds}s', preAllocatedVUs: {USERS}}}}}}}"
    );
    k6_script(url, &options)
}

fn k6_script(url: &str, options: &str) -> String {
    format!(
        "import http from 'k6/http';\nexport const options = {options};\nexport default () => {{ http.get('{url}'); }};\n"
    )
}
