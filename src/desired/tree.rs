//! The tree that an environment is rendered from.
//!
//! Both overlays read the same base, so a commit to the base would reach prod at once. An environment that receives
//! promotions is therefore rendered from its own overlay at HEAD over the shared files at the revision that was
//! proved for it. Before the first promotion nothing is proved, and HEAD is read.

use kustomize::Files;

use crate::config::repository::Environment;
use crate::source::{Layered, Snapshot};

use super::{Desired, build};
use crate::problem::{Problem, Problems};

/// Renders an environment as it should be now: `proved` is the snapshot of `environment.verified`'s revision.
///
/// # Errors
///
/// As [`build`]. When HEAD alone would render and the mixture does not, the problem says which revision is waited
/// for: an environment is never rendered from files that were not proved together.
pub fn render(
    environment: &Environment,
    head: &Snapshot,
    proved: Option<&Snapshot>,
) -> Result<Desired, Problems> {
    let Some(proved) = proved else {
        return build(head.files(), environment, head.revision());
    };
    let layered = Layered::new(&environment.dir, head.files(), proved.files());
    build(&layered, environment, head.revision()).map_err(|mut problems| {
        if build(head.files(), environment, head.revision()).is_ok() {
            let message = format!(
                "the overlay needs shared files that revision {} does not have; it waits until a later revision is proved",
                proved.revision().short()
            );
            problems.0.insert(0, Problem::new(message).at_line(&environment.dir, 0));
        }
        problems
    })
}

/// Renders an environment from any tree, for previews.
///
/// # Errors
///
/// As [`build`].
pub fn render_as_is(
    environment: &Environment,
    files: &dyn Files,
    head: &Snapshot,
) -> Result<Desired, Problems> {
    build(files, environment, head.revision())
}
