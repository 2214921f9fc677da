//! Report: telling people and programs what was seen and done.

pub mod load_check;
