//! Report: telling people and programs what was seen and done. Values in, text out; nothing is printed here.

pub mod board;
pub mod findings;
pub mod history;
pub mod install;
pub mod load_check;
pub mod metrics;
pub mod page;
pub mod paint;
pub mod script;
pub mod stats;
pub mod status;
pub mod why;
