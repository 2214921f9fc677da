//! Kinds: what each builtin kind means: its names, its defaults, what is wrong with it, and its table.
//!
//! The names are in [`table`]; [`hooks`] tells what a kind does at the points of a request.

mod table;

use crate::registry::{Hooks, Kind};

/// Every builtin kind with its hooks.
pub(crate) fn builtin() -> Vec<Kind> {
    let mut kinds = table::kinds();
    for kind in &mut kinds {
        kind.hooks = hooks(&kind.group, &kind.kind);
    }
    kinds
}

/// What a kind does at the points of a request.
fn hooks(group: &str, kind: &str) -> Hooks {
    match (group, kind) {
        _ => Hooks::default(),
    }
}
