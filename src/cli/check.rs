//! `gitsync check`: the load check by itself.
