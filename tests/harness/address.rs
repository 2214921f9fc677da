//! An address: a loopback address that nobody else uses while it is held.
//!
//! All of 127.0.0.0/8 is this machine on Linux. A cluster with an address of its own may use fixed ports on it: nothing
//! collides with another test run, and a server that stops finds its port free when it starts again, which free ports
//! of 127.0.0.1 cannot promise. A listening socket is the reservation; the kernel gives it up when the process ends.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// The port whose listening socket reserves an address; no server of the harness uses it.
const RESERVATION: u16 = 26_000;

/// A reserved loopback address.
#[derive(Debug)]
pub struct Address {
    ip: Ipv4Addr,
    _reservation: TcpListener,
}

// === impl Address ===

impl Address {
    /// Reserves an address on which `ports` are free.
    ///
    /// # Errors
    ///
    /// When a port cannot be had on any address: it needs a privilege, or a server listens there on all addresses.
    pub fn reserve(ports: &[u16]) -> io::Result<Self> {
        let mut last = None;
        for _ in 0..20 {
            let ip = random();
            match reserve(ip, ports) {
                Ok(reservation) => {
                    return Ok(Self {
                        ip,
                        _reservation: reservation,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("because there was an attempt"))
    }

    /// The address.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }
}

fn reserve(ip: Ipv4Addr, ports: &[u16]) -> io::Result<TcpListener> {
    let reservation = TcpListener::bind((ip, RESERVATION))?;
    for port in ports {
        TcpListener::bind((ip, *port))
            .map_err(|error| io::Error::new(error.kind(), format!("{ip}:{port}: {error}")))?;
    }
    Ok(reservation)
}

/// An address within 127.64.0.0/10, away from those that people and distributions use.
fn random() -> Ipv4Addr {
    // The standard library's only source of randomness: each state has keys of its own.
    let bits = RandomState::new().build_hasher().finish().to_be_bytes();
    Ipv4Addr::new(127, 64 | (bits[0] & 63), bits[1], bits[2].clamp(1, 254))
}
