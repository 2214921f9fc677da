//! Kubernetes objects without a cluster: YAML in and out, ids and origins.
//!
//! The crate keeps four things and performs no I/O:
//!
//! * [`yaml`]: a reader that gives a spanned tree ([`Node`]) and an emitter that prints JSON values the
//!   way the Kubernetes tools do, byte for byte.
//! * [`ObjectId`] and [`Gvk`]: what an object is called, for a person and for an inventory.
//! * [`Manifest`]: one object, its JSON value, and the file and line that it and its fields come from.
//! * [`redact`]: the only form of an object that may be printed.
//!
//! # Example
//!
//! ```
//! use manifest::{Manifest, yaml};
//!
//! let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  mode: 0644\n";
//! let objects = Manifest::parse(text, "web.yaml")?;
//! assert_eq!(objects[0].id().to_string(), "ConfigMap web");
//! assert_eq!(objects[0].line_of("/data/mode").unwrap().to_string(), "web.yaml:6");
//! // Numbers are read by the rules of go-yaml v3: a leading zero is octal.
//! assert!(yaml::emit(objects[0].value()).contains("mode: 420\n"));
//! # Ok::<(), manifest::ReadError>(())
//! ```
//!
//! # Limits
//!
//! A text is refused above [`yaml::MAX_BYTES`], nesting above [`yaml::MAX_DEPTH`], and a document whose
//! aliases expand to more than [`yaml::MAX_ALIASED`] nodes. Invalid UTF-8 never gets this far: the reader
//! takes `&str`.

mod id;
mod node;
mod object;
mod origin;
mod packed;
mod redact;
pub mod yaml;

pub use id::{Gvk, IdError, ObjectId};
pub use node::{Data, Kind, Node, Place, Style, Tag};
pub use object::Manifest;
pub use origin::{FieldLines, Origin};
pub use packed::Packed;
pub use redact::{Redacted, redact, redact_pair};
pub use yaml::ReadError;
