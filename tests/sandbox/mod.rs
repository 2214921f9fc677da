//! The sandbox against the reference: the same random requests to it and to a real control plane must be answered alike.
//!
//! `differential` holds the test and says how to run it over more cases, and how to look at one. What may differ is told in
//! `crates/sandbox/README.md`, and left out by `normal`.

mod differential;
mod normal;
mod objects;
mod sequence;
