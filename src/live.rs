//! Live state: what a cluster says is.
