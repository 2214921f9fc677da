//! Scenes: the built binary on two sandbox clusters, with faults injected and kills at chosen requests.

mod api_faults;
mod crash;
mod git_faults;
mod hostile;
mod secrets;
mod storm;
