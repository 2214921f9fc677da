//! Diff: the difference between desired and live state.
