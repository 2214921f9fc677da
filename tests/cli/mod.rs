//! The command line against real git repositories, without a cluster.

mod edits;
