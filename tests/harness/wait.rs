//! Waiting: for a condition, with a deadline, and with a message that says what was missing.

use std::time::{Duration, Instant};

/// The pause after a failed attempt: short at first, because most waits are, and then kind to the machine.
fn pause(waited: Duration) -> Duration {
    (waited / 10).clamp(Duration::from_millis(10), Duration::from_millis(250))
}

/// Calls `attempt` until it returns `Ok`, and returns what it gave.
///
/// # Panics
///
/// After `deadline`, with `what` and the last `Err`, which should say what was seen instead.
#[track_caller]
pub fn wait_for<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(seen) if start.elapsed() >= deadline => {
                panic!("waited {deadline:?} for this in vain: {what}\nlast seen: {seen}")
            }
            Err(_) => std::thread::sleep(pause(start.elapsed())),
        }
    }
}

/// Calls `condition` until it is true.
///
/// # Panics
///
/// After `deadline`, with `what`. Use [`wait_for`] where there is something to show.
#[track_caller]
pub fn wait_until(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(deadline, what, || {
        if condition() {
            Ok(())
        } else {
            Err("the condition is still false".to_owned())
        }
    });
}
