//! The harness's runtime: one for the process, on threads of its own, for everything that the harness itself serves or asks.

use std::future::Future;
use std::sync::OnceLock;

/// The runtime, started at the first use. Tests are plain functions and never run on it.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        // The process may have installed the provider already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("harness")
            .enable_all()
            .build()
            .expect("a runtime for the harness")
    })
}

/// Runs a future on the harness's runtime and waits for it. Not for use inside of a future.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}
