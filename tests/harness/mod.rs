//! The harness: a real control plane, real repositories and the built binary, for the tests that drive gitsync whole.
//!
//! See docs/testing.md for what is real here, what is played, and how to look at a run.

pub mod address;
pub mod app;
pub mod binaries;
pub mod browser;
pub mod cloud;
pub mod control_plane;
pub mod git;
pub mod git_server;
pub mod gitsync;
pub mod kubectl;
pub mod output;
pub mod pair;
pub mod process;
pub mod proxy;
pub mod runtime;
pub mod sandbox;
pub mod scene;
pub mod state;
pub mod tags;
pub mod terminal;
pub mod wait;
