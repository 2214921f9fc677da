//! The report of a load check: live progress, the end-of-test summary, JSON.
