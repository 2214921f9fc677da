//! The API server of one cluster: it can be stopped and started again at the same address.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use super::kubeconfig::Access;
use super::{etcd, keys, ports};
use crate::harness::binaries;
use crate::harness::process::{Process, guarded};
use crate::harness::state::StateDirectory;
use crate::harness::wait::wait_for;

/// A group without any rights, for tests of what a token may not do.
const STRANGERS: &str = "strangers";

/// The audit policy: every answered request, without its body.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
";

/// The API server: how to start it, how to reach it, and whether it runs.
#[derive(Debug)]
pub struct Apiserver {
    ip: Ipv4Addr,
    log: PathBuf,
    arguments: Vec<String>,
    certificate: PathBuf,
    token: String,
    stranger: String,
    process: Option<Process>,
}

// === impl Apiserver ===

impl Apiserver {
    /// Starts the server; [`Self::wait_for_certificate`] says when it is worth asking.
    pub fn start(state: &StateDirectory, ip: Ipv4Addr) -> Self {
        let (token, stranger) = (keys::token(), keys::token());
        let mut server = Self {
            ip,
            log: state.log("kube-apiserver"),
            arguments: arguments(state, ip, &token, &stranger),
            certificate: state.path().join("certificates/apiserver.crt"),
            token,
            stranger,
            process: None,
        };
        server.resume();
        server
    }

    /// Starts the server again after [`Self::stop`].
    pub fn resume(&mut self) {
        if self.process.is_none() {
            let mut command = guarded(binaries::path("kube-apiserver"), &self.log);
            command.args(&self.arguments);
            self.process = Some(Process::start("kube-apiserver", &self.log, command));
        }
    }

    /// Kills the server: connections to it are cut, and new ones refused.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Waits until the server has made its certificate, which it does once at its first start.
    pub fn wait_for_certificate(&mut self) {
        let certificate = self.certificate.clone();
        wait_for(
            Duration::from_secs(60),
            "the API server makes its certificate",
            || {
                self.check_alive();
                match fs::read_to_string(&certificate) {
                    Ok(pem) if pem.trim_end().ends_with("-----END CERTIFICATE-----") => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            },
        );
    }

    /// Panics with the end of its log if the server has ended by itself.
    pub fn check_alive(&mut self) {
        if let Some(process) = &mut self.process
            && let Some(code) = process.exit_code()
        {
            panic!("kube-apiserver ended with exit code {code}\n{}", process.tail(30));
        }
    }

    /// How an administrator reaches the server.
    pub fn access(&self) -> Access {
        Access {
            server: format!("https://{}:{}", self.ip, ports::APISERVER),
            authority: fs::read_to_string(&self.certificate).expect("because the certificate was waited for"),
            token: self.token.clone(),
        }
    }

    /// How somebody reaches the server who is known to it and may do nothing.
    pub fn access_of_stranger(&self) -> Access {
        Access {
            token: self.stranger.clone(),
            ..self.access()
        }
    }
}

fn arguments(state: &StateDirectory, ip: Ipv4Addr, token: &str, stranger: &str) -> Vec<String> {
    let key = state.write("service-account.key", &keys::service_account_key());
    let tokens = state.write(
        "tokens.csv",
        &format!("{token},admin,admin,\"system:masters\"\n{stranger},stranger,stranger,\"{STRANGERS}\"\n"),
    );
    let audit_policy = state.write("audit-policy.yaml", AUDIT_POLICY);
    let path = |name: &str| state.path().join(name).display().to_string();
    vec![
        format!("--etcd-servers={}", etcd::url(ip)),
        format!("--bind-address={ip}"),
        format!("--advertise-address={ip}"),
        format!("--secure-port={}", ports::APISERVER),
        // A loopback address is not a legal endpoint of the Service `kubernetes`.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={}", path("certificates")),
        format!("--service-account-key-file={}", key.display()),
        format!("--service-account-signing-key-file={}", key.display()),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--token-auth-file={}", tokens.display()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // Pods would need their account's token mounted, and nothing here mounts anything.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        // The node's name means nothing to a resolver.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--audit-policy-file={}", audit_policy.display()),
        format!("--audit-log-path={}", path("audit.log")),
        "--profiling=false".to_owned(),
    ]
}
