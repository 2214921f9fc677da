//! A desk: a remote repository and the binary, for one test.

use crate::harness::git::Remote;
use crate::harness::gitsync::Gitsync;
use crate::harness::output::Output;

/// A remote repository with the example, and the binary.
pub struct Desk {
    /// The remote.
    pub remote: Remote,
    /// The binary.
    pub gitsync: Gitsync,
}

impl Desk {
    /// The example as it is.
    pub fn new() -> Self {
        Self {
            remote: Remote::example(),
            gitsync: Gitsync::new(),
        }
    }

    /// Runs a command against the remote.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        let url = self.remote.url();
        self.gitsync.run(&[args, &["--repo", &url]].concat())
    }
}
