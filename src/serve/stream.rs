//! Stream: one short event whenever the board changed, so that pages and programs know when to read again.

use std::time::Duration;

use futures::Stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::reconcile::hub::Hub;
use crate::report::board::Board;

/// The shortest time between two events: a burst of changes is one.
const SETTLE: Duration = Duration::from_millis(250);

/// How often there is an event while a load check runs, whose progress is no change of the board.
const CHECKING: Duration = Duration::from_secs(1);

/// How often a line is sent at the least, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Follower {
    hub: Hub,
    changes: watch::Receiver<std::sync::Arc<Board>>,
    cancel: CancellationToken,
    number: u64,
    was_checking: bool,
}

/// The events; the first one comes at once.
pub(super) fn follow(hub: Hub, cancel: CancellationToken) -> impl Stream<Item = String> {
    let mut changes = hub.changes();
    changes.mark_changed();
    let follower = Follower {
        hub,
        changes,
        cancel,
        number: 0,
        was_checking: false,
    };
    futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
}

// === impl Follower ===

impl Follower {
    async fn next(&mut self) -> Option<String> {
        let checking = self.hub.is_checking();
        // The end of a check is news too.
        let pause = if checking || self.was_checking {
            CHECKING
        } else {
            KEEP_ALIVE
        };
        let due = checking || self.was_checking;
        self.was_checking = checking;
        let changed = tokio::select! {
            () = self.cancel.cancelled() => return None,
            changed = self.changes.changed() => changed.is_ok(),
            () = tokio::time::sleep(pause) => false,
        };
        if !changed && !due {
            return Some(": still here\n\n".to_owned());
        }
        if self.number > 0 {
            tokio::time::sleep(SETTLE).await;
        }
        self.changes.mark_unchanged();
        self.number += 1;
        Some(format!("event: board\ndata: {{\"number\":{}}}\n\n", self.number))
    }
}
