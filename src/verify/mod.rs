//! Verification: may what runs in an environment be trusted?

pub mod backends;
pub mod health;
pub mod pods;
pub mod rollout;
