//! Accuracy: what programs say of servers whose behaviour is known, beside what the server itself saw.

use crate::server::{Behaviour, Server};
use crate::tool::Tool;

/// A server and the open-loop rate at which it is asked.
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
        name: "1 % take 2 s",
        behaviour: |number| (200, if number % 100 == 99 { 2_000 } else { 10 }),
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

/// What each program that has an open loop says of each server, beside what the server itself saw.
pub fn print(tools: &[Tool]) {
    println!(
        "\n### Accuracy, {RATE} requests per second for {SECONDS} s\n\n\
         | server | program | p(50) | p(90) | p(99) | truth p(50) | p(90) | p(99) | largest difference | exit code |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for case in &CASES {
        for tool in tools.iter().filter(|tool| tool.has_open_loop()) {
            let server = Server::start(case.behaviour);
            let figures = tool.percentiles(&server.url(), RATE, SECONDS);
            let truth = server.percentiles(tool.questions());
            let both = || figures.percentiles.iter().zip(&truth);
            let cells: Vec<String> = figures
                .percentiles
                .iter()
                .chain(&truth)
                .map(|ms| format!("{ms:.2}"))
                .collect();
            let off = both().map(|(said, is)| (said - is).abs()).fold(0.0, f64::max);
            let is_close = |(said, is): (&f64, &f64)| (said - is).abs() <= (is / 100.0).max(0.5);
            println!(
                "| {} | {} | {} | {off:.2} ms{} | {} |",
                case.name,
                tool.name(),
                cells.join(" | "),
                if both().all(is_close) { "" } else { ", too much" },
                figures.code
            );
        }
    }
}
