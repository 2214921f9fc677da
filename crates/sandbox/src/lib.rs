//! A Kubernetes API in a process. It keeps its place here; the API itself comes with its own issue.
