//! Script: a k6 script with the files that it may read, the variables that it sees and the hosts that it may reach.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::mpsc;

use super::super::target::Target;
use crate::config::load_check::TlsSpec;
use crate::config::script::ScriptPlan;
use crate::config::script::bundle::Bundle;

/// A k6 script with all that it may touch.
pub struct Script {
    /// The path of the script, as its files name it.
    pub main: String,
    /// The variables of `__ENV`.
    pub env: BTreeMap<String, String>,
    /// The hosts that it may reach.
    pub network: Network,
    /// Whom to trust over TLS.
    pub tls: TlsSpec,
    files: Box<dyn Files>,
    read: Mutex<HashMap<String, Arc<[u8]>>>,
    shared: Mutex<HashMap<String, Arc<Vec<String>>>>,
    plan: OnceLock<Arc<ScriptPlan>>,
    messages: mpsc::Sender<Message>,
    warned: Mutex<HashSet<String>>,
}

/// What a script prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `info`, `warning`, `error` or `debug`.
    pub level: String,
    /// The text.
    pub text: String,
}

/// Where a script's files are.
pub trait Files: Send + Sync {
    /// A file's bytes.
    ///
    /// # Errors
    ///
    /// Why they cannot be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// Files of this machine: whoever runs a script by hand may read what they may read.
pub struct Disk;

/// The hosts that a script may reach.
pub enum Network {
    /// All.
    Any,
    /// The target, by its origin, and other hosts that were allowed by name.
    Only {
        /// The origin of the target.
        origin: String,
        /// The target with its addresses.
        target: Box<Target>,
        /// Other hosts, as `host` or `host:port`.
        hosts: Vec<String>,
    },
}

/// The most bytes that a script may read from one file.
const LARGEST_FILE: usize = 64 << 20;

/// Different warnings that are printed.
const MOST_WARNINGS: usize = 50;

/// How much memory the JavaScript of all virtual users may take, and that of one at least and at most, in bytes.
const MEMORY: usize = 1 << 30;
const LEAST_MEMORY: usize = 8 << 20;
const MOST_MEMORY: usize = 64 << 20;

/// Messages that may wait to be shown; more are dropped.
const WAITING_MESSAGES: usize = 1024;

// === impl Script ===

impl Script {
    /// A script at `main` of `files`, and what it will print.
    #[must_use]
    pub fn new(
        main: String,
        files: Box<dyn Files>,
        env: BTreeMap<String, String>,
        network: Network,
        tls: TlsSpec,
    ) -> (Self, mpsc::Receiver<Message>) {
        let (messages, receiver) = mpsc::channel(WAITING_MESSAGES);
        let script = Self {
            main,
            env,
            network,
            tls,
            files,
            read: Mutex::default(),
            shared: Mutex::default(),
            plan: OnceLock::new(),
            messages,
            warned: Mutex::default(),
        };
        (script, receiver)
    }

    /// What the script's options mean, once they are read.
    #[must_use]
    pub fn plan(&self) -> Option<&ScriptPlan> {
        self.plan.get().map(|plan| &**plan)
    }

    /// How much memory the JavaScript of one virtual user may take, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let users = self.plan().map_or(1, |plan| plan.load.max_vus()).max(1) as usize;
        (MEMORY / users).clamp(LEAST_MEMORY, MOST_MEMORY)
    }

    /// Sets what the options mean; only the first time counts.
    pub fn set_plan(&self, plan: Arc<ScriptPlan>) {
        drop(self.plan.set(plan));
    }

    /// A file's bytes. It is read once, however many virtual users ask for it.
    ///
    /// # Errors
    ///
    /// Why they cannot be had.
    pub fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = read.get(path) {
            return Ok(Arc::clone(bytes));
        }
        let bytes = self.files.read(path)?;
        if bytes.len() > LARGEST_FILE {
            return Err(format!("{path} has more than {} MB", LARGEST_FILE >> 20));
        }
        let bytes: Arc<[u8]> = bytes.into();
        read.insert(path.to_owned(), Arc::clone(&bytes));
        Ok(bytes)
    }

    /// A file as text.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no text.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let bytes = self.read(path)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| format!("{path} is not UTF-8 text"))
    }

    /// The elements of the shared array of that name, as JSON.
    #[must_use]
    pub fn shared(&self, name: &str) -> Option<Arc<Vec<String>>> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// Makes a shared array, unless another virtual user has made it.
    pub fn share(&self, name: &str, elements: Vec<String>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(elements));
    }

    /// Prints a warning the first time that it is given.
    pub fn warn_once(&self, text: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MOST_WARNINGS && warned.insert(text.clone()) {
            drop(warned);
            self.print("warning", text);
        }
    }

    /// Prints a line; when nobody keeps up with reading, it is dropped.
    pub fn print(&self, level: &str, text: String) {
        drop(self.messages.try_send(Message {
            level: level.to_owned(),
            text,
        }));
    }
}

impl Files for Bundle {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = self.files.get(path);
        let missing =
            || format!("{path} is not among the files of the load check; name it by a literal path");
        text.map(|text| text.clone().into_bytes()).ok_or_else(missing)
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"))
    }
}
