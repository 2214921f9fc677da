//! `kustomize build`, natively.

pub mod files;
pub use files::{Files, FilesError, Kind};
