//! The controllers: kube-controller-manager and kube-scheduler, as clients of one API server.

use std::net::Ipv4Addr;
use std::path::Path;

use super::ports;
use crate::harness::binaries;
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;

/// Starts both, with the kubeconfig of an administrator.
pub fn start(state: &StateDirectory, ip: Ipv4Addr, kubeconfig: &Path) -> [Process; 2] {
    [
        start_one(
            state,
            ip,
            kubeconfig,
            "kube-controller-manager",
            ports::CONTROLLER_MANAGER,
        ),
        start_one(state, ip, kubeconfig, "kube-scheduler", ports::SCHEDULER),
    ]
}

fn start_one(state: &StateDirectory, ip: Ipv4Addr, kubeconfig: &Path, name: &str, port: u16) -> Process {
    let log = state.log(name);
    let mut command = guarded(binaries::path(name), &log);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg("--leader-elect=false")
        .arg(format!("--bind-address={ip}"))
        .arg(format!("--secure-port={port}"))
        .arg(format!("--cert-dir={}", state.path().join(name).display()));
    if name == "kube-controller-manager" {
        // The defaults of 20 requests a second would make an environment of hundreds of objects a test of patience.
        command.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
        // It wants an authority that is not also the server's certificate, and would complain every few seconds.
        command.arg("--controllers=*,-kube-apiserver-serving-clustertrustbundle-publisher-controller");
    }
    Process::start(name, &log, command)
}
