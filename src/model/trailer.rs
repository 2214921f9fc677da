//! Trailers: the keys of the lines that end gitsync's commits. Whoever writes one and whoever reads it finds its name here.

/// How all of them begin.
pub const PREFIX: &str = "Gitsync-";

/// An image with its tag: set, promoted or restored by the commit.
pub const IMAGE: &str = "Gitsync-Image";
/// An image with the digest that ran where it was proved.
pub const DIGEST: &str = "Gitsync-Digest";
/// The application's commit that an image was built from, where its tag tells.
pub const SOURCE_COMMIT: &str = "Gitsync-Source-Commit";
/// The commit that was proved.
pub const VERIFIED_REVISION: &str = "Gitsync-Verified-Revision";
/// The environment that proved it.
pub const VERIFIED_IN: &str = "Gitsync-Verified-In";
/// When the proof was complete.
pub const VERIFIED_AT: &str = "Gitsync-Verified-At";
/// A figure of a load check, with its threshold.
pub const CHECK: &str = "Gitsync-Check";
/// What was proved by what; a promotion has it, and nothing else does.
pub const EVIDENCE: &str = "Gitsync-Evidence";

/// The number of replicas that the commit sets.
pub const SCALE: &str = "Gitsync-Scale";
/// The environment that is rolled back.
pub const ROLLBACK: &str = "Gitsync-Rollback";
/// The commit that a rollback goes back to.
pub const RESTORED: &str = "Gitsync-Restored";
/// What a rollback puts into quarantine.
pub const QUARANTINE: &str = "Gitsync-Quarantine";
/// What is approved.
pub const APPROVE: &str = "Gitsync-Approve";
/// The environment that is suspended.
pub const SUSPEND: &str = "Gitsync-Suspend";
/// The environment that is taken care of again.
pub const RESUME: &str = "Gitsync-Resume";
/// Who asked for the commit, where somebody else made it.
pub const BY: &str = "Gitsync-By";
