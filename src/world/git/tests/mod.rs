//! Tests of git as a whole: real repositories, real servers, real races.

mod http_server;
mod links;
mod pushing;
mod reading;
mod remote;

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Bounds, Git, GitOptions, Identity};
use crate::model::{CommitMessage, Edit};

/// Bounds that no test is meant to meet.
fn ample() -> Bounds {
    Bounds::new(Duration::from_secs(60), CancellationToken::new())
}

/// Options for a remote with a cache of the test's own.
fn options(url: &str, cache: &Path) -> GitOptions {
    let mut options = GitOptions::new(url.parse().unwrap(), "main");
    options.cache = Some(cache.to_owned());
    options.ssh_command = None;
    options
}

fn open(url: &str, cache: &Path) -> Git {
    Git::open(&options(url, cache)).unwrap()
}

fn edit(files: &[(&str, &str)]) -> Edit {
    Edit {
        files: files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect(),
        ..Edit::default()
    }
}

fn message(subject: &str) -> CommitMessage {
    CommitMessage {
        subject: subject.to_owned(),
        body: String::new(),
        trailers: vec![("Gitsync-Image".to_owned(), "app:1".to_owned())],
    }
}

fn identity() -> Identity {
    Identity {
        name: "gitsync".to_owned(),
        email: "gitsync@example.com".to_owned(),
    }
}
