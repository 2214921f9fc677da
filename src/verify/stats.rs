//! Statistics: percentiles of what was measured, and how far a share of a sample speaks for the whole.

/// The percentile `rank` (0 to 100) of ascending `values`, or `None` where there is nothing to take it of.
///
/// Between two values it interpolates on a straight line, at `rank / 100 · (n - 1)`: definition 7 of Hyndman and Fan
/// (1996), which k6 and numpy use. k6 answers 0 for no values, which lets `p(90)<600` hold of nothing.
#[must_use]
pub fn percentile(values: &[f64], rank: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let (below, above, fraction) = position(last, rank);
    Some(between(values[below], values[above], fraction))
}

/// The indices around a rank of `last + 1` values, and how far the rank is from the lower to the upper.
#[must_use]
pub fn position(last: usize, rank: f64) -> (usize, usize, f64) {
    let exact = (rank / 100.0).clamp(0.0, 1.0) * last as f64;
    let below = exact.floor();
    (below as usize, exact.ceil() as usize, exact - below)
}

/// The value at `fraction` of the way from `low` to `high`.
#[must_use]
pub fn between(low: f64, high: f64, fraction: f64) -> f64 {
    low + (high - low) * fraction
}

/// The probability that at most `k` of `n` trials succeed, each with probability `p`.
///
/// `k` and `n` need not be whole: samples that depend on each other count as fewer. The identity with the
/// regularised incomplete beta function, `I(1 - p; n - k, k + 1)`, carries the definition over (Abramowitz and
/// Stegun, 26.5.24).
#[must_use]
pub fn binomial_at_most(k: f64, n: f64, p: f64) -> f64 {
    if k < 0.0 {
        return 0.0;
    }
    if k >= n {
        return 1.0;
    }
    incomplete_beta(n - k, k + 1.0, 1.0 - p)
}

/// The least number of trials whose complete success shows, with `confidence`, that failures are rarer than `limit`.
#[must_use]
pub fn least_trials(limit: f64, confidence: f64) -> f64 {
    ((1.0 - confidence).ln() / (1.0 - limit).ln()).ceil()
}

/// The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun, 26.5.8) evaluated
/// with Lentz's method.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    // The fraction converges quickly on one side only; the other side follows by symmetry.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    // The number of terms grows with the square root of the larger argument: this is enough for 10^11 samples.
    const MOST_TERMS: u32 = 1_000_000;
    let bounded = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / bounded(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / bounded(1.0 + even * d);
        c = bounded(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / bounded(1.0 + odd * d);
        c = bounded(1.0 + odd / c);
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

/// The logarithm of the gamma function for positive `x`: Stirling's series, after shifting `x` to where it is exact
/// to a double.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_k6() {
        for (values, rank, want) in [
            (&[][..], 90.0, None),
            (&[7.0][..], 90.0, Some(7.0)),
            (&[1.0, 2.0], 50.0, Some(1.5)),
            (&[1.0, 2.0, 3.0, 4.0, 5.0], 90.0, Some(4.6)),
            (
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
                90.0,
                Some(9.1),
            ),
            (
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0],
                95.0,
                Some(9.549_999_999_999_999),
            ),
            (&[1.0, 2.0, 3.0], 0.0, Some(1.0)),
            (&[1.0, 2.0, 3.0], 100.0, Some(3.0)),
        ] {
            assert_eq!(percentile(values, rank), want, "p({rank}) of {values:?}");
        }
    }

    #[test]
    fn the_binomial_tail_is_exact() {
        // Sums of binomial probabilities, worked out in whole numbers.
        for (k, n, p, want) in [
            (0.0, 29.0, 0.1, 0.047_101_286_972_462_5),
            (0.0, 28.0, 0.1, 0.052_334_763_302_736_11),
            (1.0, 2.0, 0.5, 0.75),
            (5.0, 10.0, 0.5, 0.623_046_875),
            (9.0, 10.0, 0.5, 0.999_023_437_5),
            (10.0, 10.0, 0.5, 1.0),
            (-1.0, 10.0, 0.5, 0.0),
        ] {
            let found = binomial_at_most(k, n, p);
            assert!(
                (found - want).abs() < 1e-12,
                "{k} of {n} at {p}: {found}, want {want}"
            );
        }
    }

    #[test]
    fn a_share_is_proved_by_known_numbers_of_trials() {
        for (limit, trials) in [
            (0.5, 5.0),
            (0.1, 29.0),
            (0.05, 59.0),
            (0.01, 299.0),
            (0.001, 2995.0),
        ] {
            assert_eq!(least_trials(limit, 0.95), trials, "{limit}");
        }
    }

    /// The percentile by the words of its definition: the rank's weighted mean of its two neighbours.
    fn naive_percentile(values: &[f64], rank: f64) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = rank / 100.0 * (sorted.len().checked_sub(1)? as f64);
        let low = sorted[at as usize];
        let high = sorted.get(at as usize + 1).copied().unwrap_or(low);
        Some(low * (1.0 - at.fract()) + high * at.fract())
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_the_definition(
            mut values in proptest::collection::vec(0.0_f64..1e6, 0..200),
            rank in 0.0_f64..=100.0,
        ) {
            let want = naive_percentile(&values, rank);
            values.sort_by(f64::total_cmp);
            match (percentile(&values, rank), want) {
                (Some(found), Some(want)) => prop_assert!((found - want).abs() <= 1e-9 * want.max(1.0)),
                (found, want) => prop_assert_eq!(found, want),
            }
        }

        #[test]
        fn binomial_tails_agree_with_their_sum(n in 1_u32..150, share in 0.0_f64..=1.0, p in 0.001_f64..0.999) {
            let k = (f64::from(n) * share).floor() as u32;
            let mut term = (1.0 - p).powi(n as i32);
            let mut sum = term;
            for i in 0..k.min(n) {
                term *= f64::from(n - i) / f64::from(i + 1) * p / (1.0 - p);
                sum += term;
            }
            // The naive sum loses the first term to underflow where it is tiny; compare where it does not.
            prop_assume!((1.0 - p).powi(n as i32) > 1e-250);
            let found = binomial_at_most(f64::from(k), f64::from(n), p);
            prop_assert!((found - sum).abs() < 1e-8, "{} of {} at {}: {} against {}", k, n, p, found, sum);
        }
    }
}
