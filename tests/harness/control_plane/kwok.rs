//! kwok: the node and the pods, which live by the stages in `stages.yaml` and never run anything.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

use super::ports;
use crate::harness::binaries;
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;
use crate::harness::tags::Behaviour;

/// The name of the one node.
pub const NODE: &str = "node-1";

const STAGES: &str = include_str!("stages.yaml");

/// A jq expression for the first four characters of each container's tag, as `tags::tag_of` takes them.
const TAG: &str =
    r#"'.spec.containers[].image | sub("@.*$"; "") | split("/") | last | split(":") | .[1] // "" | .[0:4]'"#;

/// `image` and `imageID` as a container runtime reports them: with the registry, and with the digest.
///
/// The digest is the one in the reference, else the SHA-256 of the reference: the same in every cluster.
const IMAGE: &str = r#"{{ $name := regexReplaceAll "(:[^/:@]+)?(@.*)?$" .image "" }}
        {{ $registry := ternary "" "docker.io/" ( regexMatch "^[^/]+[.:][^/]*/" $name ) }}
        {{ $digest := printf "sha256:%s" ( sha256sum .image ) }}
        {{ if contains "@" .image }}{{ $digest = regexReplaceAll "^[^@]*@" .image "" }}{{ end }}
        image: {{ printf "%s%s" $registry .image | Quote }}
        imageID: {{ printf "%s%s@%s" $registry $name $digest | Quote }}"#;

const ADDRESSES: &str = r#"{{ $now := Now }}
      startTime: {{ or .status.startTime $now | Quote }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      {{ if not .status.podIP }}
      {{ $podIPs := PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) }}
      podIP: {{ index $podIPs 0 | Quote }}
      podIPs:
      {{ range $podIPs }}
      - ip: {{ . | Quote }}
      {{ end }}
      {{ end }}"#;

const CONDITIONS: &str = r#"conditions:
      - type: PodReadyToStartContainers
        status: "True"
        lastTransitionTime: {{ $now | Quote }}
      - type: Initialized
        status: "True"
        lastTransitionTime: {{ $now | Quote }}"#;

const CONDITIONS_READY: &str = r#"
      - type: Ready
        status: "True"
        lastTransitionTime: {{ $now | Quote }}
      - type: ContainersReady
        status: "True"
        lastTransitionTime: {{ $now | Quote }}"#;

const CONDITIONS_UNREADY: &str = r#"
      - type: Ready
        status: "False"
        reason: ContainersNotReady
        message: {{ printf "containers with unready status: [%s]" ( first .spec.containers ).name | Quote }}
        lastTransitionTime: {{ $now | Quote }}
      - type: ContainersReady
        status: "False"
        reason: ContainersNotReady
        message: {{ printf "containers with unready status: [%s]" ( first .spec.containers ).name | Quote }}
        lastTransitionTime: {{ $now | Quote }}"#;

const RUNNING: &str = r#"
      phase: Running
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        $IMAGE
        ready: true
        started: true
        restartCount: 0
        state:
          running:
            startedAt: {{ $now | Quote }}
      {{ end }}
      {{ if .spec.initContainers }}
      initContainerStatuses:
      {{ range .spec.initContainers }}
      - name: {{ .name | Quote }}
        $IMAGE
        ready: true
        restartCount: 0
        {{ if eq ( or .restartPolicy "" ) "Always" }}
        started: true
        state:
          running:
            startedAt: {{ $now | Quote }}
        {{ else }}
        started: false
        state:
          terminated:
            exitCode: 0
            reason: Completed
            startedAt: {{ $now | Quote }}
            finishedAt: {{ $now | Quote }}
        {{ end }}
      {{ end }}
      {{ end }}"#;

/// Starts kwok, which is also the kubelet of the node: `kubectl logs` shows its lines.
pub fn start(state: &StateDirectory, ip: Ipv4Addr, kubeconfig: &Path) -> Process {
    let logs = state.write("application.log", &container_log(&["listening on port 5000"]));
    let previous = state.write(
        "application-crash.log",
        &container_log(&["starting", "fatal: DATABASE_URL is not set"]),
    );
    let stages = state.write("stages.yaml", &stages(&logs, &previous));
    let log = state.log("kwok");
    let mut command = guarded(binaries::path("kwok"), &log);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--config={}", stages.display()))
        .arg("--manage-all-nodes=true")
        // Without leases, the controller manager takes the node for dead after a while.
        .arg("--node-lease-duration-seconds=40")
        .arg(format!("--node-ip={ip}"))
        .arg(format!("--node-port={}", ports::KUBELET))
        .arg(format!("--server-address={ip}:{}", ports::KUBELET))
        // The API server talks to kubelets by TLS, and does not ask who they are.
        .arg(format!(
            "--tls-cert-file={}",
            state.path().join("certificates/apiserver.crt").display()
        ))
        .arg(format!(
            "--tls-private-key-file={}",
            state.path().join("certificates/apiserver.key").display()
        ));
    Process::start("kwok", &log, command)
}

/// The node that kwok gives a life: 64 CPUs, 256 GiB and room for 2,000 pods.
pub fn node() -> Value {
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": "2000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
        },
        "status": {"allocatable": resources, "capacity": resources},
    })
}

/// Lines as a container runtime writes them to its files: time, stream, F for a full line, text.
fn container_log(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| format!("2026-01-01T00:00:00.000000000Z stderr F application: {line}\n"))
        .collect()
}

fn stages(logs: &Path, previous: &Path) -> String {
    let ready = format!("{ADDRESSES}\n      {CONDITIONS}{CONDITIONS_READY}{RUNNING}");
    let unready = format!("{ADDRESSES}\n      {CONDITIONS}{CONDITIONS_UNREADY}");
    let (logs, previous) = (logs.display().to_string(), previous.display().to_string());
    // The longer pieces come first, because they contain shorter ones.
    let pieces = [
        ("$READY", ready.as_str()),
        ("$UNREADY", &unready),
        ("$IMAGE", IMAGE),
        ("$TAG", TAG),
        ("$LATE", Behaviour::Late.prefix()),
        ("$STUCK", Behaviour::Stuck.prefix()),
        ("$CRASH", Behaviour::Crash.prefix()),
        ("$NOPULL", Behaviour::NoPull.prefix()),
        ("$PREVIOUS_LOGS", &previous),
        ("$LOGS", &logs),
    ];
    pieces
        .iter()
        .fold(STAGES.to_owned(), |text, (word, piece)| text.replace(word, piece))
}
