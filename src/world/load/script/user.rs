//! User: a virtual user's JavaScript, and what it waits for.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use super::client::Client;
use super::coroutine::{Answer, Ask, Coroutine};
use super::engine::{Outcome, Step, Thrown};
use super::vu::Vu;

/// A virtual user at work.
pub struct User {
    coroutine: Coroutine,
    /// Its state.
    pub vu: Rc<Vu>,
    /// Its requests.
    pub client: Client,
}

impl User {
    /// A virtual user that has not loaded its script.
    #[must_use]
    pub fn new(vu: Rc<Vu>) -> Self {
        Self {
            coroutine: Coroutine::new(),
            client: Client::new(Rc::clone(&vu)),
            vu,
        }
    }

    /// Loads the script.
    pub async fn load(&mut self, cut: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        let begin = Answer::Begin(Rc::clone(&self.vu));
        self.serve(begin, cut).await
    }

    /// Does a step; gives up when `cut` is there first.
    pub async fn step(&mut self, step: Step, cut: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        self.serve(Answer::Do(step), cut).await
    }

    /// Ends the JavaScript.
    pub fn end(&mut self) {
        self.vu.cancelled.set(true);
        // It may be in the middle of a step; it is told to give up until it is through.
        let mut answer = Answer::End;
        while !matches!(self.coroutine.go_on(answer), Ask::Done) {
            answer = Answer::Cancelled;
        }
    }

    async fn serve(&mut self, first: Answer, mut cut: Pin<&mut impl Future<Output = ()>>) -> Outcome {
        self.vu.cancelled.set(false);
        let mut answer = first;
        loop {
            self.vu.since.set(Instant::now());
            let client = &self.client;
            answer = match self.coroutine.go_on(answer) {
                Ask::Next(outcome) => return outcome,
                Ask::Done => {
                    return Outcome::Threw(Thrown {
                        text: "the JavaScript engine ended".to_owned(),
                    });
                }
                _ if self.vu.cancelled.get() => Answer::Cancelled,
                Ask::Send(calls) => tokio::select! {
                    biased;
                    replies = client.send(calls) => Answer::Replies(replies),
                    () = cut.as_mut() => Answer::Cancelled,
                },
                Ask::Sleep(time) => tokio::select! {
                    biased;
                    () = tokio::time::sleep(time) => Answer::Go,
                    () = cut.as_mut() => Answer::Cancelled,
                },
                Ask::Breathe => tokio::select! {
                    biased;
                    () = cut.as_mut() => Answer::Cancelled,
                    () = tokio::task::yield_now() => Answer::Go,
                },
            };
            if matches!(answer, Answer::Cancelled) {
                self.vu.cancelled.set(true);
            }
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // JavaScript may not be torn off in the middle of a call.
        self.end();
    }
}
