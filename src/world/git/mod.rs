//! Git: the repository that holds the desired state.
