//! k6 scripts: each case of `cases/` is run by gitsync with `--mode k6` and by the real k6, against the same server.
//!
//! Exit codes, the marks of thresholds, checks, counters and rates have to be equal. `GITSYNC_K6_CASE=text` runs the
//! cases whose names have the text in them.

mod acceptance;
mod case;
mod outcome;
mod server;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;
use outcome::{differences, run_gitsync, run_k6};
use server::Server;

use crate::harness::binaries;

/// Cases that run at the same time. Most of a case is the start of a process.
const SIDE_BY_SIDE: usize = 2;

#[test]
fn scripts_end_as_on_k6() {
    let cases = Case::all();
    assert!(cases.len() >= 150, "there are only {} cases", cases.len());
    let wanted = std::env::var("GITSYNC_K6_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.name.contains(&wanted)).collect();
    let (k6, server) = (binaries::path("k6"), Server::start());
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wants = run_k6(&k6, case, &server.url());
                    let has = run_gitsync(case, &server.url());
                    let differing = differences(case, &wants, &has);
                    if !differing.is_empty() {
                        let report = format!(
                            "{case}\n{}\n{}\n{}",
                            differing.join("\n"),
                            wants.told(),
                            has.told()
                        );
                        found.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(
        found.is_empty(),
        "{} of {} cases differ from k6:\n\n{}",
        found.len(),
        cases.len(),
        found.join("\n\n")
    );
}
