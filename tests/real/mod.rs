//! The scenarios: the built binary and git against a real Kubernetes control plane.

mod bad_input;
mod control_plane;
mod dashboard;
mod drift;
mod faults;
mod gate;
mod kills;
mod main_loop;
mod preview;
mod processes;
mod races;
mod repositories;
mod requests;
mod stage;
mod story;
mod sync_options;
mod wheel;
