//! Format: numbers as k6 prints them. Decimals are cut off, not rounded.

use std::time::Duration;

/// Milliseconds, in the unit that leaves the fewest digits.
#[must_use]
pub fn duration(millis: f64) -> String {
    let nanos = millis * 1e6;
    match nanos {
        _ if nanos <= 0.0 => "0s".to_owned(),
        _ if nanos < 1e3 => format!("{}ns", cut(nanos)),
        _ if nanos < 1e6 => format!("{}µs", cut(nanos / 1e3)),
        _ if nanos < 1e9 => format!("{}ms", cut(nanos / 1e6)),
        _ if nanos < 60e9 => format!("{}s", cut(nanos / 1e9)),
        _ => {
            let minutes = (nanos / 60e9).floor();
            format!("{minutes}m{}s", cut((nanos - minutes * 60e9) / 1e9))
        }
    }
}

/// A share as per cent with two decimals.
#[must_use]
pub fn percent(part: u64, all: u64) -> String {
    let share = if all == 0 { 0.0 } else { part as f64 / all as f64 };
    share_text(share)
}

/// A share as per cent with two decimals.
#[must_use]
pub fn share_text(share: f64) -> String {
    format!("{:.2}%", (share * 100.0 * 100.0).trunc() / 100.0)
}

/// Bytes, in steps of 1000.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut value = bytes;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 10.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A plain number.
#[must_use]
pub fn number(value: f64) -> String {
    cut(value)
}

/// A time span as a clock of a run shows it: `05.2s`, `1m05.2s`, `1h02m03s`.
#[must_use]
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let tenths = span.subsec_millis() / 100;
    match seconds {
        0..60 => format!("{seconds:02}.{tenths}s"),
        60..3600 => format!("{}m{:02}.{tenths}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m{:02}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// At most two decimals, without trailing zeros.
fn cut(value: f64) -> String {
    let cut = (value * 100.0).trunc() / 100.0;
    let text = format!("{cut:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_k6_does() {
        for (millis, want) in [
            (0.0, "0s"),
            (0.000_5, "500ns"),
            (0.035_65, "35.65µs"),
            (0.864_29, "864.29µs"),
            (1.759, "1.75ms"),
            (600.0, "600ms"),
            (999.999, "999.99ms"),
            (1_500.0, "1.5s"),
            (61_250.0, "1m1.25s"),
        ] {
            assert_eq!(duration(millis), want);
        }
    }

    #[test]
    fn other_numbers_are_short() {
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(2, 2), "100.00%");
        assert_eq!(percent(0, 0), "0.00%");
        for (count, want) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1500.0, "1.5 kB"),
            (43_000.0, "43 kB"),
            (3.4e6, "3.4 MB"),
        ] {
            assert_eq!(bytes(count), want);
        }
        for (millis, want) in [(5_230, "05.2s"), (65_200, "1m05.2s"), (3_723_000, "1h02m03s")] {
            assert_eq!(clock(Duration::from_millis(millis)), want);
        }
    }
}
