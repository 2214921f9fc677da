//! Work: what people do by hand, by gitsync and by kubectl in turn.

use crate::cost::{Cost, measure, row};
use crate::fleet::{self, Fleet};
use crate::harness::output::Output;

/// Runs of each program; the median is shown.
const ROUNDS: usize = 3;

const KUBECTL_APPLY: &str = "`kubectl apply --server-side`";
const KUBECTL_DIFF: &str = "`kubectl diff --server-side`";

/// The first apply of everything, by both programs in turn, each into an empty cluster.
pub fn first_apply(fleet: &Fleet) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fleet.empty();
        fleet.kubectl(&["create", "namespace", fleet::NAMESPACE]).ok();
        theirs.push(kubectl_apply(fleet));
        fleet.empty();
        ours.push(sync(fleet));
    }
    row("first apply", KUBECTL_APPLY, &theirs);
    row("first apply, until healthy", "`gitsync sync`", &ours);
}

/// Cold previews of what is applied: nothing differs, one object does, and all do.
pub fn diffs(fleet: &Fleet) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(kubectl_diff(fleet));
        ours.push(diff(fleet, 0));
    }
    row("diff, nothing changed", KUBECTL_DIFF, &theirs);
    row("diff, nothing changed", "`gitsync diff`", &ours);
    fleet.edit("app-0001", "edited by hand");
    ours = (0..ROUNDS).map(|_| diff(fleet, 1)).collect();
    row("diff, one changed", "`gitsync diff`", &ours);
    sync(fleet);
    fleet.annotate();
    fleet.write_rendered();
    (ours, theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(kubectl_diff(fleet));
        ours.push(diff(fleet, 1));
    }
    row("diff, all changed", KUBECTL_DIFF, &theirs);
    row("diff, all changed", "`gitsync diff`", &ours);
    fleet.forget_annotation();
    fleet.write_rendered();
}

/// Applies of what is there already: nothing changed, one image did, and 100 objects are gone.
pub fn syncs(fleet: &Fleet) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(sync(fleet));
        theirs.push(kubectl_apply(fleet));
    }
    row("apply, nothing to do", KUBECTL_APPLY, &theirs);
    row("apply, nothing to do", "`gitsync sync`", &ours);
    (ours, theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fleet.next_image();
        ours.push(sync(fleet));
        fleet.next_image();
        fleet.write_rendered();
        theirs.push(kubectl_apply(fleet));
    }
    row("apply, one image changed", KUBECTL_APPLY, &theirs);
    row("apply, one image changed", "`gitsync sync`", &ours);
    prunes(fleet);
}

/// Twenty apps of five objects go. kubectl finds them by its set of applied objects, and gitsync by its record.
fn prunes(fleet: &Fleet) {
    if fleet.apps() < 60 {
        return println!("| prune | | too few apps | | |");
    }
    fleet.empty();
    fleet.kubectl(&["create", "namespace", fleet::NAMESPACE]).ok();
    fleet.kubectl_with_set().ok();
    fleet.drop_apps();
    let theirs = measure(fleet, "kubectl", || drop(fleet.kubectl_with_set().ok()));
    fleet.restore_apps();
    fleet.empty();
    sync(fleet);
    fleet.drop_apps();
    let ours = sync(fleet);
    fleet.restore_apps();
    row(
        "prune of 100",
        "`kubectl apply --server-side --prune --applyset`",
        &[theirs],
    );
    row("prune of 100", "`gitsync sync`", &[ours]);
    sync(fleet);
}

fn kubectl_apply(fleet: &Fleet) -> Cost {
    measure(fleet, "kubectl", || {
        // After gitsync, fields are gitsync's; kubectl is told to take them, as gitsync always does.
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            &fleet.rendered(),
        ];
        drop(fleet.kubectl(&args).ok());
    })
}

fn kubectl_diff(fleet: &Fleet) -> Cost {
    measure(fleet, "kubectl", || {
        let args = [
            "diff",
            "--server-side",
            "--force-conflicts",
            "-f",
            &fleet.rendered(),
        ];
        drop(fleet.kubectl(&args));
    })
}

/// Applies the branch's tip by gitsync.
pub fn sync(fleet: &Fleet) -> Cost {
    measure(fleet, "gitsync", || {
        drop(fleet.gitsync(&["sync", "--env", fleet::NAME]).ok())
    })
}

/// Compares the branch's tip with the cluster by gitsync, which ends with that exit code.
pub fn diff(fleet: &Fleet, code: i32) -> Cost {
    measure(fleet, "gitsync", || {
        expect(&fleet.gitsync(&["diff", "--env", fleet::NAME]), code)
    })
}

fn expect(output: &Output, code: i32) {
    assert_eq!(output.code, code, "{output}");
}
