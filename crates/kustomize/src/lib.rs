//! `kustomize build`, natively: a pure function from a tree of files to Kubernetes objects.
//!
//! [`build`] reads a kustomization and everything that it refers to from a [`Files`] tree, which may be a
//! directory ([`DirFiles`]), memory ([`MemoryFiles`]) or a git tree of the caller's, and returns the objects
//! in the order and form in which kustomize prints them. Nothing is executed or fetched, no environment is
//! read, and the same tree gives the same bytes.
//!
//! # Example
//!
//! ```
//! use kustomize::{MemoryFiles, Options, build};
//!
//! let files: MemoryFiles = [
//!     ("base/web.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort}\n"),
//!     ("base/kustomization.yaml", "resources: [web.yaml]\n"),
//!     ("prod/kustomization.yaml", "resources: [../base]\nnamespace: shop\nnamePrefix: prod-\n"),
//! ]
//! .into_iter()
//! .collect();
//!
//! let built = build(&files, "prod", &Options::default())?;
//! assert_eq!(
//!     built.to_yaml(),
//!     "apiVersion: v1\nkind: Service\nmetadata:\n  name: prod-web\n  namespace: shop\nspec:\n  type: NodePort\n"
//! );
//!
//! // Every object and field knows where it comes from.
//! let service = &built.manifests[0];
//! assert_eq!(service.id().to_string(), "Service shop/prod-web");
//! assert_eq!(service.line_of("/spec/type").unwrap().to_string(), "base/web.yaml:4");
//!
//! // All independent problems of a tree are told at once, each with its place.
//! let broken: MemoryFiles = [("kustomization.yaml", "resources: [a.yaml, b.yaml]\n")].into_iter().collect();
//! let errors = build(&broken, "", &Options::default()).unwrap_err();
//! assert_eq!(errors.len(), 2);
//! assert_eq!(
//!     errors.to_string().lines().next(),
//!     Some("kustomization.yaml:1: resources[0]: no such file or directory: a.yaml")
//! );
//! # Ok::<(), kustomize::BuildErrors>(())
//! ```
//!
//! # Fidelity
//!
//! The reference is `kustomize build` of [`REFERENCE_VERSION`]: for a tree that it builds, the output is the
//! same to the byte; a tree that it refuses is refused. That includes what its users may take for bugs, since
//! a renderer that differs is a surprise in somebody's cluster: a label that one transformer put into several
//! fields is changed in all of them by a later patch, `tagSuffix` is applied twice, a folded text with an
//! indented line gains a line break. Three things check it:
//!
//! - cases, one directory for each rule, whose output `tests/record.py` recorded from the reference;
//! - a property test of the workspace (`tests/render` at its root), which builds random trees with both and makes
//!   a tree that differs smaller: all fields of a kustomization, builtin plugins, schemas, and scalars on which
//!   readers of YAML disagree;
//! - the unit tests of each rule, and two fuzz targets (`fuzz/`), which look for panics, hangs and waste.
//!
//! The known differences are listed with their reasons in `docs/kustomize-differences.md`. They concern comments
//! that describe schemas, texts that only one of two YAML readers takes, hash suffixes of unusual objects, and
//! shapes on which the reference panics.
//!
//! Errors are this crate's own: they name file, line and field, say what to do, and come all at once where one does
//! not follow from another. [`Build::warnings`] has the reference's words.
//!
//! # What is refused
//!
//! Remote resources, Helm charts, and exec, container and Go plugins: each with a hint for another way.
//! Builtin plugins that are configured by an object of their own work.
//!
//! # Speed
//!
//! Time grows with the number of objects, not with its square as in the reference. A build of many objects parses its
//! files, follows references and makes its results on as many threads as the machine has, which end with it; the result
//! does not depend on them.
//!
//! # Limits
//!
//! Untrusted trees are safe to build: time and memory are bounded, and going over a bound is an error that says
//! which one.
//!
//! | what | bound |
//! |---|---|
//! | paths and symlinks | stay in the tree ([`Files`]) |
//! | a file | [`DirFiles::LIMIT`], and [`manifest::yaml::MAX_BYTES`] for any YAML |
//! | nesting of collections | [`manifest::yaml::MAX_DEPTH`] |
//! | values that the aliases of a file expand to | [`manifest::yaml::MAX_ALIASED`] |
//! | what a `copy` or a replacement makes of one object | 500,000 values, 16 MiB of text |
//! | objects, layers and kustomizations of a build | [`Options`] |
//!
//! Cycles are found, regular expressions run in linear time, and time grows linearly with the number of objects.
//! A file of 64 MiB that is nothing but small values takes about 3 GB: trees of strangers deserve a smaller
//! [`DirFiles::with_limit`].
//!
//! # How it works
//!
//! ```text
//! files ─ read ─▶ trees with places ─ layer: generators, components, patches, names, labels, … ─▶ resources
//!                        ▲                                   │ once for each kustomization, bases first
//!                        └───────────────────────────────────┘
//! resources ─ hashes, name references, vars, order ─▶ JSON values ─ emit ─▶ text
//! ```
//!
//! Objects stay YAML trees until the end, because whether a number was quoted decides what a transformer makes
//! of it. The merge schema and the scopes of builtin kinds are those that the reference has built in; the
//! compact table in `data/schema.txt` is written by `tools/schema.py` from an API server's OpenAPI document.

mod absorb;
mod ahead;
mod args;
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
mod loader;
mod origin;
mod parallel;
mod plugin;
mod read;
mod resource;
mod schema;
mod selector;
mod smp;
mod smp_list;
mod transform;
mod tree;
mod walk;

pub use build::{Build, LoadRestrictor, Options, Printed, build, print};
pub use error::{BuildError, BuildErrors, Warning};
pub use files::{DirFiles, Files, FilesError, Kind, MemoryFiles};

/// The version of kustomize whose output this crate reproduces.
pub const REFERENCE_VERSION: &str = "v5.8.2";
