//! The scenarios: the built binary and git against a real Kubernetes control plane.
//!
//! `tests/sandbox/scenarios.rs` has the same files once more, where `clusters` is a pair of sandboxes. A new file needs a line
//! there as well, unless it is about the control plane itself.

use crate::harness::pair as clusters;

mod apps;
mod bad_input;
mod control_plane;
mod dashboard;
mod drift;
mod faults;
mod gate;
mod ha;
mod install;
mod kills;
mod main_loop;
mod newcomer;
mod outages;
mod policies;
mod preview;
mod processes;
mod races;
mod repositories;
mod requests;
mod stage;
mod story;
mod sync_options;
mod wheel;
