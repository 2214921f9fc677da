//! A pair of clusters: `staging` and `prod` side by side, behind one kubeconfig that nobody can write.
//!
//! A pair takes seconds to start and a gigabyte to keep, so the scenarios of a test run share one: a scenario takes a
//! [`Lease`], has both clusters for itself, may use any namespace, and the next one finds them empty again. Where two
//! cores are not the limit, `GITSYNC_TEST_PAIRS=2` has as many scenarios run at a time.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::binaries;
pub use super::control_plane::ControlPlane as Cluster;
use super::control_plane::kubeconfig::{Access, Kubeconfig};
use super::state::StateDirectory;

/// A cluster as a kubeconfig has it.
pub trait Context {
    /// The name of its context.
    fn name(&self) -> &str;

    /// How an administrator reaches it.
    fn access(&self) -> Access;
}

/// Two real control planes and the way to both.
pub type ClusterPair = Pair<Cluster>;

/// Two clusters and the way to both.
pub struct Pair<C> {
    /// The cluster of the context `staging`.
    pub staging: C,
    /// The cluster of the context `prod`.
    pub prod: C,
    /// A file of mode 0400 with both contexts.
    pub kubeconfig: PathBuf,
    directory: StateDirectory,
}

/// The pairs of this process that no scenario uses, and how many there are in all.
struct Pool {
    free: Vec<ClusterPair>,
    started: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    free: Vec::new(),
    started: 0,
});
static RETURNED: Condvar = Condvar::new();

/// A pair for one scenario alone; at drop it is emptied, and the next scenario may have it.
pub struct Lease {
    pair: Option<ClusterPair>,
}

// === impl Pair ===

impl<C: Context> Pair<C> {
    /// A pair of clusters that run.
    pub fn of(staging: C, prod: C) -> Self {
        let directory = StateDirectory::create("pair");
        let pair = Self {
            kubeconfig: directory.path().join("kubeconfig.yaml"),
            staging,
            prod,
            directory,
        };
        pair.right_kubeconfig().write(&pair.kubeconfig, 0o400);
        pair
    }

    /// The contexts as they should be; the start of a kubeconfig that is wrong.
    pub fn right_kubeconfig(&self) -> Kubeconfig {
        Kubeconfig::default()
            .with("staging", self.staging.access())
            .with("prod", self.prod.access())
    }

    /// Writes another kubeconfig beside the right one, with the given permissions, and returns its path.
    pub fn write_kubeconfig(&self, name: &str, kubeconfig: &Kubeconfig, mode: u32) -> PathBuf {
        let path = self.directory.path().join(name);
        kubeconfig.write(&path, mode);
        path
    }

    /// The cluster of a context.
    ///
    /// # Panics
    ///
    /// For another name than `staging` and `prod`.
    pub fn cluster(&self, context: &str) -> &C {
        [&self.staging, &self.prod]
            .into_iter()
            .find(|cluster| cluster.name() == context)
            .unwrap_or_else(|| panic!("no cluster is called {context}"))
    }
}

// === impl ClusterPair ===

impl ClusterPair {
    /// Starts a pair.
    ///
    /// # Panics
    ///
    /// When one of the clusters does not start, with the ends of its logs.
    pub fn start() -> Self {
        // Building needs both cores: all of it comes before anything that has a deadline.
        for name in [
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kwok",
            "kubectl",
        ] {
            binaries::path(name);
        }
        let (staging, prod) = thread::scope(|scope| {
            let staging = scope.spawn(|| Cluster::start("staging"));
            let prod = scope.spawn(|| Cluster::start("prod"));
            (staging.join(), prod.join())
        });
        let staging = staging.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let prod = prod.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Self::of(staging, prod)
    }

    /// A free pair of this process, or a new one; waits while as many are in use as there may be.
    pub fn lease() -> Lease {
        let limit = std::env::var("GITSYNC_TEST_PAIRS").map_or(1, |limit| {
            limit
                .parse()
                .unwrap_or_else(|_| panic!("GITSYNC_TEST_PAIRS={limit} is not a number"))
        });
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(pair) = pool.free.pop() {
                return Lease { pair: Some(pair) };
            }
            if pool.started < limit {
                pool.started += 1;
                drop(pool);
                // From here on the place is given back, also if the start panics.
                let mut lease = Lease { pair: None };
                lease.pair = Some(Self::start());
                return lease;
            }
            pool = RETURNED.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Brings both clusters and the kubeconfig back to what they were.
    fn reset(&self) -> Result<(), String> {
        self.right_kubeconfig().write(&self.kubeconfig, 0o400);
        self.staging.reset()?;
        self.prod.reset()
    }

    /// Tells where the logs of a failed test are.
    fn report(&self) -> String {
        format!("{}{}", self.staging.report(), self.prod.report())
    }
}

// === impl Lease ===

impl Deref for Lease {
    type Target = ClusterPair;

    fn deref(&self) -> &ClusterPair {
        self.pair.as_ref().expect("because only drop takes it")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let returned = self.pair.take().and_then(|pair| {
            if thread::panicking() {
                // A scenario that failed may have left anything: its logs stay, its clusters go.
                tell(&pair.report());
                return None;
            }
            match pair.reset() {
                Ok(()) => Some(pair),
                Err(error) => {
                    tell(&format!(
                        "this pair of clusters could not be emptied and is given up: {error}"
                    ));
                    None
                }
            }
        });
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        match returned {
            Some(pair) => pool.free.push(pair),
            None => pool.started -= 1,
        }
        RETURNED.notify_one();
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner shows it with the test that failed"
)]
fn tell(text: &str) {
    eprintln!("{text}");
}
