//! Flat: whether the memory of a long load check stays what it was after its first minute.

use std::process::Stdio;
use std::time::Duration;

use crate::memory::resident;
use crate::server::Server;
use crate::tool::Tool;

/// Requests per second.
const RATE: u32 = 2_000;
/// How long it runs.
const MINUTES: u32 = 10;
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Prints the smallest and the largest resident set in each minute.
pub fn print(gitsync: &Tool) {
    let server = Server::start(|_| (200, 0));
    let dir = tempfile::tempdir().expect("because a temporary directory can be made");
    let mut command = gitsync.open(dir.path(), &server.url(), RATE, 60 * MINUTES);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut check = command.spawn().expect("because it ran before");
    println!("\n### Memory of an open loop, {RATE} requests per second\n\n| minute | resident |\n|--:|--:|");
    let looks = 60 / EVERY.as_secs();
    for minute in 1..=MINUTES {
        let mut seen = Vec::new();
        for look in 1..=looks {
            // The last look would find it gone.
            let last = minute == MINUTES && look == looks;
            std::thread::sleep(if last { EVERY / 2 } else { EVERY });
            seen.push(resident(check.id(), "VmRSS"));
        }
        let (least, most) = seen.iter().fold((f64::MAX, 0.0_f64), |(least, most), seen| {
            (least.min(*seen), most.max(*seen))
        });
        println!("| {minute} | {least:.1} to {most:.1} MiB |");
    }
    let ended = check.wait();
    let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
    println!("\nIt ended with {ended} after {} requests.", server.seen());
}
