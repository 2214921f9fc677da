//! A browser: Chromium without a window, with a profile of its own, driven by its DevTools protocol.
//!
//! A page keeps what it complained about (console, exceptions, content security policy) and every address that it asked,
//! so that a test can say that there was nothing.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::SplitSink;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::process::{Process, guarded};
use super::runtime::{block_on, runtime};
use super::state::StateDirectory;
use super::wait::wait_for;

/// How long the browser may take for anything; machines are shared and slow.
const DEADLINE: Duration = Duration::from_secs(90);

/// A Chromium that runs; it ends at drop.
pub struct Browser {
    wire: Arc<Wire>,
    _process: Process,
    _profile: StateDirectory,
}

/// A page of its own, with cookies of its own.
pub struct Page {
    wire: Arc<Wire>,
    session: String,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Whether the person prefers dark colours.
    pub dark: bool,
}

/// The connection: commands and what they answered, events in their order.
struct Wire {
    sink: tokio::sync::Mutex<SplitSink<WebSocketStream<TcpStream>, Message>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
    number: AtomicU64,
}

// === impl Browser ===

impl Browser {
    /// Starts the Chromium of this machine.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn start() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .flat_map(|dir| ["chromium", "chromium-browser", "google-chrome"].map(|name| dir.join(name)))
            .find(|program| program.is_file())
            .expect("Chromium; install it with: apt-get install chromium");
        let profile = StateDirectory::create("browser");
        let log = profile.log("chromium");
        let mut command = guarded(program, &log);
        command
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let process = Process::start("chromium", &log, command);
        let told = profile.path().join("DevToolsActivePort");
        let (port, place) = wait_for(DEADLINE, "Chromium says where it listens", || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            let mut lines = text.lines();
            let port = lines.next().and_then(|port| port.parse::<u16>().ok());
            let place = lines.next().map(str::to_owned);
            port.zip(place).ok_or_else(|| process.log())
        });
        Self {
            wire: block_on(Wire::connect(port, &place)),
            _process: process,
            _profile: profile,
        }
    }

    /// A new page that has seen nothing.
    pub fn page(&self) -> Page {
        let ask = |method: &str, params: Value| self.wire.ask(None, method, params);
        let context = ask("Target.createBrowserContext", json!({}));
        let context = &context["browserContextId"];
        let target = ask(
            "Target.createTarget",
            json!({"url": "about:blank", "browserContextId": context}),
        );
        let attached = ask(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        let page = Page {
            wire: Arc::clone(&self.wire),
            session: attached["sessionId"].as_str().unwrap().to_owned(),
        };
        for domain in ["Page", "Runtime", "Log", "Network", "Audits"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page
    }
}

// === impl Page ===

impl Page {
    /// Opens an address and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        let before = self.count("Page.loadEventFired");
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(answer.get("errorText"), None, "{url}: {answer}");
        self.loaded(before);
    }

    /// Does something that leads to another page, and waits until that is loaded.
    #[track_caller]
    pub fn follow(&self, script: &str) {
        let before = self.count("Page.loadEventFired");
        self.run(script);
        self.loaded(before);
    }

    #[track_caller]
    fn loaded(&self, before: usize) {
        wait_for(DEADLINE, "the page is loaded", || {
            if self.count("Page.loadEventFired") > before {
                Ok(())
            } else {
                Err("it still loads".to_owned())
            }
        });
    }

    /// Runs a script in the page, and gives its value.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let answer = self.ask("Runtime.evaluate", params);
        assert_eq!(answer.get("exceptionDetails"), None, "{script}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page; whatever it is then comes back.
    #[track_caller]
    pub fn wait_until(&self, expression: &str) {
        wait_for(DEADLINE, expression, || {
            if self.run(&format!("!!({expression})")) == true {
                Ok(())
            } else {
                Err(self.text())
            }
        });
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        let text = self.run("document.body ? document.body.innerText : ''");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Types into a field, as a person does.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        self.run(&format!("document.querySelector({selector:?}).focus()"));
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, "\t"),
            "Enter" => (13, "\r"),
            other => panic!("no code for {other}"),
        };
        let event =
            json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        self.ask("Input.dispatchKeyEvent", event);
        let event = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.ask("Input.dispatchKeyEvent", event);
    }

    /// Looks at the page in a window of that size, in light or dark.
    pub fn look(&self, look: Look) {
        let metrics =
            json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Whether scripts of pages run.
    pub fn scripts(&self, run: bool) {
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    /// A picture of what is seen, or of the whole page.
    pub fn picture(&self, file: &Path, whole: bool) {
        let params = json!({"format": "png", "captureBeyondViewport": whole});
        let answer = self.ask("Page.captureScreenshot", params);
        let bytes = base64_decode(answer["data"].as_str().unwrap());
        std::fs::write(file, bytes).unwrap();
    }

    /// The nodes as a screen reader has them.
    pub fn accessibility(&self) -> Vec<Value> {
        let tree = self.ask("Accessibility.getFullAXTree", json!({}));
        tree["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// Everything that went wrong so far: errors and warnings of the console, exceptions, violations of the policy.
    pub fn complaints(&self) -> Vec<String> {
        let is_bad = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Audits.issueAdded") => true,
            Some("Runtime.consoleAPICalled") => {
                matches!(
                    event["params"]["type"].as_str(),
                    Some("error" | "warning" | "assert")
                )
            }
            Some("Log.entryAdded") => {
                matches!(
                    event["params"]["entry"]["level"].as_str(),
                    Some("error" | "warning")
                )
            }
            _ => false,
        };
        self.events()
            .iter()
            .filter(is_bad)
            .map(ToString::to_string)
            .collect()
    }

    /// Every address that was asked so far.
    pub fn asked(&self) -> Vec<String> {
        let events = self.events();
        let requests = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .filter_map(|event| event["params"]["request"]["url"].as_str())
            .map(str::to_owned)
            .collect()
    }

    fn events(&self) -> Vec<Value> {
        let is_own = |event: &&Value| event["sessionId"] == self.session;
        lock(&self.wire.events).iter().filter(is_own).cloned().collect()
    }

    fn count(&self, method: &str) -> usize {
        let events = self.events();
        events.iter().filter(|event| event["method"] == method).count()
    }

    #[track_caller]
    fn ask(&self, method: &str, params: Value) -> Value {
        self.wire.ask(Some(&self.session), method, params)
    }
}

// === impl Wire ===

impl Wire {
    async fn connect(port: u16, place: &str) -> Arc<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let url = format!("ws://127.0.0.1:{port}{place}");
        let (stream, _) = tokio_tungstenite::client_async(url, socket).await.unwrap();
        let (sink, mut incoming) = stream.split();
        let wire = Arc::new(Self {
            sink: tokio::sync::Mutex::new(sink),
            waiting: Mutex::default(),
            events: Mutex::default(),
            number: AtomicU64::new(0),
        });
        let reader = Arc::clone(&wire);
        runtime().spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let Ok(text) = message.into_text() else { continue };
                let Ok(value) = serde_json::from_str::<Value>(&text) else {
                    continue;
                };
                match value["id"].as_u64() {
                    Some(number) => {
                        if let Some(waiting) = lock(&reader.waiting).remove(&number) {
                            drop(waiting.send(value));
                        }
                    }
                    None => lock(&reader.events).push(value),
                }
            }
        });
        wire
    }

    #[track_caller]
    fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let mut command = json!({"id": number, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let answer = block_on(async {
            let message = Message::text(command.to_string());
            self.sink.lock().await.send(message).await.unwrap();
            tokio::time::timeout(DEADLINE, answer).await
        });
        let answer = answer
            .unwrap_or_else(|_| panic!("no answer to {method}"))
            .unwrap();
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].clone()
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
