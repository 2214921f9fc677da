//! Number text: the spelling of JSON numbers that Go's `%g` gives.

use serde_json::Number;

/// The text that go-yaml v2 prints for a number that came through JSON.
pub(super) fn text(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let Some(float) = number.as_f64() else {
        return number.to_string();
    };
    integral(float).map_or_else(|| shortest_float(float), |whole| whole.to_string())
}

/// The integer that a float is when Go writes it to JSON without a point and reads it back: its shortest
/// digits, filled up with zeros.
pub(super) fn integral(float: f64) -> Option<Number> {
    if float.fract() != 0.0 || !float.is_finite() || float.abs() >= 1e21 {
        return None;
    }
    let digits = format!("{float}");
    digits
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| digits.parse::<u64>().map(Number::from))
        .ok()
}

/// Go's `FormatFloat(f, 'g', -1, 64)`: the exponent form below 1e-4 and from 1e6 on.
pub fn shortest_float(float: f64) -> String {
    general(&format!("{float:e}"), || format!("{float}"))
}

/// Go's `FormatFloat(f, 'g', -1, 32)`.
pub fn shortest_float_32(float: f32) -> String {
    general(&format!("{float:e}"), || format!("{float}"))
}

fn general(scientific: &str, plain: impl FnOnce() -> String) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return plain();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_go_does() {
        let rows = [
            (1.0, "1"),
            (1.5, "1.5"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (123_456.5, "123456.5"),
            (1_234_567.5, "1.2345675e+06"),
            (1e20, "1e+20"),
            (1e300, "1e+300"),
            (-2.5, "-2.5"),
            (-0.0, "0"),
            (12_345_678_901_234_567_890.0, "12345678901234567000"),
            (1e15, "1000000000000000"),
            (18_446_744_073_709_551_616.0, "1.8446744073709552e+19"),
        ];
        for (float, text) in rows {
            assert_eq!(super::text(&Number::from_f64(float).unwrap()), text);
        }
    }
}
