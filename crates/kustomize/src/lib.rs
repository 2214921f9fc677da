//! `kustomize build`, natively.

pub mod edit;
mod files;

pub use files::{DirFiles, Files, FilesError, Kind, MemoryFiles};
