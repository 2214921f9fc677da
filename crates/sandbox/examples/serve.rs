//! Runs clusters until it is told to stop, and prints one kubeconfig for all of them. Each argument is the name of a
//! cluster and of its context: `cargo run -p gitsync-sandbox --example serve staging prod > kubeconfig`.

use std::io::Write as _;

use sandbox::{Cluster, Options, kubeconfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        names.push(Options::default().name);
    }
    let mut clusters = Vec::new();
    for name in names {
        let options = Options {
            name,
            ..Options::default()
        };
        clusters.push(Cluster::start(options).await?);
    }
    let access: Vec<_> = clusters.iter().map(|cluster| cluster.access()).collect();
    let mut out = std::io::stdout();
    out.write_all(kubeconfig(&access).as_bytes())?;
    out.flush()?;
    std::future::pending::<()>().await;
    drop(clusters);
    Ok(())
}
