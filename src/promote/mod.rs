//! Promotion: the next step, and the edit that takes it.

pub mod decide;
