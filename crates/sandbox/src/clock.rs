//! Clock: what the time is, and waiting for it. A test moves a manual clock by hand, so nothing sleeps.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// A source of time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<Timestamp>>),
}

// === impl Clock ===

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Self::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// The time now as an object's metadata has it, in whole seconds: `2026-01-31T09:30:00Z`.
    pub fn stamp(&self) -> String {
        stamp(self.now())
    }

    /// Moves a manual clock and wakes who waits for the time that is reached; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.send_modify(|time| *time = later(*time, by));
        }
    }

    /// Waits for a time.
    pub async fn sleep_until(&self, time: Timestamp) {
        match &self.0 {
            Source::System => {
                let wait = time.duration_since(Timestamp::now());
                tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
            }
            Source::Manual(now) => {
                // The sender lives as long as this clock does, so the wait ends with the time alone.
                let _ = now.subscribe().wait_for(|now| *now >= time).await;
            }
        }
    }

    /// Waits for a while.
    pub async fn sleep(&self, by: Duration) {
        self.sleep_until(later(self.now(), by)).await;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// A time as an object's metadata has it, in whole seconds.
pub fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_manual_clock_wakes_who_waits() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let waits = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        clock.advance(Duration::from_secs(1));
        waits.await.unwrap();
        assert_eq!(clock.stamp(), "1970-01-01T00:01:00Z");
    }
}
