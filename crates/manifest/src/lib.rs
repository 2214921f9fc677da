//! Kubernetes objects without a cluster: YAML in and out, ids and origins.
