//! Cluster: a Kubernetes API server.

pub mod service;
