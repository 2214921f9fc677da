//! The binaries of the control plane and of the reference tools: built from their Go modules, each once.
//!
//! `tests/cluster/go.mod` and `tests/oracle/go.mod` say which, at which version. A binary is kept below
//! `target/cluster/`, in a directory named by a hash of the module files, so that another version is another file. A
//! lock keeps test processes that run at the same time from building twice; a finished file appears by a rename.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

/// How a binary is made.
struct Tool {
    name: &'static str,
    /// The module directory, below `tests/`.
    module: &'static str,
    package: &'static str,
    /// The module that carries the version.
    versioned: &'static str,
    /// The variables that the linker sets to the version.
    stamp: Stamp,
    /// A guess for two cores with nothing cached, for the person who waits.
    takes: &'static str,
}

#[derive(Clone, Copy)]
enum Stamp {
    None,
    /// Without it, Kubernetes takes itself for v0.0.0 and `kubectl version` fails.
    Kubernetes,
    Kustomize,
}

const KUBERNETES: &str = "k8s.io/kubernetes";

const TOOLS: [Tool; 8] = [
    Tool {
        name: "etcd",
        module: "cluster",
        package: "go.etcd.io/etcd/server/v3",
        versioned: "go.etcd.io/etcd/server/v3",
        stamp: Stamp::None,
        takes: "a minute or two",
    },
    kubernetes(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "about 5 minutes",
    ),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "about 2 minutes",
    ),
    kubernetes(
        "kube-scheduler",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "seconds",
    ),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", "half a minute"),
    Tool {
        name: "kwok",
        module: "cluster",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        versioned: "sigs.k8s.io/kwok",
        stamp: Stamp::None,
        takes: "seconds",
    },
    Tool {
        name: "kustomize",
        module: "oracle",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
        versioned: "sigs.k8s.io/kustomize/kustomize/v5",
        stamp: Stamp::Kustomize,
        takes: "half a minute",
    },
    Tool {
        name: "k6",
        module: "oracle",
        package: "go.k6.io/k6/v2",
        versioned: "go.k6.io/k6/v2",
        stamp: Stamp::None,
        takes: "about 2 minutes",
    },
];

const fn kubernetes(name: &'static str, package: &'static str, takes: &'static str) -> Tool {
    Tool {
        name,
        module: "cluster",
        package,
        versioned: KUBERNETES,
        stamp: Stamp::Kubernetes,
        takes,
    }
}

/// The path of gitsync: as it was built for this run, or what `GITSYNC_PROGRAM` names, for example a release.
pub fn gitsync() -> PathBuf {
    std::env::var_os("GITSYNC_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_gitsync").into(), PathBuf::from)
}

/// The path of a binary, which is built first when it is not there yet.
///
/// Known are etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, kwok, kustomize and k6.
///
/// # Panics
///
/// With what is missing and how to get it, when the binary cannot be built.
pub fn path(name: &str) -> PathBuf {
    let tool = TOOLS
        .iter()
        .find(|tool| tool.name == name)
        .unwrap_or_else(|| panic!("no binary is called {name}"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(tool.module);
    let module = Module::read(&source);
    let directory = target_directory().join("cluster").join(&module.hash);
    let binary = directory.join(name);
    if binary.exists() {
        return binary;
    }
    fs::create_dir_all(&directory)
        .unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
    let _lock = lock(&directory.join("lock"));
    if !binary.exists() {
        build(tool, &source, &module, &binary);
    }
    binary
}

/// A Go module: what its files say and the hash of them.
struct Module {
    go_mod: String,
    hash: String,
}

// === impl Module ===

impl Module {
    fn read(directory: &Path) -> Self {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
        };
        let go_mod = read("go.mod");
        let digest = Sha256::digest(format!("{go_mod}\0{}", read("go.sum")));
        let hash = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { go_mod, hash }
    }

    /// The version that the module requires of another.
    fn version_of(&self, module: &str) -> &str {
        self.go_mod
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module))
            .find_map(|rest| {
                rest.strip_prefix(' ')?
                    .split(' ')
                    .next()
                    .filter(|word| word.starts_with('v'))
            })
            .unwrap_or_else(|| panic!("go.mod requires no version of {module}"))
    }

    /// The first line `go X.Y.Z`.
    fn go_version(&self) -> &str {
        self.go_mod
            .lines()
            .find_map(|line| line.strip_prefix("go "))
            .unwrap_or("the newest")
    }
}

/// The target directory of this very build, whatever it was set by.
fn target_directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("because cargo gives a directory inside of the target directory")
}

