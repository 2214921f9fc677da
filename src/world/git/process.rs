//! Process link: git's protocol over the standard streams of a child, `ssh` or git itself.
//!
//! gix can start such children too, but lets ssh write to our standard error, asks it for its version first,
//! and has no handle by which a stuck child could be ended.

use std::any::Any;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gix::bstr::BStr;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix::protocol::transport::client::git::{ConnectMode, blocking_io::Connection};
use gix::protocol::transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};

use super::bounds::{Awaited, Shared};
use super::error::GitError;
use super::link::{self, Endpoint, Faults};
use super::url::SshPlace;

/// How much of a child's standard error is kept: enough for ssh's largest warning.
const STDERR: u64 = 16 * 1024;

/// A child that has said everything gets this long to end by itself.
const FAREWELL: Duration = Duration::from_millis(250);

/// The child and the connection over its streams.
pub(super) struct Process {
    connection: Option<Connection<Awaited<ChildStdout>, Awaited<ChildStdin>>>,
    child: Child,
    stderr: Option<JoinHandle<String>>,
    bounds: Arc<Shared>,
    faults: Faults,
}

/// Starts git's own server program for a repository of this machine.
pub(super) fn local(
    endpoint: &Endpoint,
    path: &Path,
    service: Service,
    bounds: &Arc<Shared>,
    faults: &Faults,
) -> Result<Process, GitError> {
    if !path.exists() {
        return Err(GitError::NotFound {
            url: endpoint.url.to_string(),
            with: "a path of this machine".to_owned(),
            detail: "there is no such directory".to_owned(),
        });
    }
    let mut command = Command::new("git");
    command.arg(git_subcommand(service)).arg(path);
    spawn(endpoint, command, service, bounds, faults)
}

/// Starts ssh, which starts git's server program at the other end.
pub(super) fn ssh(
    endpoint: &Endpoint,
    place: &SshPlace,
    service: Service,
    bounds: &Arc<Shared>,
    faults: &Faults,
) -> Result<Process, GitError> {
    endpoint.credentials.ssh.check()?;
    let mut command = match &endpoint.ssh_command {
        None => Command::new("ssh"),
        Some(custom) => shell(custom),
    };
    command.args(ssh_arguments(endpoint, place, service));
    spawn(endpoint, command, service, bounds, faults)
}

/// A command line of the user's, as git runs `GIT_SSH_COMMAND`: through the shell, with more arguments.
fn shell(command: &OsStr) -> Command {
    let mut script = command.to_owned();
    script.push(" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg("ssh");
    shell
}

fn ssh_arguments(endpoint: &Endpoint, place: &SshPlace, service: Service) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut option = |text: OsString| arguments.extend([OsString::from("-o"), text]);
    let with_file = |name: &str, file: &Path| {
        let mut text = OsString::from(name);
        // ssh splits the value of a file option at blanks unless it is quoted.
        text.push("=\"");
        text.push(file);
        text.push("\"");
        text
    };
    option("BatchMode=yes".into());
    option("StrictHostKeyChecking=yes".into());
    option(format!("ConnectTimeout={}", endpoint.connect_timeout.as_secs().max(1)).into());
    option("ServerAliveInterval=15".into());
    if service == Service::UploadPack {
        option("SendEnv=GIT_PROTOCOL".into());
    }
    let key = &endpoint.credentials.ssh;
    if let Some(file) = &key.known_hosts {
        option(with_file("UserKnownHostsFile", file));
        option("GlobalKnownHostsFile=/dev/null".into());
    }
    if let Some(file) = &key.identity {
        option("IdentitiesOnly=yes".into());
        option(with_file("IdentityFile", file));
    }
    if let Some(port) = place.port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    let host = match &place.user {
        Some(user) => format!("{user}@{}", place.host),
        None => place.host.clone(),
    };
    let quoted = format!("'{}'", place.path.replace('\'', r"'\''").replace('!', r"'\!'"));
    arguments.extend([
        "--".into(),
        host.into(),
        format!("{} {quoted}", service.as_str()).into(),
    ]);
    arguments
}

