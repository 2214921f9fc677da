//! Kinds: what each builtin kind means: its names, its defaults, what is wrong with it, and its table.
//!
//! The names are in [`table`]; [`hooks`] tells what a kind does at the points of a request.

mod allocate;
mod defaults;
pub(crate) mod fields;
mod printer;
mod quality;
pub(crate) mod quantity;
mod strategy;
mod table;
mod validate;

use crate::registry::{Hooks, Kind};

/// Every builtin kind with its hooks.
pub(crate) fn builtin() -> Vec<Kind> {
    let mut kinds = table::kinds();
    for kind in &mut kinds {
        kind.hooks = hooks();
        if let Some(table) = printer::table(&kind.group, &kind.kind) {
            kind.hooks.table = table;
        }
    }
    kinds
}

/// What a kind does at the points of a request.
fn hooks() -> Hooks {
    Hooks {
        default: defaults::default,
        prepare_for_create: strategy::prepare_for_create,
        prepare_for_update: strategy::prepare_for_update,
        validate_create: validate::validate_create,
        validate_update: validate::validate_update,
        log: crate::pods::read_log,
        ..Hooks::default()
    }
}
