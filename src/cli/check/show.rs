//! Show: a run as it goes, on a terminal and in a log.

use std::time::Duration as Span;

use tokio::sync::{mpsc, watch};

use super::super::script;
use super::super::ui::Ui;
use crate::report::load_check::progress;
use crate::verify::progress::Progress;
use crate::world::load::script::source::Message;

/// How often progress is shown on a terminal, and in a log.
const LIVE: Span = Span::from_millis(100);
const LOG: Span = Span::from_secs(1);

/// Shows where a run stands, and what its script prints, until it is over.
pub(in crate::cli) async fn show<T>(
    ui: &mut Ui,
    origin: &str,
    receiver: watch::Receiver<Progress>,
    messages: &mut mpsc::Receiver<Message>,
    running: impl Future<Output = T>,
) -> T {
    let mut tick = tokio::time::interval(if ui.is_live() { LIVE } else { LOG });
    let mut meter = Meter::default();
    let mut waiting = Waiting { ticks: 0 };
    let mut running = std::pin::pin!(running);
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            Some(message) = messages.recv() => script::tell(ui, &message),
            _ = tick.tick() => {
                let now = receiver.borrow().clone();
                if now.elapsed.is_zero() {
                    waiting.tell(ui, origin);
                    continue;
                }
                let rate = meter.rate(&now);
                if ui.is_live() {
                    let line = progress::live_line(&now, rate, ui.width());
                    ui.live(&line);
                } else {
                    ui.story(&progress::plain_line(&now));
                }
            }
        }
    };
    ui.clear();
    let last = receiver.borrow().clone();
    if !last.elapsed.is_zero() {
        ui.story(&progress::plain_line(&last));
        last.scenarios
            .iter()
            .for_each(|scenario| ui.story(&progress::scenario_line(scenario)));
    }
    result
}

/// The wait for the target's first answer.
struct Waiting {
    ticks: u32,
}

impl Waiting {
    /// Says once that there is a wait, when there is one worth a word.
    fn tell(&mut self, ui: &mut Ui, origin: &str) {
        let line = format!("waiting until {origin} answers");
        self.ticks += 1;
        match (ui.is_live(), self.ticks) {
            (true, 5..) => ui.live(&line),
            (false, 2) => ui.story(&line),
            _ => {}
        }
    }
}

/// Requests per second of late.
#[derive(Default)]
struct Meter {
    since: (Span, u64),
    rate: f64,
}

impl Meter {
    fn rate(&mut self, now: &Progress) -> f64 {
        let (then, before) = self.since;
        // A repetition counts from nothing again.
        if now.elapsed < then {
            *self = Self::default();
            return self.rate(now);
        }
        let rate = now.requests.saturating_sub(before) as f64 / (now.elapsed - then).as_secs_f64();
        let first = then.is_zero();
        if now.elapsed >= then + Span::from_secs(1) {
            (self.since, self.rate) = ((now.elapsed, now.requests), rate);
        } else if first {
            self.rate = rate;
        }
        self.rate
    }
}
