//! Verification: may what runs in an environment be trusted?
