//! Coroutine: the stack of its own on which a virtual user's JavaScript runs.
//!
//! k6's functions are synchronous: `http.get` returns a response. So that one thread can serve many virtual users,
//! the JavaScript of each runs on its own stack and hands control back when it has to wait for something.

use std::time::Duration;

use generator::{Generator, Gn};

use super::client::{Call, Reply};
use super::engine::{self, Outcome, Step};
use super::vu::Vu;

/// What JavaScript waits for.
pub enum Ask {
    /// Answers to requests, which are sent side by side.
    Send(Vec<Call>),
    /// Time.
    Sleep(Duration),
    /// Nothing: it has worked for a while, and others may want the thread.
    Breathe,
    /// The next step; this is what became of the last one.
    Next(Outcome),
    /// Nothing any more.
    Done,
}

/// What JavaScript is told when it goes on.
pub enum Answer {
    /// Whose stack it is: the first thing that it is told.
    Begin(std::rc::Rc<Vu>),
    /// The next step.
    Do(Step),
    /// The answers, in the order of the requests.
    Replies(Vec<Reply>),
    /// Go on.
    Go,
    /// Give up: the iteration is over.
    Cancelled,
    /// There is no next step.
    End,
}

/// The size of a stack in words. Memory is only taken for the part that is used.
const STACK: usize = (1 << 20) / size_of::<usize>();

/// How much of the stack JavaScript may use, in bytes; the rest is for what it calls.
pub const JS_STACK: usize = 640 << 10;

/// A stack with JavaScript on it.
pub struct Coroutine {
    generator: Generator<'static, Answer, Ask>,
}

// === impl Coroutine ===

impl Coroutine {
    /// A stack on which nothing runs yet.
    #[must_use]
    #[expect(
        deprecated,
        reason = "the form that hands the body a scope cannot be used from inside of a JavaScript function"
    )]
    pub fn new() -> Self {
        Self {
            generator: Gn::<Answer>::new_opt(STACK, || {
                if let Some(Answer::Begin(vu)) = generator::get_yield::<Answer>() {
                    engine::serve(&vu);
                }
                Ask::Done
            }),
        }
    }

    /// Lets the JavaScript go on until it waits for something.
    pub fn go_on(&mut self, answer: Answer) -> Ask {
        if self.generator.is_done() {
            return Ask::Done;
        }
        self.generator.raw_send(Some(answer)).unwrap_or(Ask::Done)
    }
}

/// Waits, on a coroutine's stack, for what is asked for.
#[expect(deprecated, reason = "see Coroutine::new")]
pub fn wait_for(ask: Ask) -> Answer {
    generator::yield_::<Answer, Ask>(ask).unwrap_or(Answer::Cancelled)
}
