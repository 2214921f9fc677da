//! The command line against real git repositories, without a cluster.

mod desk;
mod edits;
mod orders;
