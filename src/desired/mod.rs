//! Desired state: what git says should be.
