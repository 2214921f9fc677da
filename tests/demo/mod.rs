//! `gitsync demo` and `gitsync rehearse`: the built binary with clusters of its own.

mod keep;
mod rehearse;
mod story;
