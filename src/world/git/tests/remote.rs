//! A bare repository with a working copy beside it, driven by the git program in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::model::Revision;

pub(super) struct Remote {
    dir: TempDir,
}

impl Remote {
    /// A repository whose branch `main` has one commit with a few files.
    pub(super) fn new() -> Self {
        let remote = Self::empty();
        remote.commit(
            &[
                ("environments/prod/kustomization.yaml", "images: []\n"),
                ("environments/staging/kustomization.yaml", "images: []\n"),
                ("apps/app/deployment.yaml", "kind: Deployment\n"),
                ("README.md", "An example.\n"),
            ],
            "Begin",
        );
        remote
    }

    /// A repository without a commit.
    pub(super) fn empty() -> Self {
        let remote = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        remote.run(
            remote.dir.path(),
            &["init", "--quiet", "--bare", "-b", "main", "remote.git"],
        );
        remote.run(remote.dir.path(), &["init", "--quiet", "-b", "main", "work"]);
        remote.run(&remote.work(), &["remote", "add", "origin", "../remote.git"]);
        remote
    }

    pub(super) fn bare(&self) -> PathBuf {
        self.dir.path().join("remote.git")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.bare().display())
    }

    /// Commits files in the working copy and pushes them.
    pub(super) fn commit(&self, files: &[(&str, &str)], subject: &str) -> Revision {
        for (path, text) in files {
            let path = self.work().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.commit_all(subject)
    }

    /// Commits whatever is in the working copy and pushes it.
    pub(super) fn commit_all(&self, subject: &str) -> Revision {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", subject]);
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Runs git in the working copy.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        self.run(&self.work(), arguments)
    }

    /// Runs git in the bare repository.
    pub(super) fn bare_git(&self, arguments: &[&str]) -> String {
        self.run(&self.bare(), arguments)
    }

    pub(super) fn tip(&self) -> Revision {
        self.bare_git(&["rev-parse", "refs/heads/main"]).parse().unwrap()
    }

    /// Installs a hook of the bare repository.
    pub(super) fn hook(&self, name: &str, script: &str) {
        executable(&self.bare().join("hooks").join(name), script);
    }

    fn run(&self, dir: &Path, arguments: &[&str]) -> String {
        let output = hermetic(Command::new("git"))
            .current_dir(dir)
            .args(arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

/// An executable shell script.
pub(super) fn executable(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A command that sees nothing of the user's git configuration.
pub(super) fn hermetic(mut command: Command) -> Command {
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A Developer")
        .env("GIT_AUTHOR_EMAIL", "dev@example.com")
        .env("GIT_COMMITTER_NAME", "A Developer")
        .env("GIT_COMMITTER_EMAIL", "dev@example.com");
    command
}
