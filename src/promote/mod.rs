//! Promotion: the next step, and the edit that takes it.

pub mod decide;
pub mod follow;
pub mod guard;
pub mod orders;
pub mod overlay;
pub mod proof;
pub mod propose;
pub mod rollback;
#[cfg(test)]
mod tests;
