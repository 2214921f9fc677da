//! Runs a cluster until it is told to stop, and prints its kubeconfig:
//! `cargo run -p gitsync-sandbox --example serve > kubeconfig`.

use std::io::Write as _;

use sandbox::{Cluster, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handle = Cluster::start(Options::default()).await?;
    let mut out = std::io::stdout();
    out.write_all(handle.kubeconfig().as_bytes())?;
    out.flush()?;
    std::future::pending::<()>().await;
    drop(handle);
    Ok(())
}
