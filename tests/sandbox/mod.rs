//! The sandbox beside a real control plane: what one answers, the other does.

mod kinds;
mod rollout;
