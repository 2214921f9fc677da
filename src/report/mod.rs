//! Report: telling people and programs what was seen and done. Values in, text out; nothing is printed here.

pub mod load_check;
pub mod paint;
pub mod script;
pub mod status;
pub mod why;
