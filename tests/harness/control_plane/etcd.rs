//! etcd: the store of one cluster.

use std::net::Ipv4Addr;

use super::ports;
use crate::harness::binaries;
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;

/// Starts etcd; the API server waits for it by itself.
pub fn start(state: &StateDirectory, ip: Ipv4Addr) -> Process {
    let client = url(ip);
    let peer = format!("http://{ip}:{}", ports::ETCD_PEER);
    let log = state.log("etcd");
    let mut command = guarded(binaries::path("etcd"), &log);
    command
        .arg(format!("--data-dir={}", state.path().join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        // What is written need not survive the machine, only the process.
        .arg("--unsafe-no-fsync")
        .arg("--log-level=warn");
    Process::start("etcd", &log, command)
}

/// Where etcd listens.
pub fn url(ip: Ipv4Addr) -> String {
    format!("http://{ip}:{}", ports::ETCD)
}
