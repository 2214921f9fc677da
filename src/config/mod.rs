//! Config: the kinds that gitsync reads from the repository.

pub mod duration;
pub mod load_check;
