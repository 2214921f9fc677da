//! Verification: may what runs in an environment be trusted?

pub mod backends;
pub mod baseline;
pub mod custom_health;
pub mod exchange;
pub mod expression;
pub mod health;
pub mod judge;
pub mod pods;
pub mod progress;
pub mod proportion;
pub mod rollout;
pub mod samples;
pub mod schedule;
pub mod script;
pub mod sequential;
pub mod stats;
pub mod trend;
