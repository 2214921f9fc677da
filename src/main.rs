//! The `gitsync` binary.

use std::process::ExitCode;

/// See Cargo.toml for the reason.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gitsync::cli::main()
}
