//! Proof: a verification that passed. It is the only thing that a promotion can be made from.

use crate::config::verified::VerifiedImage;
use crate::model::Revision;
use crate::record::{EvidenceKey, Verdict, Verification};

/// A verification that passed, for exactly the objects and gates that it is asked about.
///
/// There is no other way to make one than [`Proof::of`]:
///
/// ```compile_fail
/// use gitsync::promote::proof::Proof;
///
/// let forged = Proof { verification: todo!() };
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    verification: &'a Verification,
}

// === impl Proof ===

impl<'a> Proof<'a> {
    /// The proof that `verification` is for `key`; `None` when it is for anything else, or did not pass.
    #[must_use]
    pub fn of(verification: &'a Verification, key: &EvidenceKey) -> Option<Self> {
        let proves = verification.verdict == Verdict::Passed && verification.key == *key;
        proves.then_some(Self { verification })
    }

    /// The commit whose overlay was proved.
    #[must_use]
    pub fn revision(self) -> &'a Revision {
        &self.verification.revision
    }

    /// The commit whose shared files were proved.
    #[must_use]
    pub fn shared(self) -> &'a Revision {
        &self.verification.shared
    }

    /// The images that were proved.
    #[must_use]
    pub fn images(self) -> &'a [VerifiedImage] {
        &self.verification.images
    }

    /// The whole verification, for its figures and times.
    #[must_use]
    pub fn verification(self) -> &'a Verification {
        self.verification
    }

    /// The name of the evidence: what a promotion's commit says, so that none is promoted twice.
    #[must_use]
    pub fn evidence(self) -> String {
        let EvidenceKey { objects, gates } = &self.verification.key;
        format!(
            "{}-{}",
            &objects[..objects.len().min(16)],
            &gates[..gates.len().min(16)]
        )
    }
}
