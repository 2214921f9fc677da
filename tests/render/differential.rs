//! Differential: random kustomizations, rendered by gitsync's renderer and by kustomize, byte for byte.
//!
//! A case follows from its seed alone. `GITSYNC_DIFFERENTIAL_CASES` is the number of cases (150 unless set; 10,000 is
//! the run before a release, about 20 minutes on two cores), `GITSYNC_DIFFERENTIAL_SEED` the first seed (0 unless set):
//!
//! ```text
//! GITSYNC_DIFFERENTIAL_CASES=10000 cargo test --test main render::differential
//! GITSYNC_DIFFERENTIAL_CASES=1 GITSYNC_DIFFERENTIAL_SEED=4711 cargo test --test main render::differential
//! ```
//!
//! What both refuse counts as the same: the texts of errors differ on purpose. Where the reference panics it has no
//! answer, and whatever we say is as good; a panic of ours fails the test. A case that differs is made smaller and
//! printed as a tree, with the difference.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

use kustomize::{MemoryFiles, Options};
use similar::TextDiff;

use super::case::Case;
use super::shrink::shrink;
use super::tree;
use crate::harness::binaries;

/// Cases that are made smaller and printed; of the others only the seeds are.
const PRINTED: usize = 8;

/// What a program made of a case: its output, or what it said instead.
type Outcome = Result<String, String>;

/// How two outcomes differ; a smaller case must differ in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Output,
    OnlyWeFail,
    OnlyTheReferenceFails,
}

#[test]
fn random_kustomizations_come_out_the_same() {
    let reference = binaries::path("kustomize");
    let cases = number("GITSYNC_DIFFERENTIAL_CASES").unwrap_or(150);
    let first = number("GITSYNC_DIFFERENTIAL_SEED").unwrap_or(0);
    let next = AtomicU64::new(first);
    let refused = Mutex::new(Vec::new());
    let different = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + cases {
                        return;
                    }
                    let case = tree::case(seed);
                    let theirs = run_reference(&reference, &case);
                    if let Err(said) = &theirs {
                        refused.lock().unwrap().push(said.clone());
                    }
                    if difference(&run_ours(&case), &theirs).is_some()
                        && is_steady(&reference, &case, &theirs)
                    {
                        different.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let mut seeds = different.into_inner().unwrap();
    seeds.sort_unstable();
    let reports: Vec<String> = seeds
        .iter()
        .take(PRINTED)
        .map(|seed| report(&reference, *seed))
        .collect();
    assert!(
        seeds.is_empty(),
        "{} of {cases} cases differ, seeds {seeds:?}\n\n{}",
        seeds.len(),
        reports.join("\n")
    );
    let refused = refused.into_inner().unwrap();
    assert!(
        cases < 100 || refused.len() as u64 * 2 < cases,
        "{} of {cases} cases cannot be built, so the rest proves little:\n{}",
        refused.len(),
        refused[..refused.len().min(40)].concat()
    );
}

/// The generator makes cases of every sort: a field that never appears would never be tested.
#[test]
fn every_field_appears_in_some_case() {
    let all: String = (0..400).map(|seed| tree::case(seed).show()).collect();
    let fields = [
        "resources:",
        "bases:",
        "components:",
        "namePrefix:",
        "nameSuffix:",
        "namespace:",
        "labels:",
        "commonLabels:",
        "commonAnnotations:",
        "images:",
        "replicas:",
        "patches:",
        "patchesStrategicMerge:",
        "patchesJson6902:",
        "configMapGenerator:",
        "secretGenerator:",
        "generatorOptions:",
        "replacements:",
        "vars:",
        "generators:",
        "transformers:",
        "validators:",
        "openapi:",
        "configurations:",
        "crds:",
        "sortOptions:",
        "buildMetadata:",
    ];
    let missing: Vec<&str> = fields
        .into_iter()
        .filter(|field| !all.contains(&format!("\n{field}")))
        .collect();
    assert!(missing.is_empty(), "in no case: {missing:?}");
}

/// A difference is found, and made as small as it can be.
#[test]
fn a_difference_shrinks_to_what_it_needs() {
    let case = (0..)
        .map(tree::case)
        .find(|case| case.pieces.len() > 10 && case.show().contains("nginx"))
        .unwrap();
    let small = shrink(case, &mut |case| case.show().contains("nginx"));
    assert_eq!(small.pieces.len(), 1, "{}", small.show());
    assert_eq!(small.pieces[0].text.lines().count(), 1, "{}", small.show());
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
    )
}

fn difference(ours: &Outcome, theirs: &Outcome) -> Option<Difference> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours != theirs).then_some(Difference::Output),
        (Err(_), Err(_)) => None,
        (Err(_), Ok(_)) => Some(Difference::OnlyWeFail),
        (Ok(_), Err(said)) if said.starts_with("panic: ") || said.contains("\npanic: ") => None,
        (Ok(_), Err(_)) => Some(Difference::OnlyTheReferenceFails),
    }
}

/// Whether the reference says the same thing again. It does not where its order of keys is not transitive, for it
/// walks its maps in another order each time; such a case has nothing to be compared with.
fn is_steady(reference: &Path, case: &Case, first: &Outcome) -> bool {
    (0..4).all(|_| difference(&run_reference(reference, case), first).is_none())
}

fn run_ours(case: &Case) -> Outcome {
    let files: MemoryFiles = case.files().into_iter().collect();
    let built = catch_unwind(AssertUnwindSafe(|| {
        kustomize::print(&files, &case.top, &Options::default()).map(|printed| printed.parts.concat())
    }));
    match built {
        Ok(built) => built.map_err(|errors| errors.to_string()),
        Err(_) => panic!("our renderer panics on\n{}", case.show()),
    }
}

fn run_reference(reference: &Path, case: &Case) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    case.write(dir.path()).unwrap();
    // A top that has lost all its pieces is no directory; the reference then says so.
    let output = Command::new(reference)
        .arg("build")
        .arg(dir.path().join(&case.top))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The case, made smaller, and how the two outcomes differ.
fn report(reference: &Path, seed: u64) -> String {
    let case = tree::case(seed);
    let kind = difference(&run_ours(&case), &run_reference(reference, &case));
    let small = shrink(case, &mut |case| {
        let theirs = run_reference(reference, case);
        difference(&run_ours(case), &theirs) == kind && is_steady(reference, case, &theirs)
    });
    let (ours, theirs) = (run_ours(&small), run_reference(reference, &small));
    let shown = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => TextDiff::from_lines(theirs, ours)
            .unified_diff()
            .header("kustomize", "gitsync")
            .to_string(),
        _ => format!("kustomize: {}\ngitsync: {}\n", said(&theirs), said(&ours)),
    };
    format!("######## seed {seed}: {kind:?}\n{}{shown}", small.show())
}

/// The beginning of an outcome: a panic of the reference goes on for pages.
fn said(outcome: &Outcome) -> String {
    let text: String = format!("{outcome:?}").chars().take(600).collect();
    text.replace("\\n", "\n")
}