/// Waits for the lock that one build holds at a time; it ends with the file.
fn lock(path: &Path) -> File {
    let file = File::create(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
    if file.try_lock().is_err() {
        progress(&format!(
            "waiting for another build of the control plane ({})",
            path.display()
        ));
        file.lock()
            .unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()));
    }
    file
}

fn build(tool: &Tool, source: &Path, module: &Module, binary: &Path) {
    let version = module.version_of(tool.versioned);
    progress(&format!(
        "building {} {version} from its Go module, once, {} with nothing cached",
        tool.name, tool.takes
    ));
    let start = Instant::now();
    let unfinished = binary.with_extension("unfinished");
    let output = Command::new("go")
        .current_dir(source)
        .args([
            "build",
            "-trimpath",
            "-ldflags",
            &linker_flags(tool.stamp, version),
            "-o",
        ])
        .arg(&unfinished)
        .arg(tool.package)
        .env("CGO_ENABLED", "0")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{}",
            explain(tool, version, &String::from_utf8_lossy(&output.stderr))
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => panic!("{}", no_go(tool, module)),
        Err(error) => panic!("cannot run go: {error}"),
    }
    fs::rename(&unfinished, binary)
        .unwrap_or_else(|error| panic!("cannot rename {}: {error}", unfinished.display()));
    progress(&format!("built {} in {:.0?}", tool.name, start.elapsed()));
}

fn linker_flags(stamp: Stamp, version: &str) -> String {
    let mut flags = "-s -w".to_owned();
    let mut set = |variable: &str, value: &str| {
        flags.push_str(" -X ");
        flags.push_str(variable);
        flags.push('=');
        flags.push_str(value);
    };
    match stamp {
        Stamp::None => {}
        Stamp::Kustomize => set("sigs.k8s.io/kustomize/api/provenance.version", version),
        Stamp::Kubernetes => {
            let mut numbers = version.trim_start_matches('v').split('.');
            let major = numbers.next().unwrap_or_default();
            let minor = numbers.next().unwrap_or_default();
            for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                set(&format!("{package}.gitVersion"), version);
                set(&format!("{package}.gitMajor"), major);
                set(&format!("{package}.gitMinor"), minor);
            }
        }
    }
    flags
}

fn no_go(tool: &Tool, module: &Module) -> String {
    format!(
        "the tests need Go {} or newer to build {}, and there is no `go` in PATH; \
         get it from https://go.dev/dl/ and run the tests again (what needs no control plane: see docs/testing.md)",
        module.go_version(),
        tool.name
    )
}

/// Says what is missing when Go could not build: its version, the network, or something else that Go then names.
fn explain(tool: &Tool, version: &str, stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let end = lines[lines.len().saturating_sub(15)..].join("\n");
    let network = [
        "dial tcp",
        "no such host",
        "i/o timeout",
        "connection refused",
        "TLS handshake",
        "Bad Gateway",
    ];
    let hint = if stderr.contains("GOTOOLCHAIN=local") {
        "the installed Go is too old; get a newer one from https://go.dev/dl/"
    } else if network.iter().any(|sign| stderr.contains(sign)) {
        "Go could not download modules; check the network, or set GOPROXY to a module proxy that is reachable"
    } else {
        "Go said this"
    };
    format!(
        "cannot build {} {version} from its Go module: {hint}\n{end}",
        tool.name
    )
}

/// Tells the person who waits; past the test runner's capture, which would show it only after the end.
fn progress(line: &str) {
    // There is nobody to tell when standard error is closed.
    drop(writeln!(io::stderr(), "control plane: {line}"));
}

#[test]
fn every_binary_has_a_version_in_its_module_file() {
    for tool in &TOOLS {
        let module = Module::read(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests")
                .join(tool.module),
        );
        assert!(
            module.version_of(tool.versioned).starts_with('v'),
            "{}",
            tool.name
        );
        assert!(
            module.go_mod.contains(&format!("\t{}\n", tool.package)),
            "{} is no tool",
            tool.package
        );
    }
}

#[test]
fn a_failed_build_says_what_is_missing() {
    let cases = [
        (
            "old Go",
            "go: go.mod requires go >= 1.26.0 (running go 1.24; GOTOOLCHAIN=local)",
            "too old",
        ),
        (
            "no network",
            "Get \"https://proxy\": dial tcp: lookup proxy: no such host",
            "GOPROXY",
        ),
        (
            "anything else",
            "package x: undefined: y",
            "Go said this\npackage x: undefined: y",
        ),
    ];
    for (name, stderr, want) in cases {
        let said = explain(&TOOLS[0], "v3", stderr);
        assert!(said.contains(want), "{name}: {said}");
    }
}
