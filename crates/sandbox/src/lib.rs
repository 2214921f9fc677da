//! A Kubernetes API in a process: a test double for anyone's controller.
//!
//! ```
//! use sandbox::{Cluster, Options};
//! use serde_json::json;
//!
//! let cluster = Cluster::new(Options::default());
//! let client = cluster.client("example");
//! let object = json!({"metadata": {"name": "web", "namespace": "default"}, "data": {"mode": "0644"}});
//! let created = client.create("configmaps", object)?;
//! assert_eq!(created["apiVersion"], "v1");
//! assert_eq!(client.list("configmaps", Some("default")).len(), 1);
//! # Ok::<(), sandbox::Status>(())
//! ```

mod api;
mod apply;
mod audit;
mod certificate;
mod client;
mod clock;
mod cluster;
mod controllers;
mod crd;
mod fault;
mod http;
mod kinds;
mod kubeconfig;
mod patch;
mod pods;
mod rbac;
mod registry;
mod schema;
mod selector;
mod server;
mod status;
mod store;
mod tokens;

pub use api::{DeleteOptions, Patch, Propagation};
pub use audit::Request;
pub use certificate::CertificateError;
pub use client::{Client, Event, EventKind, Subscription};
pub use clock::{Clock, stamp};
pub use cluster::{Cluster, Handle, Options};
pub use fault::{Fault, FaultHandle, FaultKind};
pub use http::{Body, Service};
pub use kubeconfig::{Access, kubeconfig};
pub use pods::{Always, Answer, Behaviour, Exit, Host, LoadBalancers, Logs, NODE, Runtime};
pub use registry::{Cell, Column, Context, Hooks, Kind, LogQuery, Registry, ScalePaths, Subresource, Verbs};
pub use selector::Selector;
pub use server::StartError;
pub use status::{FieldError, FieldErrorKind, Status};
