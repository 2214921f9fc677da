//! The command line against real git repositories, without a cluster.

mod desk;
mod diffs;
mod edits;
mod orders;
