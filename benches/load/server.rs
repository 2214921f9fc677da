//! Server: HTTP on loopback whose answers are known, and who keeps when each request came and when it was answered.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The status of request number n, and the milliseconds that it takes.
pub type Behaviour = fn(u64) -> (u16, u64);

/// A server with a thread of its own.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    count: AtomicU64,
    /// The numbers of requests and the milliseconds of their answers, where there is a pause to speak of.
    millis: Mutex<Vec<(u64, f64)>>,
}

impl Server {
    pub fn start(behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("because the machine has a thread to spare");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("because loopback has a free port");
        let address = listener.local_addr().expect("because the listener is bound");
        let seen = Arc::<Seen>::default();
        let counted = Arc::clone(&seen);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour, Arc::clone(&counted)));
            }
        });
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests that were answered.
    pub fn seen(&self) -> u64 {
        self.seen.count.load(Relaxed)
    }

    /// The 50th, 90th and 99th percentile of the time in the server, in milliseconds, without that of the first
    /// `questions`. Between two ranks it is read in proportion, as k6 does.
    pub fn percentiles(&self, questions: usize) -> [f64; 3] {
        let mut seen = self.seen.millis.lock().expect("because no holder panics").clone();
        seen.sort_by_key(|(number, _)| *number);
        let mut millis: Vec<f64> = seen.iter().skip(questions).map(|(_, millis)| *millis).collect();
        millis.sort_by(f64::total_cmp);
        [0.5, 0.9, 0.99].map(|rank| {
            let place = rank * millis.len().saturating_sub(1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            match (millis.get(below), millis.get(above)) {
                (Some(low), Some(high)) => low + (high - low) * place.fract(),
                _ => f64::NAN,
            }
        })
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, seen: Arc<Seen>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(4096);
    loop {
        buffer.clear();
        while !buffer.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let start = Instant::now();
        let number = seen.count.fetch_add(1, Relaxed);
        let (status, millis) = behaviour(number);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if millis > 0 {
            let took = start.elapsed().as_secs_f64() * 1000.0;
            let mut millis = seen.millis.lock().expect("because no holder panics");
            millis.push((number, took));
        }
    }
}
