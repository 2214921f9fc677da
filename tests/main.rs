//! The integration tests.

mod harness;
mod real;
