//! Sequential: how sure each look at growing data has to be, so that all looks together are as sure as was asked for.

/// Points of Simpson's rule on each look: enough for a level that is right to four digits.
const POINTS: usize = 65;

/// Below so many standard deviations there is nothing to integrate.
const REACH: f64 = 6.0;

/// The level of each of `looks` looks at samples that grow by the same amount, so that a true statement is rejected at
/// any of them with probability `alpha` at most.
///
/// Looks at growing data see mostly the same data: asking `alpha / looks` of each (Bonferroni) is more than needed. This
/// is the constant boundary of Pocock (1977), found by the recursion of Armitage, McPherson and Rowe (1969) for sums of
/// independent normal increments.
#[must_use]
pub fn level(alpha: f64, looks: u32) -> f64 {
    if looks <= 1 {
        return alpha;
    }
    // Between the level of one look and that of independent ones.
    let (mut low, mut high) = (alpha / f64::from(looks), alpha);
    for _ in 0..18 {
        let middle = f64::midpoint(low, high);
        if crossed(boundary(middle), looks) > alpha {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

/// The probability that the standardised sum is above `boundary` at one of the looks.
fn crossed(boundary: f64, looks: u32) -> f64 {
    // The density of the sum after a look, where no look was above.
    let mut grid = Grid::new(boundary, 1.0);
    let mut density: Vec<f64> = grid.points().map(normal).collect();
    for look in 2..=looks {
        let next = Grid::new(boundary, f64::from(look).sqrt());
        let step = |sum: f64| {
            let before = grid.points().zip(&density);
            grid.integral(before.map(|(point, density)| density * normal(sum - point)))
        };
        density = next.points().map(step).collect();
        grid = next;
    }
    1.0 - grid.integral(density.into_iter())
}

/// The standardised value that is exceeded with probability `level`.
fn boundary(level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let tail = Grid {
            from: middle,
            width: REACH / 64.0,
        };
        if tail.integral(tail.points().map(normal)) > level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The density of the standard normal distribution.
fn normal(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

/// Places at which a function is known.
struct Grid {
    from: f64,
    width: f64,
}

impl Grid {
    /// From far below to `boundary`, both in standard deviations of `deviation`.
    fn new(boundary: f64, deviation: f64) -> Self {
        let from = -REACH * deviation;
        Self {
            from,
            width: (boundary * deviation - from) / (POINTS - 1) as f64,
        }
    }

    fn points(&self) -> impl Iterator<Item = f64> {
        (0..POINTS).map(|index| self.from + index as f64 * self.width)
    }

    /// The integral of a function with these values (Simpson's rule).
    fn integral(&self, values: impl Iterator<Item = f64>) -> f64 {
        let weighted = values.enumerate().map(|(index, value)| match index {
            0 => value,
            last if last == POINTS - 1 => value,
            odd if odd % 2 == 1 => 4.0 * value,
            _ => 2.0 * value,
        });
        weighted.sum::<f64>() * self.width / 3.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_pococks_boundaries() {
        // The constants of table 2.1 in Jennison and Turnbull (2000), for a probability of 5 % on each side.
        for (looks, constant) in [(1, 1.645), (2, 1.875), (3, 1.992), (4, 2.067), (5, 2.122)] {
            let found = boundary(level(0.05, looks));
            assert!(
                (found - constant).abs() < 0.002,
                "{looks} looks: {found}, want {constant}"
            );
        }
        for (looks, constant) in [(2, 2.178), (5, 2.413)] {
            let found = boundary(level(0.025, looks));
            assert!(
                (found - constant).abs() < 0.002,
                "{looks} looks: {found}, want {constant}"
            );
        }
    }

    #[test]
    fn more_looks_ask_more_of_each_but_less_than_independent_ones() {
        let mut before = 0.05;
        for looks in 2..=11 {
            let each = level(0.05, looks);
            assert!(each < before && each > 0.05 / f64::from(looks), "{looks}: {each}");
            before = each;
        }
    }
}
