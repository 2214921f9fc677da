//! Command line: what a person types, and what it answers.

pub mod check;
pub mod failure;
pub mod ui;
