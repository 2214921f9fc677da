//! Crash points: `kill -9` right before and right after every single write of the main loop, and SIGTERM during it. A
//! restart finishes, without a hand: one promotion, of what staging proved.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::proxy::{Side, Trigger, Write};
use crate::harness::scene::{DEADLINE, Scene};
use crate::harness::tags;
use crate::harness::wait::wait_for;

/// How many scenes run side by side.
const WORKERS: usize = 4;

/// More writes than the loop has; if it comes here, it never ends.
const MOST_WRITES: usize = 200;

#[test]
fn a_kill_before_any_write_loses_nothing() {
    assert_every_write(Side::Before);
}

#[test]
fn a_kill_after_any_write_and_before_its_answer_loses_nothing() {
    assert_every_write(Side::After);
}

#[test]
fn sigterm_at_any_write_ends_in_good_order_and_loses_nothing() {
    assert_every_write(Side::Terminate);
}

#[track_caller]
fn assert_every_write(side: Side) {
    let (next, done) = (AtomicUsize::new(1), AtomicBool::new(false));
    let killed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    assert!(at < MOST_WRITES, "the loop never comes to rest");
                    match kill_at(Write::Number(at), side) {
                        Some(write) => killed.lock().unwrap().push(write),
                        None => done.store(true, Ordering::SeqCst),
                    }
                }
            });
        }
    });
    // Two environments write side by side, in another order each time: what no number met is met by its address.
    let killed = killed.into_inner().unwrap();
    for part in [
        "/deployments/flask-app",
        "/configmaps/gitsync-staging",
        "/configmaps/gitsync-prod",
        "git-receive-pack",
    ] {
        if !killed.iter().any(|write| write.contains(part)) {
            assert!(
                kill_at(Write::To(part), side).is_some(),
                "no write to {part}: {killed:#?}"
            );
        }
    }
}

/// Kills the daemon at that write and lets another one finish; the write, or `None` when the loop has fewer.
fn kill_at(at: Write, side: Side) -> Option<String> {
    let trigger = Trigger::new(at, side);
    let scene = Scene::with_trigger(&trigger);
    let proved = scene.remote.head();
    let mut daemon = scene.daemon();
    trigger.arm(daemon.pid());
    wait_for(DEADLINE, &format!("write {at:?}, or the end of the loop"), || {
        if is_at_rest(&scene) || daemon.exit_code().is_some() {
            Ok(())
        } else {
            Err(format!("{:#?}\n{}", trigger.lines(), daemon.log()))
        }
    });
    if !trigger.has_fired() {
        return None;
    }
    match side {
        Side::Before | Side::After => daemon.kill(),
        // A second signal would end it at once.
        Side::Terminate => wait_for(DEADLINE, "the step under way ends", || match daemon.exit_code() {
            Some(0) => Ok(()),
            code => Err(format!("exit code {code:?}\n{}", daemon.log())),
        }),
    }
    let write = trigger.lines().pop().expect("because the trigger has fired");
    let daemon = scene.daemon();
    wait_for(
        DEADLINE,
        &format!("the loop ends after a kill {side:?} {write}"),
        || {
            if is_at_rest(&scene) {
                Ok(())
            } else {
                Err(daemon.log())
            }
        },
    );
    let promotions = scene.promotions();
    assert_eq!(promotions.len(), 1, "{side:?} {write}: {promotions:#?}");
    let revision = promotions[0]
        .trailers
        .iter()
        .find(|(key, _)| key == "Gitsync-Verified-Revision");
    assert_eq!(
        revision.map(|(_, value)| value.as_str()),
        Some(proved.as_str()),
        "{side:?} {write}"
    );
    Some(write)
}

/// Whether prod runs what was proved, and both environments say that they have nothing to do.
fn is_at_rest(scene: &Scene) -> bool {
    let says_synced = |environment: &str| {
        let name = format!("gitsync-{environment}");
        let record = scene.get(environment, "configmaps", "gitsync-system", &name);
        let status = record.and_then(|record| Some(record["data"]["status"].as_str()?.to_owned()));
        status.is_some_and(|status| status.contains("\"phase\":\"synced\""))
    };
    scene.running("prod") == tags::good(1)
        && scene.promotions().len() == 1
        && ["staging", "prod"].into_iter().all(says_synced)
}
