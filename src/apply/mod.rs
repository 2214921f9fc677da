//! Apply: what to do to a cluster, and in which order.
