//! Runtime: what the program in an image does once it runs, which the embedding program tells.

use std::time::Duration;

/// Tells what images do. A function from the reference of an image to a [`Behaviour`] is one.
///
/// ```
/// use std::time::Duration;
/// use sandbox::{Behaviour, Runtime};
///
/// let runtime = |image: &str| match image.ends_with(":slow") {
///     true => Behaviour::serving(Duration::from_millis(700)),
///     false => Behaviour::serving(Duration::from_millis(5)),
/// };
/// assert_eq!(runtime.behaviour("shop:slow").answer.latency, Duration::from_millis(700));
/// ```
pub trait Runtime: Send + Sync {
    /// What the program in an image does. The answer has to be the same at each call.
    fn behaviour(&self, image: &str) -> Behaviour;
}

/// What the program in an image does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a behaviour does nothing by itself"]
pub struct Behaviour {
    /// What the registry says instead of giving the image.
    pub pull_error: Option<String>,
    /// How long after its start it is ready; none if never.
    pub ready_after: Option<Duration>,
    /// That it ends by itself; none if it runs until it is stopped. Where a pod does not restart its containers, a program
    /// that does not say so ends well at once.
    pub exit: Option<Exit>,
    /// How it answers a request.
    pub answer: Answer,
    /// What it writes into its log when it starts.
    pub log: Vec<String>,
}

/// The end of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// How long after its start.
    pub after: Duration,
    /// The exit code.
    pub code: u8,
    /// What it writes into its log at last.
    pub log: Vec<String>,
}

/// How a program answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The time from the request to the response.
    pub latency: Duration,
    /// The body; none for a line that names the path, the image and the pod.
    pub body: Option<String>,
}

impl<F> Runtime for F
where
    F: Fn(&str) -> Behaviour + Send + Sync,
{
    fn behaviour(&self, image: &str) -> Behaviour {
        self(image)
    }
}

// === impl Behaviour ===

impl Behaviour {
    /// Ready at once, and answers 200 after a while.
    pub fn serving(latency: Duration) -> Self {
        Self {
            pull_error: None,
            ready_after: Some(Duration::ZERO),
            exit: None,
            answer: Answer {
                status: 200,
                latency,
                body: None,
            },
            log: vec!["listening".to_owned()],
        }
    }

    /// Ready at once, and answers with an error of this status.
    pub fn failing(status: u16) -> Self {
        let mut failing = Self::serving(Duration::from_millis(5));
        failing.answer.status = status;
        failing
    }

    /// Ends with an exit code whenever it is started; these are its last words.
    pub fn crashing(code: u8, log: Vec<String>) -> Self {
        let mut crashing = Self::serving(Duration::ZERO);
        crashing.ready_after = None;
        crashing.log = Vec::new();
        crashing.exit = Some(Exit {
            after: Duration::from_millis(100),
            code,
            log,
        });
        crashing
    }

    /// Is not to be had: this is what the registry says.
    pub fn unpullable(message: impl Into<String>) -> Self {
        let mut unpullable = Self::serving(Duration::ZERO);
        unpullable.pull_error = Some(message.into());
        unpullable
    }

    /// Runs, and never gets ready.
    pub fn never_ready() -> Self {
        let mut never = Self::serving(Duration::from_millis(5));
        never.ready_after = None;
        never
    }

    /// Takes its time to get ready, and then answers 200 after a while.
    pub fn slow_start(ready_after: Duration, latency: Duration) -> Self {
        let mut slow = Self::serving(latency);
        slow.ready_after = Some(ready_after);
        slow
    }

    /// Does its work and ends well.
    pub fn completing(after: Duration, log: Vec<String>) -> Self {
        let mut completing = Self::serving(Duration::ZERO);
        completing.log = Vec::new();
        completing.exit = Some(Exit { after, code: 0, log });
        completing
    }
}

/// Every image serves within a few milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Always;

impl Runtime for Always {
    fn behaviour(&self, _: &str) -> Behaviour {
        Behaviour::serving(Duration::from_millis(5))
    }
}
