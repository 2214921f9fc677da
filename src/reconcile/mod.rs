//! Reconcile: who calls what, in which order.
