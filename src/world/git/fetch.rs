//! Fetch: what the remote has, and bringing it here.

use std::path::Path;

use gix::ObjectId;
use gix::bstr::{BStr, BString};
use gix::objs::Write as _;
use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::Service;
use gix::protocol::transport::client::blocking_io::Transport;
use gix::protocol::{LsRefsCommand, ls_refs::RefPrefixes};
use gix::remote::fetch::Status;

use super::error::GitError;
use super::link::Session;

/// How many branches a message names.
const NAMED: usize = 10;

/// Packs with fewer objects are unpacked; git's own `fetch.unpackLimit`.
const UNPACK_LIMIT: u32 = 100;

/// How this program names itself to git hosts.
pub(super) const AGENT: &str = concat!("gitsync/", env!("CARGO_PKG_VERSION"));

/// The commit that a branch of the remote is at: one `ls-refs` for this very branch.
pub(super) fn tip(session: &Session<'_>, branch: &str) -> Result<Option<ObjectId>, GitError> {
    let name = full_name(branch);
    Ok(list(session, &[&name])?
        .into_iter()
        .find_map(|(found, id)| (found == name).then_some(id)))
}

/// The error for a branch that is not there, which names those that are.
pub(super) fn no_branch(session: &Session<'_>, branch: &str) -> GitError {
    let refs = match list(session, &["refs/heads/"]) {
        Ok(refs) => refs,
        Err(error) => return error,
    };
    let (url, branch) = (session.endpoint.url.to_string(), branch.to_owned());
    let names = refs
        .iter()
        .filter_map(|(name, _)| name.strip_prefix("refs/heads/"));
    let existing: Vec<String> = names.take(NAMED).map(str::to_owned).collect();
    if existing.is_empty() {
        return GitError::Empty { url, branch };
    }
    GitError::NoBranch {
        url,
        branch,
        existing,
    }
}

/// Fetches a branch into the clone and returns its tip.
pub(super) fn receive(
    repository: &gix::Repository,
    session: &Session<'_>,
    branch: &str,
) -> Result<Option<ObjectId>, GitError> {
    let transport = session.connect(Service::UploadPack)?;
    match receive_over(repository, session, branch, transport) {
        Ok(tip) => Ok(tip),
        Err(error) => Err(session.explain_gix(error)),
    }
}

fn receive_over(
    repository: &gix::Repository,
    session: &Session<'_>,
    branch: &str,
    transport: Box<dyn Transport + Send>,
) -> gix::Result<Option<ObjectId>> {
    let name = full_name(branch);
    let spec = format!("+{name}:{}", tracking_name(branch));
    let remote = repository
        .remote_at_without_url_rewrite("https://unused.invalid/")?
        .with_fetch_tags(gix::remote::fetch::Tags::None)
        .with_refspecs([spec.as_str()], gix::remote::Direction::Fetch)?;
    let connection = remote
        .to_connection_with_transport(transport)
        .with_credentials(|_| Ok(None));
    let prepared = connection.prepare_fetch(Discard, gix::remote::ref_map::Options::default())?;
    let found = prepared
        .ref_map()
        .remote_refs
        .iter()
        .find_map(|found| named(found, &name));
    let Some(tip) = found else { return Ok(None) };
    let outcome = prepared.receive(Discard, &session.watch.shared().interrupt)?;
    if let Status::Change {
        write_pack_bundle, ..
    } = outcome.status
    {
        unpack(repository, &write_pack_bundle);
    }
    Ok(Some(tip))
}

/// Turns a small pack into loose objects, as git does: a daemon fetches a few objects at a time for months, and
/// thousands of packs would make every look-up slow. A pack that cannot be unpacked stays, which costs nothing.
fn unpack(repository: &gix::Repository, bundle: &gix_pack::bundle::write::Outcome) {
    let (Some(index), Some(data)) = (&bundle.index_path, &bundle.data_path) else {
        return;
    };
    if bundle.index.num_objects >= UNPACK_LIMIT || write_loose(repository, index).is_err() {
        return;
    }
    // The index goes first: nobody looks for a pack without one.
    if std::fs::remove_file(index).is_ok() {
        std::fs::remove_file(data).ok();
    }
}

fn write_loose(repository: &gix::Repository, index: &Path) -> gix::Result {
    let hash = repository.object_hash();
    let loose = gix::odb::loose::Store::at(repository.objects.store_ref().path(), hash);
    for entry in gix_pack::index::File::at(index, hash)?.iter() {
        let object = repository.find_object(entry.oid)?;
        loose.write_buf(object.kind, &object.data)?;
    }
    Ok(())
}

/// The refs of the remote below some prefixes.
fn list(session: &Session<'_>, prefixes: &[&str]) -> Result<Vec<(String, ObjectId)>, GitError> {
    let mut transport = session.connect(Service::UploadPack)?;
    let refs = list_over(&mut transport, prefixes);
    drop(transport);
    let refs = refs.map_err(|error| session.explain_gix(error))?;
    let pair = |found: &Ref| {
        let (name, object, _peeled) = found.unpack();
        Some((name.to_string(), object?.to_owned()))
    };
    let wanted = |(name, _): &(String, ObjectId)| prefixes.iter().any(|prefix| name.starts_with(prefix));
    Ok(refs.iter().filter_map(pair).filter(wanted).collect())
}

fn list_over(transport: &mut Box<dyn Transport + Send>, prefixes: &[&str]) -> gix::Result<Vec<Ref>> {
    let handshake = gix::protocol::handshake(
        &mut *transport,
        Service::UploadPack,
        |_| Ok(None),
        Vec::new(),
        &mut Discard,
    )?;
    // Servers that know only the first version of the protocol have sent everything already.
    if let Some(refs) = handshake.refs {
        return Ok(refs);
    }
    let mut wanted = RefPrefixes::new();
    wanted.extend(prefixes.iter().map(|prefix| BString::from(*prefix)));
    let agent = ("agent", Some(AGENT.into()));
    let command = LsRefsCommand::new(Some(wanted), &handshake.capabilities, agent);
    let refs = command.invoke_blocking(&mut *transport, &mut Discard, false)?;
    gix::protocol::indicate_end_of_interaction(&mut *transport, false).ok();
    Ok(refs)
}

fn named(found: &Ref, name: &str) -> Option<ObjectId> {
    let (found, object, _peeled) = found.unpack();
    (found == BStr::new(name))
        .then(|| object.map(ToOwned::to_owned))
        .flatten()
}

pub(super) fn full_name(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

pub(super) fn tracking_name(branch: &str) -> String {
    format!("refs/remotes/origin/{branch}")
}
