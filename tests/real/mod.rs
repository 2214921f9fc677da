//! The scenarios: the built binary and git against a real Kubernetes control plane.
//!
//! `tests/sandbox/scenarios.rs` has the same files once more, where `clusters` is a pair of sandboxes. A new file needs a line
//! there as well, unless it is about the control plane itself.

use crate::harness::pair as clusters;

mod api_faults;
mod bad_input;
mod control_plane;
mod crash;
mod dashboard;
mod drift;
mod faults;
mod gate;
mod git_faults;
mod ha;
mod hostile;
mod install;
mod kills;
mod main_loop;
mod preview;
mod processes;
mod races;
mod repositories;
mod requests;
mod secrets;
mod stage;
mod storm;
mod story;
mod sync_options;
mod wheel;
