//! gitsync.
