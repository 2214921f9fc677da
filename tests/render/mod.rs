//! The renderer against the reference: random kustomizations must come out of both the same, byte for byte.
//!
//! The reference is kustomize, built from its Go module by `harness::binaries`. `differential` holds the test and says
//! how to run it over more cases, and how to look at one.

#![expect(
    clippy::format_push_string,
    reason = "the texts of a generator read better as formats"
)]

mod case;
mod differential;
mod fields;
mod generators;
mod objects;
mod patches;
mod plugins;
pub mod random;
mod scalars;
mod shrink;
mod tree;
mod workloads;
mod yaml;
