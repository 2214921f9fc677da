//! Push: moving a branch of the remote from one known commit to the next, or not at all.
//!
//! gix has no push. Ours is narrow: one branch, whose old commit is named in the request, so that the remote
//! compares and swaps; a pack of objects that are known exactly. It follows git's `gitprotocol-pack` (reference
//! update request and packfile transfer, report-status, side-band-64k). It asks for no `atomic`, which for a
//! single branch only hides the reason of a refusal, and never tries to understand a refusal by its text: whether
//! the branch moved is decided by [asking the remote](advertised).

use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use gix::ObjectId;
use gix::bstr::BStr;
use gix::progress::Discard;
use gix::protocol::Handshake;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::{ExtendedBufRead, Transport};
use gix::protocol::transport::client::{MessageKind, WriteMode};
use gix_pack::data::output;

use super::commit::NewCommit;
use super::error::GitError;
use super::fetch::{AGENT, full_name};
use super::link::Session;

/// How one attempt ended.
pub(super) enum Attempt {
    /// The branch was not at the expected commit; nothing was sent.
    Stale(Option<ObjectId>),
    /// The remote says that it moved the branch.
    Accepted(Vec<String>),
    /// The remote says that it did not move the branch.
    Refused { reason: String, messages: Vec<String> },
    /// The request was sent, but no answer came back: either may be true.
    Unanswered(GitError),
}

/// Asks the remote to move `branch` from `expected` to the new commit.
///
/// # Errors
///
/// When the attempt failed before anything was sent.
pub(super) fn attempt(
    session: &Session<'_>,
    repository: &gix::Repository,
    branch: &str,
    expected: ObjectId,
    commit: &NewCommit,
) -> Result<Attempt, GitError> {
    let pack = pack(repository, &commit.objects).map_err(|error| GitError::Object {
        what: format!("new commit {}", commit.id),
        detail: error.to_string(),
    })?;
    let mut transport = session.connect(Service::ReceivePack)?;
    let handshake = match handshake(&mut transport) {
        Ok(handshake) => handshake,
        Err(error) => {
            drop(transport);
            return Err(session.explain_gix(error));
        }
    };
    let tip = find(&handshake, branch);
    if tip != Some(expected) {
        say_goodbye(&mut transport);
        return Ok(Attempt::Stale(tip));
    }
    session.watch.shield(&session.endpoint.url)?;
    let request = Request {
        branch,
        expected,
        new: commit.id,
        pack: &pack,
    };
    let answer = request.send(&mut transport, &handshake);
    drop(transport);
    Ok(match answer {
        Ok(Some(attempt)) => attempt,
        Ok(None) => Attempt::Unanswered(GitError::Protocol {
            url: session.endpoint.url.to_string(),
            detail: "it took the push without reporting what became of it".to_owned(),
        }),
        Err(error) => Attempt::Unanswered(session.explain(&error)),
    })
}

/// The commit that a branch is at, as the writing side of the remote tells it.
pub(super) fn advertised(session: &Session<'_>, branch: &str) -> Result<Option<ObjectId>, GitError> {
    let mut transport = session.connect(Service::ReceivePack)?;
    let handshake = handshake(&mut transport);
    if handshake.is_ok() {
        say_goodbye(&mut transport);
    }
    drop(transport);
    let handshake = handshake.map_err(|error| session.explain_gix(error))?;
    Ok(find(&handshake, branch))
}

/// One reference update with its pack.
struct Request<'a> {
    branch: &'a str,
    expected: ObjectId,
    new: ObjectId,
    pack: &'a [u8],
}

impl Request<'_> {
    /// Sends the request and reads the report; `None` when the remote gives none.
    fn send(
        &self,
        transport: &mut Box<dyn Transport + Send>,
        handshake: &Handshake,
    ) -> std::io::Result<Option<Attempt>> {
        let sideband = handshake.capabilities.contains("side-band-64k");
        let mut writer = transport
            .request(WriteMode::Binary, MessageKind::Flush, false)
            .map_err(std::io::Error::other)?;
        writer.write_all(self.command(handshake).as_bytes())?;
        writer.write_message(MessageKind::Flush)?;
        let (mut raw, reader) = writer.into_parts();
        raw.write_all(self.pack)?;
        raw.flush()?;
        drop(raw);
        let (report, messages) = if sideband {
            read_sideband(reader)?
        } else {
            (read_lines(reader)?, Vec::new())
        };
        Ok(judge(&report, &full_name(self.branch), messages))
    }

    fn command(&self, handshake: &Handshake) -> String {
        let has = |capability: &str| handshake.capabilities.contains(capability);
        let mut capabilities = String::from("report-status");
        if has("side-band-64k") {
            capabilities.push_str(" side-band-64k");
        }
        if has("object-format") {
            capabilities.push_str(" object-format=sha1");
        }
        if has("agent") {
            capabilities.push_str(" agent=");
            capabilities.push_str(AGENT);
        }
        format!(
            "{} {} {}\0{capabilities}",
            self.expected,
            self.new,
            full_name(self.branch)
        )
    }
}

fn handshake(transport: &mut Box<dyn Transport + Send>) -> gix::Result<Handshake> {
    gix::protocol::handshake(
        &mut *transport,
        Service::ReceivePack,
        |_| Ok(None),
        Vec::new(),
        &mut Discard,
    )
}

/// Tells a child that nothing will be pushed. Over http every request stands alone.
fn say_goodbye(transport: &mut Box<dyn Transport + Send>) {
    if transport.connection_persists_across_multiple_requests()
        && let Ok(writer) = transport.request(WriteMode::Binary, MessageKind::Flush, false)
    {
        drop(writer.into_read());
    }
}

