//! The benchmark of the pure parts that are hot: reading, rendering, printing, comparing, and the percentiles of a load.
//!
//! `cargo bench --bench pure` prints markdown; `-- --only read` one part, again and again for ten seconds, for a profiler.
//! See docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that unwraps fails with what it met"
)]

#[path = "../common/options.rs"]
mod options;
#[path = "../common/spread.rs"]
mod spread;
#[expect(dead_code, reason = "the benchmark of rendering has other trees as well")]
#[path = "../render/trees.rs"]
mod trees;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use gitsync::diff::rendered::{Pairing, between};
use gitsync::verify::trend::Trend;
use kustomize::{MemoryFiles, Options};
use manifest::{Manifest, yaml};
use options::option;
use spread::Spread;

/// Timed runs of each part.
const ROUNDS: usize = 50;
/// How long one part runs for a profiler.
const PROFILED: Duration = Duration::from_secs(10);
/// Apps of five objects.
const APPS: usize = 200;

/// A part, and how many things of which name one run of it goes over.
struct Part {
    name: &'static str,
    work: &'static str,
    things: (usize, &'static str),
    run: Box<dyn Fn()>,
}

fn main() {
    let parts = parts();
    if let Some(only) = option("--only") {
        let part = parts.iter().find(|part| part.name == only).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PROFILED {
            (part.run)();
        }
        return;
    }
    println!(
        "| part | median of {ROUNDS} | min to max | of each | allocations | MiB asked for | MiB at most |\n\
         |---|--:|--:|--:|--:|--:|--:|"
    );
    let spreads: Vec<_> = parts
        .iter()
        .map(|part| Spread::from((0..ROUNDS).map(|_| timed(&part.run)).collect::<Vec<_>>()))
        .collect();
    on_one_core();
    for (part, spread) in parts.iter().zip(spreads) {
        let (count, thing) = part.things;
        let asked = allocation_counter::measure(&part.run);
        println!(
            "| `{}`: {} | {spread} | {:.2} µs per {thing} | {:.2} per {thing} | {:.1} | {:.1} |",
            part.name,
            part.work,
            spread.median * 1000.0 / count as f64,
            asked.count_total as f64 / count as f64,
            mebibytes(asked.bytes_total),
            mebibytes(asked.bytes_max)
        );
    }
}

/// From here on everything is done by this thread, the only one whose allocations are counted. (Where a thread cannot be bound
/// to a core, what others ask for is missing.)
fn on_one_core() {
    #[cfg(target_os = "linux")]
    {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(rustix::thread::sched_getcpu());
        rustix::thread::sched_setaffinity(None, &cores).unwrap();
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn parts() -> Vec<Part> {
    let (text, files) = trees();
    let objects = Manifest::parse(&text, "objects.yaml").unwrap();
    let count = objects.len();
    let other = text.replace("v1.0.0", "v1.0.1");
    let other = Manifest::parse(&other, "objects.yaml").unwrap();
    let printed = objects.clone();
    vec![
        Part {
            name: "read",
            work: "the YAML of 1,000 objects into nodes with their places",
            things: (count, "object"),
            run: Box::new(move || drop(black_box(yaml::read(&text, "objects.yaml").unwrap()))),
        },
        Part {
            name: "build",
            work: "the overlay of 200 apps, its files in memory",
            things: (count + 1, "object"),
            run: Box::new(move || {
                drop(black_box(
                    kustomize::build(&files, "", &Options::default()).unwrap(),
                ));
            }),
        },
        Part {
            name: "print",
            work: "1,000 objects as YAML",
            things: (count, "object"),
            run: Box::new(move || {
                let mut text = String::new();
                printed
                    .iter()
                    .for_each(|object| yaml::emit_into(object.value(), &mut text));
                black_box(text);
            }),
        },
        Part {
            name: "compare",
            work: "1,000 objects with as many, of which 200 have another image",
            things: (count, "object"),
            run: Box::new(move || drop(black_box(between(&objects, &other, Pairing::Exact)))),
        },
        Part {
            name: "percentiles",
            work: "a million times of requests, and their p(99)",
            things: (1_000_000, "request"),
            run: Box::new(|| {
                let mut trend = Trend::default();
                (0..1_000_000).for_each(|number| trend.add(f64::from(number % 7_919) / 7.0));
                black_box(trend.percentile(99.0));
            }),
        },
    ]
}

fn timed(run: &dyn Fn()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

/// A thousand objects as one text, and the overlay of 200 apps as files in memory.
fn trees() -> (String, MemoryFiles) {
    let dir = tempfile::tempdir().unwrap();
    trees::objects_of(&dir.path().join("base"), APPS);
    let text = fs::read_to_string(dir.path().join("base/objects.yaml")).unwrap();
    let overlay = dir.path().join("overlay");
    trees::overlay(&overlay, APPS);
    let mut files = MemoryFiles::new();
    gather(&overlay, &overlay, &mut files);
    (text, files)
}

fn gather(root: &Path, dir: &Path, files: &mut MemoryFiles) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}
