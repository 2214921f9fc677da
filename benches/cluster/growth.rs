//! Growth: what gitsync needs with three and ten times as many objects, and with none.

use crate::cost::median_of;
use crate::fleet::Fleet;
use crate::{daemon, work};

/// Apps of five objects.
const SIZES: [usize; 4] = [0, 200, 600, 2_000];
/// The columns: a name, and its unit.
const FIGURES: [(&str, &str); 7] = [
    ("first apply", "s"),
    ("nothing to do", "s"),
    ("one image", "s"),
    ("cold diff", "s"),
    ("daemon: fetched → applied", "s"),
    ("resident at rest", "MiB"),
    ("at most", "MiB"),
];
/// Runs of what takes no long time; the median is shown.
const ROUNDS: usize = 3;

/// Prints a row for each size, and how the figures grow from the second size to the last.
pub fn measure() {
    println!("\n### Growth\n");
    let names = FIGURES.map(|(name, _)| name);
    println!(
        "| objects | {} |\n|---|{}",
        names.join(" | "),
        "--:|".repeat(names.len())
    );
    let rows = SIZES.map(|apps| {
        let fleet = Fleet::start(apps);
        let figures = figures(&fleet);
        let cells = figures.iter().zip(FIGURES).map(|(figure, (_, unit))| {
            figure.map_or_else(String::new, |figure| format!("{figure:.2} {unit}"))
        });
        println!(
            "| {} | {} |",
            fleet.objects(),
            cells.collect::<Vec<_>>().join(" | ")
        );
        figures
    });
    let factor = SIZES[3] as f64 / SIZES[1] as f64;
    let exponents = (0..FIGURES.len()).map(|at| {
        let (small, large) = (rows[1][at].unwrap(), rows[3][at].unwrap());
        format!("n^{:.2}", (large / small).log(factor))
    });
    println!("| growth | {} |", exponents.collect::<Vec<_>>().join(" | "));
}

/// The figures of one size; without apps there is nothing to be fast with.
fn figures(fleet: &Fleet) -> [Option<f64>; 7] {
    let work = (fleet.apps() > 0).then(|| {
        let first = work::sync(fleet).seconds();
        let idle = median_of(ROUNDS, || work::sync(fleet).seconds());
        let image = median_of(ROUNDS, || {
            fleet.next_image();
            work::sync(fleet).seconds()
        });
        (
            first,
            idle,
            image,
            median_of(ROUNDS, || work::diff(fleet, 0).seconds()),
        )
    });
    let (rest, most, tag) = daemon::start_and_follow(fleet);
    [
        work.map(|work| work.0),
        work.map(|work| work.1),
        work.map(|work| work.2),
        work.map(|work| work.3),
        work.map(|_| tag),
        Some(rest),
        Some(most),
    ]
}
