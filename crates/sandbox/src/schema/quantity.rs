//! Quantity: the one way in which an amount of a resource is written, as apimachinery's `resource.Quantity` does.

/// Decimal suffixes with their powers of ten.
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
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The canonical form of a quantity; none if it is none, or is out of range.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest
        .find(|sign: char| !sign.is_ascii_digit() && sign != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.contains('.') {
        return None;
    }
    let part = part.trim_end_matches('0');
    let digits: i128 = format!("0{whole}{part}").parse().ok()?;
    let scale = -i32::try_from(part.len()).ok()?;
    let sign = if negative && digits != 0 { "-" } else { "" };
    if let Some(power) = BINARY
        .iter()
        .position(|one| *one == suffix)
        .filter(|power| *power > 0)
    {
        return binary(sign, digits, scale, power);
    }
    let (power, exponential) = match DECIMAL.iter().find(|(one, _)| *one == suffix) {
        Some((_, power)) => (*power, false),
        None => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, true),
    };
    Some(decimal(sign, digits, scale + power, exponential))
}

/// The largest multiple of three that keeps the number whole; nothing is finer than a nano.
fn decimal(sign: &str, mut digits: i128, mut power: i32, exponential: bool) -> String {
    if digits == 0 {
        return "0".to_owned();
    }
    while power < -9 {
        // A finer amount is rounded up.
        digits = (digits + 9) / 10;
        power += 1;
    }
    while digits % 10 == 0 {
        digits /= 10;
        power += 1;
    }
    while power % 3 != 0 || power > 18 && !exponential {
        digits *= 10;
        power -= 1;
    }
    if exponential {
        return if power == 0 {
            format!("{sign}{digits}")
        } else {
            format!("{sign}{digits}e{power}")
        };
    }
    let suffix = DECIMAL
        .iter()
        .find(|(_, one)| *one == power)
        .map_or("", |(suffix, _)| suffix);
    format!("{sign}{digits}{suffix}")
}

fn binary(sign: &str, digits: i128, scale: i32, mut power: usize) -> Option<String> {
    let divisor = 10_i128.checked_pow(scale.unsigned_abs())?;
    let factor = 1024_i128.checked_pow(u32::try_from(power).ok()?)?;
    let bytes = digits.checked_mul(factor)?;
    if bytes == 0 {
        return Some("0".to_owned());
    }
    if bytes % divisor != 0 {
        let thousandth = bytes.checked_mul(1000)?;
        return Some(decimal(sign, (thousandth + divisor - 1) / divisor, -3, false));
    }
    let mut amount = bytes / divisor;
    if amount < 1024 {
        return Some(decimal(sign, amount, 0, false));
    }
    power = 0;
    while amount % 1024 == 0 && power + 1 < BINARY.len() {
        amount /= 1024;
        power += 1;
    }
    Some(format!("{sign}{amount}{}", BINARY.get(power)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_form() {
        let rows = [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("0.5Gi", "512Mi"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("100k", "100k"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Mi", "0"),
            ("-1", "-1"),
            ("+2.50", "2500m"),
            ("128974848", "128974848"),
        ];
        for (text, wanted) in rows {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "a", "1x", "1.2.3", "Mi"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
