//! gitsync keeps Kubernetes clusters in step with git, and lets nothing reach prod that staging did not prove.
//!
//! This page is the map. The modules below stand in the order of the flow; read them downwards and the
//! job tells itself:
//!
//! ```text
//! source ─▶ desired ─▶ live ─▶ diff ─▶ apply ─▶ verify ─▶ promote ─▶ report      the stages: pure decisions
//!                          world                                                the only code that waits on anything outside
//!                        reconcile                                              who calls what, in which order
//!                          serve                                                what a browser and a monitor see
//!                           cli                                                 what a person types
//! ```
//!
//! A stage takes values and returns values: it is synchronous, reads no clock, opens no file and knows no
//! client. [`world`] is where git, clusters, sockets and time are; [`reconcile`] joins the two. Each module
//! may use only what stands above it in its own group or in a lower layer; `tests/layers.rs` enforces that.
//!
//! Four libraries below this one know nothing of gitsync: [`manifest`] (what a Kubernetes object is),
//! [`kustomize`] (a tree of layers in, objects out), [`cel`] (the expressions of policies) and [`sandbox`] (a cluster in a
//! process), which only `gitsync demo` ([`cli::demo`]) and `gitsync rehearse` ([`reconcile::rehearse`]) use.

pub mod model;
pub mod problem;

pub mod config;

pub mod source;

pub mod desired;

pub mod live;

pub mod record;

pub mod diff;

pub mod apply;

pub mod verify;

pub mod promote;

pub mod report;

pub mod world;

pub mod reconcile;

pub mod serve;

pub mod cli;
