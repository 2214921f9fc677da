//! The dashboard of a daemon that runs on two sandbox clusters: what people see of it, and what they may do there.
//!
//! `browser` needs Chromium: `cargo test --test main -- --ignored browser`.

mod actions;
mod audit;
mod browser;
mod secrets;
mod stage;
