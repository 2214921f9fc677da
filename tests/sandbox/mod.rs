//! The sandbox beside a real control plane: what one answers, the other does.
//!
//! `differential` sends both the same random requests, and says how to run it over more cases, and how to look at one.
//! What may differ is told in `crates/sandbox/README.md`, and left out by `normal`.

mod differential;
mod kinds;
mod kubectl;
mod normal;
mod objects;
mod rollout;
mod scenarios;
mod sequence;