fn git_subcommand(service: Service) -> &'static str {
    match service {
        Service::UploadPack => "upload-pack",
        Service::ReceivePack => "receive-pack",
    }
}

fn spawn(
    endpoint: &Endpoint,
    mut command: Command,
    service: Service,
    bounds: &Arc<Shared>,
    faults: &Faults,
) -> Result<Process, GitError> {
    prepare(&mut command, service);
    let program = command.get_program().to_string_lossy().into_owned();
    let url = endpoint.url.to_string();
    let failed = |detail: String| GitError::Unreachable {
        url: url.clone(),
        detail,
    };
    let mut child = command.spawn().map_err(|error| {
        failed(format!(
            "`{program}` cannot be started ({error}); is it installed and in PATH?"
        ))
    })?;
    bounds.adopt(&child);
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
        return Err(failed(format!("`{program}` has no standard streams")));
    };
    let stderr = std::thread::Builder::new()
        .name("git stderr".into())
        .spawn(move || collect(stderr))
        .ok();
    let (version, host) = (link::protocol(service), None::<(&str, Option<u16>)>);
    let (stdout, stdin) = (Awaited::new(stdout, bounds), Awaited::new(stdin, bounds));
    let connection = Connection::new(stdout, stdin, version, url, host, ConnectMode::Process, false);
    let (bounds, faults) = (Arc::clone(bounds), faults.clone());
    Ok(Process {
        connection: Some(connection),
        child,
        stderr,
        bounds,
        faults,
    })
}

/// Variables of git that describe this machine and not one repository.
const KEPT: &[&str] = &[
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
];

fn prepare(command: &mut Command, service: Service) {
    // What describes another repository must not reach this one's server program.
    let foreign = |name: &OsString| {
        name.to_str()
            .is_some_and(|name| name.starts_with("GIT_") && !KEPT.contains(&name))
    };
    for name in std::env::vars_os().map(|(name, _)| name).filter(foreign) {
        command.env_remove(name);
    }
    // Messages are read below, so they have to be English.
    command.env("LC_ALL", "C").env("LANG", "C");
    if service == Service::UploadPack {
        command.env("GIT_PROTOCOL", "version=2");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own, so that the child's own children can be ended with it.
    command.process_group(0);
}

/// Reads to the end, so that the child never blocks on us, but keeps only the beginning.
fn collect(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    stderr.by_ref().take(STDERR).read_to_end(&mut kept).ok();
    std::io::copy(&mut stderr, &mut std::io::sink()).ok();
    String::from_utf8_lossy(&kept).into_owned()
}

// === impl Process ===

impl Process {
    fn connection(
        &mut self,
    ) -> Result<&mut Connection<Awaited<ChildStdout>, Awaited<ChildStdin>>, client::Error> {
        self.connection.as_mut().ok_or(client::Error::MissingHandshake)
    }
}

impl TransportWithoutIO for Process {
    fn to_url(&self) -> Cow<'_, BStr> {
        self.connection
            .as_ref()
            .map_or_else(|| Cow::Borrowed(BStr::new("")), TransportWithoutIO::to_url)
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result {
        Ok(())
    }
}

impl Transport for Process {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.connection()?.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, client::Error> {
        self.connection()?.request(write_mode, on_into_read, trace)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closes the child's standard input, which ends every well-behaved one.
        drop(self.connection.take());
        let patience = Instant::now() + FAREWELL;
        while Instant::now() < patience && matches!(has_exited(&self.child), Ok(false)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.bounds.release();
        self.child.wait().ok();
        if let Some(text) = self.stderr.take().and_then(|thread| thread.join().ok()) {
            self.faults.heard(&text);
        }
    }
}

/// Whether the child has ended, without reaping it: its id must stay its own until the group is killed.
fn has_exited(child: &Child) -> rustix::io::Result<bool> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return Ok(true);
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}
