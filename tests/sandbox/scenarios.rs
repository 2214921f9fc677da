//! The scenarios of `tests/real` on two sandboxes: the same source, with other clusters.

use crate::harness::sandbox as clusters;

#[path = "../real/apps.rs"]
mod apps;
#[path = "../real/bad_input.rs"]
mod bad_input;
#[path = "../real/dashboard.rs"]
mod dashboard;
#[path = "../real/drift.rs"]
mod drift;
#[path = "../real/faults.rs"]
mod faults;
#[path = "../real/gate.rs"]
mod gate;
#[path = "../real/kills.rs"]
mod kills;
#[path = "../real/main_loop.rs"]
mod main_loop;
#[path = "../real/preview.rs"]
mod preview;
#[path = "../real/races.rs"]
mod races;
#[path = "../real/requests.rs"]
mod requests;
#[path = "../real/stage.rs"]
mod stage;
#[path = "../real/story.rs"]
mod story;
#[path = "../real/wheel.rs"]
mod wheel;
