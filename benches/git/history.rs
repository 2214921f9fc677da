//! History: a bare repository with many commits and much content, written by `git fast-import`.

use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::git::{BRANCH, Remote, hermetic};

/// The file that promotions change.
pub const FILE: &str = "environments/prod/image.yaml";
/// The files that the history changes in turn.
const FILES: usize = 200;

/// A remote with a long history.
pub struct History {
    remote: Remote,
    next: AtomicUsize,
}

impl History {
    /// Fills a remote with commits that each rewrite one file with bytes that do not compress.
    pub fn create(remote: Remote, commits: usize, mebibytes: usize) -> Self {
        let history = Self {
            remote,
            next: AtomicUsize::new(1),
        };
        let size = (mebibytes << 20) / commits.max(1);
        history.import(|stream| {
            for number in 0..commits {
                let path = format!("assets/{}.bin", number % FILES);
                commit(stream, number, "", &path, &noise(number as u64 + 1, size));
            }
            commit(stream, commits, "", FILE, b"image: app:v0\n");
        });
        history.next.store(commits + 1, Ordering::Relaxed);
        history
    }

    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Adds a commit that changes one line.
    pub fn commit(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let parent = format!("from refs/heads/{BRANCH}^0\n");
        self.import(|stream| {
            commit(
                stream,
                number,
                &parent,
                FILE,
                format!("image: app:v{number}\n").as_bytes(),
            )
        });
    }

    /// What the bare repository takes on the disk.
    pub fn mebibytes(&self) -> u64 {
        let output = Command::new("du").args(["-sm"]).arg(self.remote.path()).output();
        let text = String::from_utf8_lossy(&output.expect("du is everywhere").stdout).into_owned();
        text.split_whitespace()
            .next()
            .and_then(|size| size.parse().ok())
            .unwrap_or_default()
    }

    fn import(&self, write: impl FnOnce(&mut dyn Write)) {
        let mut command = Command::new("git");
        hermetic(&mut command);
        // What does not compress is not worth trying.
        command.args(["-c", "core.compression=0", "fast-import", "--quiet", "--force"]);
        let child = command
            .current_dir(self.remote.path())
            .stdin(Stdio::piped())
            .spawn();
        let mut child = child.expect("git is installed");
        {
            let mut stream = BufWriter::new(child.stdin.take().expect("because it is piped"));
            write(&mut stream);
            stream.flush().expect("git reads to the end");
        }
        assert!(
            child.wait().expect("because it was started").success(),
            "git fast-import"
        );
    }
}

/// Writes a commit: on top of the one before in this stream, unless its `from` line says otherwise.
fn commit(stream: &mut dyn Write, number: usize, from: &str, path: &str, content: &[u8]) {
    let head = format!(
        "commit refs/heads/{BRANCH}\ncommitter dev <dev@example.com> {} +0000\ndata 7\nChange\n{from}M 100644 inline {path}\ndata {}\n",
        1_600_000_000 + number,
        content.len()
    );
    let all = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(content));
    all.and_then(|()| stream.write_all(b"\n"))
        .expect("git reads to the end");
}

/// Bytes that do not compress, by xorshift.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
