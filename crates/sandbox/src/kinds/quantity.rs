//! Quantity: an amount of a resource such as `500m` or `1.5Gi`, with the arithmetic and the canonical text of
//! `k8s.io/apimachinery/pkg/api/resource`.

use std::cmp::Ordering;

/// The largest amount that a server keeps; more is cut to it.
const LARGEST: i128 = i64::MAX as i128 * NANOS;

const NANOS: i128 = 1_000_000_000;

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

/// An amount, exact to a billionth, and the family of suffixes that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

// === impl Quantity ===

impl Quantity {
    /// Reads `0.5`, `500m`, `1Gi`, `1e3`; smaller parts than a billionth are rounded up, as a server does.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let (format, binary, decimal) = read_suffix(suffix)?;
        let nanos = scale(whole, fraction, 1024_i128.checked_pow(binary)?, decimal).min(LARGEST);
        Some(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }

    /// The text that a server gives back: `0.5` is `500m`, `1024Mi` is `1Gi`.
    pub fn canonical(&self) -> String {
        let exact = self.nanos % NANOS == 0;
        let is_binary = self.format == Format::Binary && self.nanos.abs() >= 1024 * NANOS && exact;
        if is_binary {
            let (mut number, mut power) = (self.nanos / NANOS, 0);
            while number % 1024 == 0 && power < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            let suffix = power.checked_sub(1).map_or("", |index| BINARY[index].0);
            return format!("{number}{suffix}");
        }
        let (number, exponent) = self.thousands();
        if self.format == Format::Exponent {
            return if exponent == 0 {
                number.to_string()
            } else {
                format!("{number}e{exponent}")
            };
        }
        let suffix = DECIMAL.iter().find(|(_, power)| *power == exponent);
        format!("{number}{}", suffix.map_or("", |(suffix, _)| suffix))
    }

    /// The same amount, rounded up to a thousandth, as the resources of containers are kept.
    #[must_use = "the rounded amount is given back"]
    pub fn round_to_milli(self) -> Self {
        let unit = NANOS / 1000;
        Self {
            nanos: self.nanos.div_euclid(unit) * unit
                + if self.nanos.rem_euclid(unit) > 0 { unit } else { 0 },
            ..self
        }
    }

    /// The amount in thousandths, rounded up.
    pub fn milli(&self) -> i128 {
        self.round_to_milli().nanos / (NANOS / 1000)
    }

    /// Whether it is below zero.
    pub const fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is nothing.
    pub const fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    fn thousands(&self) -> (i128, i32) {
        if self.nanos == 0 {
            return (0, 0);
        }
        let (mut number, mut exponent) = (self.nanos, -9);
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        (number, exponent)
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The family of a suffix, its power of 1024 and its power of ten.
fn read_suffix(suffix: &str) -> Option<(Format, u32, i32)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::Decimal, 0, *power));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::Binary, *power, 0));
    }
    let power = suffix.strip_prefix(['e', 'E'])?;
    power
        .parse::<i32>()
        .ok()
        .map(|power| (Format::Exponent, 0, power))
}

/// `whole.fraction × factor × 10^exponent` in billionths, rounded up.
fn scale(whole: &str, fraction: &str, factor: i128, exponent: i32) -> i128 {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let power = 9_i32.saturating_add(exponent).saturating_sub(places);
    let Some(number) = digits
        .parse::<i128>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
    else {
        return LARGEST;
    };
    if power >= 0 {
        let ten = 10_i128.checked_pow(power.unsigned_abs());
        return ten.and_then(|ten| number.checked_mul(ten)).unwrap_or(LARGEST);
    }
    match 10_i128.checked_pow(power.unsigned_abs()) {
        Some(ten) => number / ten + i128::from(number % ten != 0),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_canonical() {
        for (text, wanted) in [
            ("0.5", "500m"),
            ("500m", "500m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("0.1Gi", "107374182400m"),
            ("1000Ki", "1000Ki"),
            ("512", "512"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("100E-1", "10"),
            ("12e6", "12e6"),
            ("0", "0"),
            ("0Gi", "0"),
            ("-1.5", "-1500m"),
            ("100n", "100n"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("1500k", "1500k"),
            ("99999999999E", "9223372036854775807"),
        ] {
            let quantity = Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"));
            assert_eq!(quantity.canonical(), wanted, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "x", "1x", "1 Gi", "Gi", "1.2.3", "--1", "1gi", "1K", "."] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_compare_across_suffixes() {
        let read = |text| Quantity::parse(text).unwrap();
        assert!(read("1Gi") > read("1G"));
        assert!(read("1500m") > read("1"));
        assert_eq!(read("1.0001").milli(), 1001);
    }
}
