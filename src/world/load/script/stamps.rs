//! Stamps: when the parts of a request under way happened.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use super::super::connection::Opening;
use super::super::probe::Readings;
use crate::verify::exchange::{Protocol, Timings};

/// The stamps of a request under way. They outlive the future that sends it.
#[derive(Default)]
pub struct Stamps {
    /// When there was a connection.
    pub connected: Cell<Option<Instant>>,
    /// How long opening it took.
    pub opening: Cell<Opening>,
    /// What passes below HTTP.
    pub readings: RefCell<Option<Rc<Readings>>>,
    /// What passes on the wire.
    pub wire: RefCell<Option<Counted>>,
    /// How it is spoken.
    pub protocol: Cell<Option<Protocol>>,
    /// To whom.
    pub address: Cell<Option<SocketAddr>>,
}

/// What passes on a connection's wire, and the bytes of it that were counted before.
pub type Counted = (Rc<Readings>, (u64, u64));

impl Stamps {
    /// The times of the request, if it could be written, as of `end`.
    pub fn timings(&self, start: Instant, end: Instant) -> Timings {
        let opening = self.opening.get();
        let Some(connected) = self.connected.get() else {
            return Timings::default();
        };
        let readings = self.readings.borrow();
        let written = readings
            .as_ref()
            .and_then(|readings| readings.last_write.get())
            .unwrap_or(connected);
        let answered = readings.as_ref().and_then(|readings| readings.first_read.get());
        let answered = answered.unwrap_or(end).max(written);
        Timings {
            blocked: connected.saturating_duration_since(start),
            connecting: opening.connecting,
            tls_handshaking: opening.tls_handshaking,
            sending: written.saturating_duration_since(connected),
            waiting: answered - written,
            receiving: end.saturating_duration_since(answered),
        }
    }
}
