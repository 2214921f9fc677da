//! The pipelines of ci/: they are well-formed, and their shell steps do what they say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::clusters::Clusters;
use crate::harness::binaries;
use crate::harness::git::{Remote, edit, git, hermetic};
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;
use crate::harness::state::StateDirectory;
use crate::harness::tags;

const DEADLINE: Duration = Duration::from_secs(300);
const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn action(name: &str) -> Value {
    serde_yaml::from_str(&read(&format!("ci/github/{name}/action.yml"))).unwrap()
}

/// A machine of a CI system: gitsync on the PATH, and nothing else of ours.
struct Machine {
    directory: StateDirectory,
}

impl Machine {
    fn new() -> Self {
        let directory = StateDirectory::create("ci");
        fs::create_dir_all(directory.path().join("bin")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program that writes down how it was called, and what it read, since there is no registry here.
    fn record_calls_of(&self, program: &str) {
        let file = self.path("bin").join(program);
        let log = self.path("calls");
        let text = format!(
            "#!/bin/sh\necho \"{program} $*\" >> '{log}'\ncase $* in *--password-stdin*) cat >> '{log}'; echo >> '{log}' ;; esac\n",
            log = log.display()
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// Runs a step as the CI systems do: a shell that ends at the first failure.
    fn run(&self, script: &str, dir: &Path, environment: &BTreeMap<String, String>) -> Output {
        let mut command = Command::new("bash");
        hermetic(&mut command);
        let program = binaries::gitsync();
        let binaries = program.parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", self.path("bin").display(), binaries.display());
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(dir)
            .env("HOME", self.directory.path())
            .envs(environment)
            .env("PATH", path);
        Output::of(command, DEADLINE)
    }
}

/// The repository with a quick check, and a good tag in prod.
fn mk_remote() -> Remote {
    let remote = Remote::example();
    remote.replace("policies/load-check.yaml", "duration: 10s", "duration: 2s");
    remote.replace("environments/prod/kustomization.yaml", "9f31c0de", &tags::good(0));
    for environment in ["staging", "prod"] {
        let path = format!("environments/{environment}/environment.yaml");
        remote.replace(&path, "interval: 30s", "interval: 1s");
    }
    remote
}

#[test]
fn the_steps_of_the_jenkinsfile_bring_an_image_to_prod_and_stop_a_slow_one() {
    let stages = stages(&read("ci/jenkins/Jenkinsfile"));
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["Test", "Build", "Push", "Deploy", "Follow"]);

    let (clusters, remote, machine) = (Clusters::start(&["staging", "prod"]), mk_remote(), Machine::new());
    for program in ["docker", "python3"] {
        machine.record_calls_of(program);
    }
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    let _daemon = gitsync.daemon(&["run", "--repo", &remote.url()]);
    let build = |tag: &str| {
        let mut failed = None;
        for stage in &stages {
            let pairs = [
                ("IMAGE", IMAGE.to_owned()),
                ("CONTAINER", "flask-app".to_owned()),
                ("GITOPS", remote.url()),
                ("TAG", tag.to_owned()),
                ("REGISTRY_USER", "ci".to_owned()),
                ("REGISTRY_TOKEN", "canary-token".to_owned()),
                ("GITSYNC_GIT_TOKEN", "unused".to_owned()),
                ("KUBECONFIG", clusters.kubeconfig.display().to_string()),
            ];
            // What a stage does not declare, it has not got.
            let given = pairs.into_iter().filter(|(name, _)| {
                let shared = ["IMAGE", "CONTAINER", "GITOPS", "TAG"].contains(name);
                shared || stage.variables.iter().any(|variable| variable == name)
            });
            let environment = given.map(|(name, value)| (name.to_owned(), value)).collect();
            for script in &stage.scripts {
                let output = machine.run(script, &machine.path(""), &environment);
                if output.code != 0 {
                    failed = Some((stage.name.clone(), output));
                    break;
                }
            }
            if failed.is_some() {
                break;
            }
        }
        failed
    };
    let good = tags::good(1);
    if let Some((stage, output)) = build(&good) {
        panic!("{stage}: {output}");
    }
    let calls = machine.calls();
    assert!(
        calls.contains(&format!("docker build --tag {IMAGE}:{good} .\n")),
        "{calls}"
    );
    assert!(
        calls.contains("docker login --username ci --password-stdin\ncanary-token\n"),
        "{calls}"
    );
    let prod = remote.read("environments/prod/kustomization.yaml").unwrap();
    assert!(prod.contains(&good), "{prod}");

    let slow = tags::slow(1);
    let (stage, output) = build(&slow).expect("because the gate fails");
    assert_eq!((stage.as_str(), output.code), ("Follow", 1), "{output}");
    assert!(output.stdout.contains("[ERROR] gitsync: staging: "), "{output}");
    let prod = remote.read("environments/prod/kustomization.yaml").unwrap();
    assert!(prod.contains(&good), "{prod}");
}

#[test]
fn the_steps_of_the_deploy_action_bring_an_image_to_prod() {
    let action = action("deploy");
    let (clusters, remote, machine) = (Clusters::start(&["staging", "prod"]), mk_remote(), Machine::new());
    let gitsync = Gitsync::new().env("KUBECONFIG", &clusters.kubeconfig);
    let _daemon = gitsync.daemon(&["run", "--repo", &remote.url()]);
    let image = format!("flask-app={IMAGE}:{}", tags::good(1));
    let inputs = BTreeMap::from([
        ("repository", remote.url()),
        ("token", "unused".to_owned()),
        ("image", image),
        ("kubeconfig", fs::read_to_string(&clusters.kubeconfig).unwrap()),
    ]);
    for step in action["runs"]["steps"].as_array().unwrap() {
        let output = run_step(&machine, &machine.path(""), &action, step, &inputs).expect_code(0);
        assert!(!output.stdout.contains("canary"), "{output}");
    }
    let prod = remote.read("environments/prod/kustomization.yaml").unwrap();
    assert!(prod.contains(&tags::good(1)), "{prod}");
    assert!(
        !machine.path("gitsync-kubeconfig").exists(),
        "credentials do not stay"
    );
}

#[test]
fn the_preview_action_shows_what_a_branch_changes_and_fails_for_what_is_wrong() {
    let action = action("preview");
    let (remote, machine) = (Remote::example(), Machine::new());
    let copy = remote.clone_to("copy");
    let overlay = copy.join("environments/staging/kustomization.yaml");
    let run_git = |args: &[&str]| git(&copy, args).ok();
    run_git(&["checkout", "--quiet", "-b", "feature"]);
    edit(&overlay, "abc123de", &tags::good(1));
    run_git(&["commit", "--quiet", "--all", "--message", "Try it"]);
    // What main got since is none of the branch's.
    remote.replace("apps/flask-app/deployment.yaml", "replicas: 3", "replicas: 4");
    run_git(&["fetch", "--quiet"]);
    let inputs = BTreeMap::from([("base", "origin/main".to_owned())]);
    for step in action["runs"]["steps"].as_array().unwrap() {
        run_step(&machine, &copy, &action, step, &inputs).expect_code(0);
    }
    let summary = fs::read_to_string(machine.path("summary")).unwrap();
    assert!(
        summary.contains("### staging: 0 to create, 1 to update"),
        "{summary}"
    );
    assert!(!summary.contains("replicas"), "{summary}");
    let outputs = fs::read_to_string(machine.path("outputs")).unwrap();
    assert!(outputs.contains("comment=/"), "{outputs}");

    fs::write(&overlay, "imgaes: []\n").unwrap();
    let validate = &action["runs"]["steps"][0];
    let wrong = run_step(&machine, &copy, &action, validate, &inputs).expect_code(1);
    let line = "::error file=environments/staging/kustomization.yaml,line=1,title=gitsync configuration::";
    assert!(wrong.stdout.starts_with(line), "{wrong}");
}

/// Runs a step of a composite action with its `env` filled in.
fn run_step(
    machine: &Machine,
    dir: &Path,
    action: &Value,
    step: &Value,
    inputs: &BTreeMap<&str, String>,
) -> Output {
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in step["env"].as_object().into_iter().flatten() {
        let input =
            input_of(value.as_str().unwrap()).unwrap_or_else(|| panic!("{name} is no input: {value}"));
        let default = action["inputs"][input]["default"].as_str().map(str::to_owned);
        let given = inputs.get(input).cloned().or(default);
        environment.insert(
            name.clone(),
            given.unwrap_or_else(|| panic!("no value for {input}")),
        );
    }
    for (name, file) in [
        ("RUNNER_TEMP", ""),
        ("GITHUB_STEP_SUMMARY", "summary"),
        ("GITHUB_OUTPUT", "outputs"),
    ] {
        environment.insert(name.to_owned(), machine.path(file).display().to_string());
    }
    machine.run(step["run"].as_str().unwrap(), dir, &environment)
}

/// The input that an expression is, if it is nothing else.
fn input_of(value: &str) -> Option<&str> {
    value.strip_prefix("${{ inputs.")?.strip_suffix(" }}")
}

#[test]
fn the_actions_are_what_github_takes_and_let_nobody_inject_a_command() {
    for name in ["deploy", "preview"] {
        let action = action(name);
        let keys: Vec<&String> = action.as_object().unwrap().keys().collect();
        for key in &keys {
            assert!(
                ["name", "description", "inputs", "outputs", "runs"].contains(&key.as_str()),
                "{name}: {key}"
            );
        }
        for (input, described) in action["inputs"].as_object().unwrap() {
            assert!(described["description"].is_string(), "{name}: {input}");
            let required = described["required"] == true;
            assert_ne!(
                required,
                described["default"].is_string(),
                "{name}: {input} needs one of the two"
            );
        }
        assert_eq!(action["runs"]["using"], "composite");
        for step in action["runs"]["steps"].as_array().unwrap() {
            for key in step.as_object().unwrap().keys() {
                assert!(
                    ["name", "id", "if", "shell", "env", "run"].contains(&key.as_str()),
                    "{name}: {key}"
                );
            }
            assert_eq!(step["shell"], "bash", "a composite step needs a shell");
            // An expression in a script is replaced before the shell reads it: whoever names a branch would write the script.
            let run = step["run"].as_str().unwrap();
            assert!(!run.contains("${{"), "{name}: {run}");
            for value in step["env"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, value)| value)
            {
                let input = input_of(value.as_str().unwrap()).unwrap_or_else(|| panic!("{value}"));
                assert!(
                    action["inputs"][input].is_object(),
                    "{name}: there is no input {input}"
                );
            }
            Output::of(syntax(run), DEADLINE).expect_code(0);
        }
    }
}

fn syntax(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-n", "-c", script]);
    command
}

/// A stage of a declarative pipeline.
#[derive(Debug, Default)]
struct Stage {
    name: String,
    scripts: Vec<String>,
    /// The variables that its credentials are in.
    variables: Vec<String>,
}

/// Reads the stages of a declarative Jenkinsfile, and checks what can be checked without a Jenkins: blocks and texts
/// end, directives are those of Jenkins, and each script is one that a shell can read.
fn stages(text: &str) -> Vec<Stage> {
    let tokens = tokens(text);
    let mut stages: Vec<Stage> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let known = [
        "pipeline",
        "options",
        "environment",
        "stages",
        "stage",
        "steps",
        "when",
        "withCredentials",
    ];
    for (index, token) in tokens.iter().enumerate() {
        let before = |back: usize| index.checked_sub(back).map(|at| &tokens[at]);
        match token {
            Token::Mark('{') => {
                let name = tokens[..index].iter().rev().scan(0, |depth, token| {
                    match token {
                        Token::Mark(')' | ']') => *depth += 1,
                        Token::Mark('(' | '[') => *depth -= 1,
                        Token::Word(word) if *depth == 0 => return Some(Some(word.clone())),
                        _ => {}
                    }
                    Some(None)
                });
                let name = name.flatten().next().unwrap_or_default();
                assert!(
                    known.contains(&name.as_str()),
                    "`{name}` is no block of a declarative pipeline"
                );
                open.push(name);
            }
            Token::Mark('}') => assert!(open.pop().is_some(), "a block ends that has not begun"),
            Token::Text(text) => match (before(1), before(2), before(3)) {
                (Some(Token::Word(word)), ..) if word == "sh" => {
                    assert!(open.iter().any(|block| block == "steps"), "sh outside of steps");
                    Output::of(syntax(text), DEADLINE).expect_code(0);
                    stages.last_mut().unwrap().scripts.push(text.clone());
                }
                (Some(Token::Mark('(')), Some(Token::Word(word)), _) if word == "stage" => {
                    stages.push(Stage {
                        name: text.clone(),
                        ..Stage::default()
                    })
                }
                (Some(Token::Mark(':')), Some(Token::Word(word)), _)
                    if word.to_lowercase().ends_with("variable") =>
                {
                    stages.last_mut().unwrap().variables.push(text.clone());
                }
                _ => {}
            },
            Token::Mark(_) | Token::Word(_) => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert_eq!(tokens.first(), Some(&Token::Word("pipeline".to_owned())));
    stages
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(char),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let quote = ["'''", "\"\"\"", "'", "\""]
            .into_iter()
            .find(|quote| rest.starts_with(quote));
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(quote) = quote {
            let (inside, after) = rest[quote.len()..].split_once(quote).expect("a text that ends");
            tokens.push(Token::Text(inside.to_owned()));
            rest = after;
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}