fn find(handshake: &Handshake, branch: &str) -> Option<ObjectId> {
    let name = full_name(branch);
    handshake.refs.iter().flatten().find_map(|found| {
        let (found, target, _peeled) = found.unpack();
        (found == BStr::new(&name))
            .then(|| target.map(ToOwned::to_owned))
            .flatten()
    })
}

/// Packs whole objects; there are so few that deltas would save nothing.
fn pack(repository: &gix::Repository, objects: &[ObjectId]) -> gix::Result<Vec<u8>> {
    let mut entries = Vec::with_capacity(objects.len());
    for id in objects {
        let object = repository.find_object(*id)?;
        let count = output::Count::from_data(*id, None);
        let data = gix::objs::Data::new(&object.data, object.kind, id.kind());
        entries.push(output::Entry::from_data(&count, &data, Default::default())?);
    }
    let total = u32::try_from(entries.len()).expect("because a commit of ours changes a few files");
    let mut bytes = Vec::new();
    let input = std::iter::once(Ok::<_, gix::Error>(entries));
    let version = gix_pack::data::Version::V2;
    let writer =
        output::bytes::FromEntriesIter::new(input, &mut bytes, total, version, repository.object_hash());
    for written in writer {
        written?;
    }
    Ok(bytes)
}

/// Reads to the end the report on the first band, and what hooks print on the second.
fn read_sideband<'a>(
    mut reader: Box<dyn ExtendedBufRead<'a> + Unpin + 'a>,
) -> std::io::Result<(Vec<u8>, Vec<String>)> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    reader.set_progress_handler(Some(Box::new(move |_is_error, text: &[u8]| {
        listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(text);
        ControlFlow::Continue(())
    })));
    let mut report = Vec::new();
    reader.read_to_end(&mut report)?;
    drop(reader);
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((report, lines_of(&String::from_utf8_lossy(&heard))))
}

/// What a person would have seen of the remote's words: the last state of each line that was redrawn.
fn lines_of(text: &str) -> Vec<String> {
    let visible = |line: &str| {
        line.trim_end_matches('\r')
            .rsplit('\r')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    text.lines()
        .map(visible)
        .filter(|line| !line.is_empty())
        .collect()
}

/// Reads a report that comes without bands, and frames its lines again as they were.
fn read_lines<'a>(mut reader: Box<dyn ExtendedBufRead<'a> + Unpin + 'a>) -> std::io::Result<Vec<u8>> {
    let mut report = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.readline_str(&mut line)? == 0 {
            return Ok(report);
        }
        report.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes());
    }
}

/// Reads a report-status: `unpack <result>`, then `ok <ref>` or `ng <ref> <reason>`.
fn judge(report: &[u8], name: &str, messages: Vec<String>) -> Option<Attempt> {
    let mut rest = report;
    let mut unpack = None;
    while let Some(size) = rest.get(..4).and_then(|hex| std::str::from_utf8(hex).ok()) {
        // A flush ends the report.
        let Some(size) = usize::from_str_radix(size, 16).ok().filter(|size| *size >= 4) else {
            break;
        };
        let line = String::from_utf8_lossy(rest.get(4..size)?).trim_end().to_owned();
        rest = &rest[size..];
        if let Some(result) = line.strip_prefix("unpack ") {
            unpack = Some(result.to_owned());
        } else if line.strip_prefix("ok ") == Some(name) && unpack.as_deref() == Some("ok") {
            return Some(Attempt::Accepted(messages));
        } else if let Some((found, reason)) = line.strip_prefix("ng ").and_then(|line| line.split_once(' '))
            && found == name
        {
            return Some(Attempt::Refused {
                reason: reason.to_owned(),
                messages,
            });
        }
    }
    // Without a word on the branch, a failed unpacking is the reason.
    let reason = unpack.filter(|result| result != "ok")?;
    Some(Attempt::Refused {
        reason: format!("unpacking failed: {reason}"),
        messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> Vec<u8> {
        let mut bytes: Vec<u8> = lines
            .iter()
            .flat_map(|line| format!("{:04x}{line}\n", line.len() + 5).into_bytes())
            .collect();
        bytes.extend_from_slice(b"0000");
        bytes
    }

    #[test]
    fn a_report_is_read_for_the_branch_that_was_pushed() {
        for (lines, expected) in [
            (&["unpack ok", "ok refs/heads/main"][..], "accepted"),
            (
                &["unpack ok", "ng refs/heads/main hook declined"],
                "hook declined",
            ),
            (
                &["unpack index-pack failed", "ng refs/heads/main unpacker error"],
                "unpacker error",
            ),
            (
                &["unpack index-pack failed"],
                "unpacking failed: index-pack failed",
            ),
            (&["unpack ok", "ok refs/heads/other"], "nothing"),
            (
                &["unpack failed", "ok refs/heads/main"],
                "unpacking failed: failed",
            ),
            (&[], "nothing"),
        ] {
            let found = match judge(&report(lines), "refs/heads/main", Vec::new()) {
                Some(Attempt::Accepted(_)) => "accepted".to_owned(),
                Some(Attempt::Refused { reason, .. }) => reason,
                Some(Attempt::Stale(_) | Attempt::Unanswered(_)) => "impossible".to_owned(),
                None => "nothing".to_owned(),
            };
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_report_that_breaks_off_says_nothing() {
        let whole = report(&["unpack ok", "ok refs/heads/main"]);
        for end in 0..whole.len() - 4 {
            assert!(
                judge(&whole[..end], "refs/heads/main", Vec::new()).is_none(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn the_words_of_hooks_are_shown_as_a_terminal_would() {
        assert_eq!(
            lines_of("Resolving 50%\rResolving 100%\n\n policy: no \r\n"),
            ["Resolving 100%", "policy: no"]
        );
    }
}
