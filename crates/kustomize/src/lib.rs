//! `kustomize build`, natively.
