//! Config: the kinds that gitsync reads from the repository.

pub mod load_check;
