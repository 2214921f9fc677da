//! GNU time: the CPU time and memory of a process, which cannot be asked for without unsafe code.

use std::process::{Command, Output, Stdio};

/// The shell's own word `time` does not tell memory.
const TIME: &str = "/usr/bin/time";

/// CPU seconds (user and system) and the largest resident set, in MiB, of a process.
pub struct Spent {
    pub cpu: f64,
    pub peak: f64,
}

/// Runs a command to its end.
///
/// # Panics
///
/// When GNU time is missing.
pub fn run(command: &Command) -> (Output, Spent) {
    let mut timed = Command::new(TIME);
    timed
        .args(["-f", "%U %S %M"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    let output = timed.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {TIME}: {error}; install GNU time"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    let figures: Vec<f64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [user, system, kibibytes] = figures[..] else {
        panic!(
            "{TIME} tells no figures of {}: {said}",
            command.get_program().to_string_lossy()
        )
    };
    let (cpu, peak) = (user + system, kibibytes / 1024.0);
    (output, Spent { cpu, peak })
}
