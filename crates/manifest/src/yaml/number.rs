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
    integral(float).map_or_else(|| shortest(float), |whole| whole.to_string())
}

/// The integer that a float is when Go writes it to JSON without a point and reads it back.
pub(super) fn integral(float: f64) -> Option<Number> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if float.fract() != 0.0 || !float.is_finite() {
        return None;
    }
    if (-TWO_63..TWO_63).contains(&float) {
        #[expect(clippy::cast_possible_truncation, reason = "the range was just checked")]
        return Some(Number::from(float as i64));
    }
    if (0.0..TWO_63 * 2.0).contains(&float) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was just checked"
        )]
        return Some(Number::from(float as u64));
    }
    None
}

/// Go's `FormatFloat(f, 'g', -1, 64)`: the exponent form below 1e-4 and from 1e6 on.
pub(super) fn shortest(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return format!("{float}");
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
            (1e15, "1000000000000000"),
            (1.8446744073709552e19, "1.8446744073709552e+19"),
        ];
        for (float, text) in rows {
            assert_eq!(super::text(&Number::from_f64(float).unwrap()), text);
        }
    }
}
