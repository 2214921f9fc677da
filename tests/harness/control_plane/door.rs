//! The door: where everybody but the cluster's own programs reaches the API server, and which can be shut.
//!
//! It copies bytes between its callers and the API server. A shut door refuses connections and cuts those that are
//! open, as a stopped API server does; a stalled one takes them and stays silent, as a firewall or a lost node does.
//! The controllers behind it notice nothing, so a cluster is whole again the moment its door opens.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::ports;
use crate::harness::runtime::{block_on, runtime};

/// How long the door's port may be held by a program that is being started.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the door does with its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Lets them through.
    Open,
    /// Refuses them, and cuts those that were through.
    Shut,
    /// Takes them and says nothing; those that were through hear nothing more.
    Stalled,
}

/// A door in front of an API server.
#[derive(Debug)]
pub struct Door {
    state: watch::Sender<State>,
    /// The last state that the door has taken on.
    taken: watch::Receiver<Option<State>>,
    task: JoinHandle<()>,
}

// === impl Door ===

impl Door {
    /// An open door.
    pub fn open(ip: Ipv4Addr) -> Self {
        let (state, wanted) = watch::channel(State::Open);
        let (take, taken) = watch::channel(None);
        let task = runtime().spawn(attend(ip, wanted, take));
        let door = Self { state, taken, task };
        door.set(State::Open);
        door
    }

    /// Changes what the door does, and returns when it does so.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
        let mut taken = self.taken.clone();
        block_on(taken.wait_for(|taken| *taken == Some(state)))
            .expect("because the door lives as long as its task");
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn attend(ip: Ipv4Addr, mut wanted: watch::Receiver<State>, take: watch::Sender<Option<State>>) {
    let door = SocketAddr::from((ip, ports::DOOR));
    let server = SocketAddr::from((ip, ports::APISERVER));
    let stalled = Arc::new(watch::Sender::new(false));
    let mut callers = JoinSet::new();
    loop {
        let state = *wanted.borrow_and_update();
        stalled.send_replace(state == State::Stalled);
        if state == State::Shut {
            // Connections are cut when their tasks go; the listener is none of this state.
            callers.shutdown().await;
            take.send_replace(Some(state));
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let listener = listen(door).await;
        take.send_replace(Some(state));
        loop {
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Ok((caller, _)) = listener.accept() => {
                    callers.spawn(pass(caller, server, stalled.subscribe()));
                }
                Some(_) = callers.join_next(), if !callers.is_empty() => {}
            }
        }
    }
}

/// Listens at the door. A program that is just being started holds a copy of the last listener for a moment.
async fn listen(door: SocketAddr) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind(door).await {
            Ok(listener) => return listener,
            Err(error) if start.elapsed() < PATIENCE => {
                assert_eq!(error.kind(), ErrorKind::AddrInUse, "{door}: {error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{door}, which is reserved with the address: {error}"),
        }
    }
}

/// Copies until one side ends. While the door is stalled, nothing is read, and so nothing goes either way.
async fn pass(mut caller: TcpStream, server: SocketAddr, mut stalled: watch::Receiver<bool>) {
    let mut upstream = None;
    loop {
        if *stalled.borrow_and_update() {
            if stalled.changed().await.is_err() {
                return;
            }
            continue;
        }
        let connected = match &mut upstream {
            Some(connected) => connected,
            none => match TcpStream::connect(server).await {
                Ok(connected) => none.insert(connected),
                Err(_) => return,
            },
        };
        tokio::select! {
            _ = copy_bidirectional(&mut caller, connected) => return,
            changed = stalled.changed() => if changed.is_err() { return },
        }
    }
}
