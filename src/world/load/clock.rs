//! Clock: a thread that tells when iterations are due.
//!
//! The runtime's timer has ticks of a millisecond, by which every request of an arrival rate would be late. A thread
//! that sleeps is late by some fifty microseconds, and costs nothing in between.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A thread that tells when iterations are due. Dropping it ends the thread.
pub struct Clock {
    due: mpsc::Receiver<Instant>,
    thread: Option<JoinHandle<()>>,
}

/// How long the thread sleeps before it looks whether it is still wanted.
const NAP: Duration = Duration::from_millis(20);

/// How many moments may wait to be heard; the thread waits with the next ones then, which stay due when they were.
const UNHEARD: usize = 4096;

// === impl Clock ===

impl Clock {
    /// Tells each of `moments`, which ascend, until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// When the thread cannot start.
    pub fn start(
        moments: impl Iterator<Item = Instant> + Send + 'static,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let (sender, due) = mpsc::channel(UNHEARD);
        let thread = std::thread::Builder::new()
            .name("load-clock".to_owned())
            .spawn(move || {
                for moment in moments {
                    if !sleep_to(moment, &stop, &sender) || sender.blocking_send(moment).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            due,
            thread: Some(thread),
        })
    }

    /// The next moment, once it has come; `None` after the last.
    pub async fn next(&mut self) -> Option<Instant> {
        self.due.recv().await
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.due.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has ended the schedule already, which the samples show.
            let _ = thread.join();
        }
    }
}

/// Sleeps until `moment`; tells whether anybody still wants to know.
fn sleep_to(moment: Instant, stop: &CancellationToken, listener: &mpsc::Sender<Instant>) -> bool {
    loop {
        if stop.is_cancelled() || listener.is_closed() {
            return false;
        }
        match moment.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(NAP)),
            _ => return true,
        }
    }
}
