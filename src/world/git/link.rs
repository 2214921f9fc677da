//! Link: one connection to a remote, whatever it runs over, and the words for why it failed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::transport::{Protocol, Service};

use super::bounds::{Bounds, Watch};
use super::credentials::{Credentials, Login};
use super::error::{GitError, chain, is_of_no_room};
use super::url::{Place, RepositoryUrl, SshPlace};
use super::{http, process};

/// A remote with everything that is needed to talk to it.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) url: RepositoryUrl,
    pub(super) credentials: Credentials,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) ssh_command: Option<OsString>,
    pub(super) insecure_http: bool,
    pub(super) connect_timeout: Duration,
}

/// One operation on a remote: its bounds, and what was learnt about failures.
pub(super) struct Session<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) watch: Watch,
    faults: Faults,
}

/// What the layers below gix saw, while gix wraps their errors in its own.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    fault: Option<GitError>,
    stderr: String,
}

// === impl Endpoint ===

impl Endpoint {
    /// The login for http: what is configured, else what the URL carries.
    pub(super) fn login(&self) -> Result<Option<Login>, GitError> {
        let configured = self.credentials.login()?;
        Ok(configured.or_else(|| {
            self.url.userinfo().map(|(username, password)| Login {
                username: username.to_owned(),
                password: password.to_owned(),
            })
        }))
    }

    pub(super) fn describe_http(&self) -> String {
        match (&self.credentials.basic, self.url.userinfo()) {
            (None, Some(_)) => "with the user name and password of the url".to_owned(),
            _ => self.credentials.describe_http(),
        }
    }

    fn describe(&self) -> String {
        match self.url.place() {
            Place::Http(_) => self.describe_http(),
            Place::Ssh(_) => self.credentials.describe_ssh(),
            Place::Local(_) => "a path of this machine".to_owned(),
        }
    }
}

// === impl Session ===

impl<'a> Session<'a> {
    /// Begins an operation.
    ///
    /// # Errors
    ///
    /// When its time is over already.
    pub(super) fn start(endpoint: &'a Endpoint, bounds: &Bounds) -> Result<Self, GitError> {
        bounds.check(&endpoint.url)?;
        Ok(Self {
            endpoint,
            watch: Watch::start(bounds),
            faults: Faults::default(),
        })
    }

    /// Opens a connection to one of the remote's services.
    pub(super) fn connect(&self, service: Service) -> Result<Box<dyn Transport + Send>, GitError> {
        let (endpoint, bounds, faults) = (self.endpoint, self.watch.shared(), &self.faults);
        let version = protocol(service);
        Ok(match endpoint.url.place() {
            Place::Http(url) => Box::new(http::connect(endpoint, url, version, bounds, faults)?),
            Place::Ssh(place) => Box::new(process::ssh(endpoint, place, service, bounds, faults)?),
            Place::Local(path) => Box::new(process::local(endpoint, path, service, bounds, faults)?),
        })
    }

