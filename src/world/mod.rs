//! World: the only code that waits on anything outside this process.

pub mod cluster;
pub mod git;
pub mod lease;
pub mod load;
pub mod remote;
pub mod wake;
pub mod write_back;
