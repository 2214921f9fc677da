//! The command line against real git repositories, without a cluster.

mod desk;
mod diffs;
mod docs;
mod edits;
mod fleet;
mod help;
mod init;
mod orders;
