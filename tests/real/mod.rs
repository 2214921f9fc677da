//! On a real control plane.

mod control_plane;