    /// What an error of the connection means, best knowledge first. The connection must have been dropped.
    pub(super) fn explain(&self, error: &(dyn std::error::Error + 'static)) -> GitError {
        let url = self.endpoint.url.to_string();
        if let Some(ended) = self.watch.ended(&url) {
            return ended;
        }
        if is_of_no_room(error) {
            let detail = chain(error);
            return GitError::NoRoom { url, detail };
        }
        let (fault, stderr) = self.faults.take();
        if let Some(fault) = fault {
            return fault;
        }
        if !stderr.is_empty() {
            return self.explain_stderr(&stderr);
        }
        let detail = chain(error);
        // gix stumbles over the length of the ids; it was built for SHA-1, as nearly all repositories are.
        if detail.contains("64 hexadecimal") || detail.contains("sha256") {
            let reason =
                "its objects are named by SHA-256, which is not supported; use a SHA-1 repository".to_owned();
            return GitError::Url { url, reason };
        }
        GitError::Protocol { url, detail }
    }

    /// The same for an error of gix, which is no [`std::error::Error`] itself.
    pub(super) fn explain_gix(&self, error: gix::Error) -> GitError {
        let error: Box<dyn std::error::Error + Send + Sync> = error.into();
        self.explain(error.as_ref())
    }

    /// Reads what ssh and git say on standard error; the texts are OpenSSH's and git's.
    fn explain_stderr(&self, stderr: &str) -> GitError {
        let url = self.endpoint.url.to_string();
        let detail = gist(stderr);
        let has = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
        if let Place::Ssh(place) = self.endpoint.url.place() {
            if has(&[
                "Host key verification failed",
                "REMOTE HOST IDENTIFICATION HAS CHANGED",
            ]) {
                return self.host_key(place, stderr);
            }
            if has(&["UNPROTECTED PRIVATE KEY FILE", "bad permissions"]) {
                let file = self.endpoint.credentials.ssh.identity.clone().unwrap_or_default();
                let reason = "ssh refuses a private key that others can read; chmod 600 it (in a volume: defaultMode 0400)";
                return GitError::Credentials {
                    from: file.display().to_string(),
                    reason: reason.to_owned(),
                };
            }
        }
        if has(&[
            "Permission denied",
            "permission denied",
            "Too many authentication failures",
            "access denied",
        ]) {
            return GitError::Denied {
                url,
                with: self.endpoint.describe(),
                detail,
            };
        }
        if has(&["dubious ownership"]) {
            let detail = format!("{detail}; run: git config --global --add safe.directory {url}");
            return GitError::Denied {
                url,
                with: self.endpoint.describe(),
                detail,
            };
        }
        if has(&[
            "does not appear to be a git repository",
            "epository not found",
            "not found",
            "does not exist",
        ]) {
            return GitError::NotFound {
                url,
                with: self.endpoint.describe(),
                detail,
            };
        }
        GitError::Unreachable { url, detail }
    }

    fn host_key(&self, place: &SshPlace, stderr: &str) -> GitError {
        let file = match &self.endpoint.credentials.ssh.known_hosts {
            Some(file) => file.display().to_string(),
            None => "~/.ssh/known_hosts".to_owned(),
        };
        let (port, name) = match place.port {
            Some(port) => (format!("-p {port} "), format!("[{}]:{port}", place.host)),
            None => (String::new(), place.host.clone()),
        };
        let scan = format!("ssh-keyscan {port}{} >> {file}", place.host);
        if stderr.contains("IDENTIFICATION HAS CHANGED") {
            return GitError::HostKey {
                host: name.clone(),
                detail: "it is not the key that is known".to_owned(),
                next: format!(
                    "find out why; if the host really has a new key: ssh-keygen -R '{name}' -f {file} && {scan}"
                ),
            };
        }
        GitError::HostKey {
            host: name,
            detail: "it is unknown".to_owned(),
            next: format!("run `{scan}` and compare the fingerprint with the one that the host publishes"),
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Keeps the first fault: later ones follow from it.
    pub(super) fn note(&self, fault: GitError) {
        self.lock().fault.get_or_insert(fault);
    }

    /// Keeps what a child said on standard error.
    pub(super) fn heard(&self, text: &str) {
        self.lock().stderr.push_str(text);
    }

    fn take(&self) -> (Option<GitError>, String) {
        let mut seen = self.lock();
        (seen.fault.take(), std::mem::take(&mut seen.stderr))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The version of the protocol to ask for: only fetching has a second one.
pub(super) fn protocol(service: Service) -> Protocol {
    match service {
        Service::UploadPack => Protocol::V2,
        Service::ReceivePack => Protocol::V1,
    }
}

/// The telling lines of a child's standard error, on one line.
fn gist(stderr: &str) -> String {
    let noise = |line: &&str| {
        !line.is_empty() && !line.starts_with("@@@") && !line.starts_with("Warning: Permanently")
    };
    let lines: Vec<_> = stderr.lines().map(str::trim).filter(noise).take(6).collect();
    lines.join(" / ")
}
