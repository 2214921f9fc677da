//! YAML: text to [`Node`](crate::Node) trees, trees to JSON, JSON to text.
//!
//! * Reading follows go-yaml v3: unquoted `yes` is a string, `0644` is octal, a date is a timestamp.
//!   [`Node::to_json`](crate::Node::to_json) applies these rules;
//!   [`Node::to_json_1_1`](crate::Node::to_json_1_1) applies those of YAML 1.1 and go-yaml v2, which the
//!   Kubernetes tools use for their own configuration files.
//! * [`emit`] prints as go-yaml v2 does, the form that `kubectl` and `kustomize` print.

mod block;
mod emit;
mod json;
mod number;
mod order;
mod read;
mod resolve;

pub use emit::{emit, emit_into, printed_style};
pub use json::JsonError;
pub use number::{shortest_float, shortest_float_32};
pub use order::natural_order;
pub use read::{MAX_ALIASED, MAX_BYTES, MAX_DEPTH, ReadError, is_allowed, read, read_first, size};
pub use resolve::{is_string_1_1, resolve_tag};
