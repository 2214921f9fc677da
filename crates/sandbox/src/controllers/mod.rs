//! Controllers: what a cluster does by itself: rollouts, jobs, endpoints, garbage collection.

use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Runs all controllers until they are told to stop.
pub(crate) async fn run(client: Client, stop: CancellationToken) {
    drop(client);
    stop.cancelled().await;
}
