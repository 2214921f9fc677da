//! The command line against real git repositories, without a cluster.

mod ci;
mod clusters;
mod completions;
mod desk;
mod diffs;
mod docs;
mod doctor;
mod edits;
mod fleet;
mod help;
mod init;
mod looks;
mod orders;
pub mod pages;
mod reference;
mod snapshots;
mod terminal;
