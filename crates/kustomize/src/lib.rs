//! `kustomize build`, natively.

mod build;
mod configuration;
mod decode;
pub mod edit;
mod error;
mod fieldspec;
mod files;
mod finish;
mod generate;
mod id;
mod kustomization;
mod layer;
mod origin;
mod plugin;
mod read;
mod resource;
mod schema;
mod selector;
mod smp;
mod smp_list;
mod transform;
mod walk;

pub use build::{Build, LoadRestrictor, Options, build};
pub use error::{BuildError, BuildErrors, Warning};
pub use files::{DirFiles, Files, FilesError, Kind, MemoryFiles};

/// The version of kustomize whose output this crate reproduces.
pub const REFERENCE_VERSION: &str = "v5.8.2";
