//! Accuracy: what programs say of servers whose behaviour is known, beside what the server itself saw.

use crate::server::{Behaviour, Server};
use crate::tool::{Figures, Tool, in_turn};

/// A server.
struct Case {
    name: &'static str,
    behaviour: Behaviour,
}

const CASES: [Case; 6] = [
    Case {
        name: "fixed 50 ms",
        behaviour: |_| (200, 50),
    },
    Case {
        name: "bimodal: 20 ms, every fifth 120 ms",
        behaviour: |number| (200, if number % 5 == 4 { 120 } else { 20 }),
    },
    Case {
        name: "every 90th takes 2 s",
        behaviour: |number| (200, if number % 90 == 89 { 2_000 } else { 10 }),
    },
    Case {
        name: "5 % answer 500",
        behaviour: |number| (if number % 20 == 19 { 500 } else { 200 }, 10),
    },
    Case {
        name: "slow start: the first 50 take 300 ms",
        behaviour: |number| (200, if number < 50 { 300 } else { 10 }),
    },
    Case {
        name: "stands still for 2 s: all that arrive wait for its end",
        behaviour: |number| {
            let until_its_end = if (400..=600).contains(&number) {
                600 - number
            } else {
                0
            };
            (200, 10 + until_its_end * 1_000 / u64::from(RATE))
        },
    },
];

/// Iterations per second, and seconds, of a run.
const RATE: u32 = 100;
const SECONDS: u32 = 10;

/// Runs of each program, in turn; the one with the median difference is shown.
const ROUNDS: usize = 3;

/// What a program said in a run, and what the server saw.
struct Run {
    figures: Figures,
    truth: [f64; 3],
}

impl Run {
    fn new(case: &Case, tool: &Tool) -> Self {
        let server = Server::start(case.behaviour);
        Self {
            figures: tool.percentiles(&server.url(), RATE, SECONDS),
            truth: server.percentiles(tool.questions()),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.figures.percentiles.into_iter().zip(self.truth)
    }

    /// The largest difference, in milliseconds.
    fn difference(&self) -> f64 {
        self.pairs()
            .map(|(said, is)| (said - is).abs())
            .fold(0.0, f64::max)
    }

    /// Whether each percentile is within 1 % or half a millisecond.
    fn is_close(&self) -> bool {
        self.pairs()
            .all(|(said, is)| (said - is).abs() <= (is / 100.0).max(0.5))
    }
}

/// What each program that has an open loop says of each server, beside what the server itself saw.
pub fn print(tools: &[Tool]) {
    println!(
        "\n### Accuracy, {RATE} requests per second for {SECONDS} s, the median of {ROUNDS} runs\n\n\
         | server | program | p(50) | p(90) | p(99) | truth p(50) | p(90) | p(99) | largest difference | min to max | exit code |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let tools: Vec<&Tool> = tools.iter().filter(|tool| tool.has_open_loop()).collect();
    for case in &CASES {
        let runs = in_turn(&tools, ROUNDS, |tool| Run::new(case, tool), Run::difference);
        for (tool, runs) in tools.iter().zip(&runs) {
            print_row(case, tool, runs);
        }
    }
}

fn print_row(case: &Case, tool: &Tool, runs: &[Run]) {
    let run = &runs[ROUNDS / 2];
    let all = run.figures.percentiles.iter().chain(&run.truth);
    let cells: Vec<String> = all.map(|millis| format!("{millis:.2}")).collect();
    println!(
        "| {} | {} | {} | {:.2} ms{} | {:.2} to {:.2} | {} |",
        case.name,
        tool.name(),
        cells.join(" | "),
        run.difference(),
        if run.is_close() { "" } else { ", too much" },
        runs[0].difference(),
        runs[ROUNDS - 1].difference(),
        run.figures.code
    );
}
