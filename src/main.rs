//! The `gitsync` binary.

use std::process::ExitCode;

/// See Cargo.toml for the reason.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // TLS is ring's everywhere: git over https, the clusters, load checks. A second installation is refused, which
    // can only mean that it is already there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    gitsync::cli::main()
}
