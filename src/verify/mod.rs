//! Verification: may what runs in an environment be trusted?

pub mod pods;
pub mod rollout;
