//! Links a static program with packed relocations.
//!
//! They are 10 KB instead of 0.8 MB. A program that is not static would need a libc that understands them, glibc 2.36; a static
//! one brings its own.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let features = var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    if is_static && var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
