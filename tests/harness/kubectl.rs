//! kubectl: the real one, with nothing of the machine's configuration.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::binaries;
use super::control_plane::kubeconfig::{Access, Kubeconfig};
use super::output::Output;
use super::state::StateDirectory;

/// How long a command may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs kubectl on one cluster.
pub fn run(state: &StateDirectory, context: &str, access: Access, args: &[&str]) -> Output {
    let kubeconfig = state.path().join("kubectl.yaml");
    Kubeconfig::default()
        .with(context, access)
        .write(&kubeconfig, 0o600);
    let mut command = command(&kubeconfig, state.path());
    command.args(args);
    Output::of(command, PATIENCE)
}

/// kubectl with a kubeconfig, and a home where it keeps what it has discovered.
pub fn command(kubeconfig: &Path, home: &Path) -> Command {
    let mut command = Command::new(binaries::path("kubectl"));
    command
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .env_remove("KUBECACHEDIR");
    command
}
