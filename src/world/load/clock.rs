//! Clock: tells when iterations are due.
//!
//! The runtime's timer has ticks of a millisecond, by which every request of an arrival rate would be late. The kernel
//! wakes the thread that sends the request to the microsecond, and no other thread has a part in it.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
#[cfg(target_os = "linux")]
use tokio::io::Interest;
#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tells when iterations are due.
pub struct Clock {
    moments: Box<dyn Iterator<Item = Instant>>,
    stop: CancellationToken,
    timer: Timer,
}

// === impl Clock ===

impl Clock {
    /// A clock that tells each of `moments`, which ascend, until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// When the operating system gives no timer.
    pub fn new(
        moments: impl Iterator<Item = Instant> + 'static,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        Ok(Self {
            moments: Box::new(moments),
            stop,
            timer: Timer::new()?,
        })
    }

    /// The next moment, once it has come; `None` after the last.
    pub async fn next(&mut self) -> Option<Instant> {
        // Whoever is late hears of many moments at once, and lets the others work in between.
        tokio::task::consume_budget().await;
        let moment = self.moments.next()?;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = sleep_until(&mut self.timer, moment) => Some(moment),
        }
    }
}

/// Sleeps until `moment`; by the runtime's timer where the kernel's fails.
async fn sleep_until(timer: &mut Timer, moment: Instant) {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if timer.sleep(left).await.is_err() {
            tokio::time::sleep(left).await;
        }
    }
}

/// A timer of the kernel, in the event queue of the runtime.
#[cfg(target_os = "linux")]
struct Timer(AsyncFd<OwnedFd>);

#[cfg(target_os = "linux")]
impl Timer {
    #[expect(
        deprecated,
        reason = "it is unsound for what does not own its descriptor; an OwnedFd does"
    )]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
    }

    /// Sleeps for `time`, which is not zero: that would switch the timer off.
    async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: time.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

/// A thread that sleeps.
#[cfg(not(target_os = "linux"))]
struct Timer;

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn sleep(&mut self, time: Duration) -> io::Result<()> {
        let slept = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
        slept.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_moment_is_told_once_it_has_come() {
        let moments = [0, 3, 3, 10].map(|millis| Instant::now() + Duration::from_millis(millis));
        let mut clock = Clock::new(moments.into_iter(), CancellationToken::new()).unwrap();
        for moment in moments {
            assert_eq!(clock.next().await, Some(moment));
            assert!(Instant::now() >= moment);
        }
        assert_eq!(clock.next().await, None);
    }

    #[tokio::test]
    async fn a_stopped_clock_tells_nothing_more() {
        let (now, stop) = (Instant::now(), CancellationToken::new());
        let hours = (0..3).map(move |hour| now + Duration::from_secs(3600 * hour));
        let mut clock = Clock::new(hours, stop.clone()).unwrap();
        assert_eq!(clock.next().await, Some(now));
        let (next, ()) = tokio::join!(clock.next(), async { stop.cancel() });
        assert_eq!(next, None);
    }
}
