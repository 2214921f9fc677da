//! Memory: what a running process has resident.

/// A line of the status of a process, such as `VmRSS`, in MiB.
///
/// # Panics
///
/// When there is no such process, or no such line.
pub fn resident(process: u32, line: &str) -> f64 {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let found = status
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib: Option<f64> = found.and_then(|text| text.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_else(|| panic!("{path} has no {line}")) / 1024.0
}
