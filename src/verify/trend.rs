//! Trend: the distribution of a measured number. Exact while it is small, and of bounded memory when it is not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::stats;

/// Values, in any unit; durations are in milliseconds.
///
/// Up to [`Trend::EXACT`] values are kept as they are. Beyond that they are counted in buckets that are 1/2048 of
/// an octave wide, so that a percentile is wrong by at most 0.025 %, and memory no longer grows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Trend {
    /// Values that are exactly zero: reused connections have many.
    zeros: u64,
    /// The others.
    values: Values,
    count: u64,
    sum: f64,
    range: Option<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// In pieces, each full but the last: one that grows would leave behind what it outgrew.
    Kept(Vec<Vec<f64>>),
    Counted(Buckets),
}

/// How many values are in each bucket. Neighbours lie side by side, in pieces of 1/32 of an octave: most of a run's values
/// fill few of these, and the others lie far apart.
#[derive(Debug, Clone, Default, PartialEq)]
struct Buckets(BTreeMap<u32, Box<[u64]>>);

/// What a summary says of a trend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendSummary {
    /// The mean.
    pub avg: f64,
    /// The smallest.
    pub min: f64,
    /// The median.
    pub med: f64,
    /// The largest.
    pub max: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
}

/// How many low bits of a double are dropped to name its bucket: 52 of the mantissa, less 11 that stay.
const DROPPED_BITS: u32 = 41;
/// The low bits of a bucket's name that tell its place in the piece.
const PIECE_BITS: u32 = 6;
/// How many values that are kept lie side by side.
const PIECE: usize = 512;

// === impl Trend ===

impl Trend {
    /// Values that are kept exactly.
    pub const EXACT: usize = 1 << 13;

    /// No values, none of which will be kept as it is.
    #[must_use]
    pub fn counting() -> Self {
        Self {
            values: Values::Counted(Buckets::default()),
            ..Self::default()
        }
    }

    /// Adds a value. What is not a finite number is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.note(value, value, value, 1);
        if value == 0.0 {
            self.zeros += 1;
        } else {
            self.values.add(value);
        }
    }

    /// Adds everything that `other` has.
    pub fn merge(&mut self, other: &Self) {
        let Some((min, max)) = other.range else { return };
        self.note(other.sum, min, max, other.count);
        self.zeros += other.zeros;
        self.values.merge(&other.values);
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean, if there is a value.
    #[must_use]
    pub fn avg(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// The smallest value.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.range.map(|(min, _)| min)
    }

    /// The largest value.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.range.map(|(_, max)| max)
    }

    /// The percentile `rank` (0 to 100), if there is a value.
    #[must_use]
    pub fn percentile(&self, rank: f64) -> Option<f64> {
        self.percentiles([rank]).map(|[value]| value)
    }

    /// The percentiles of several ranks (0 to 100), if there is a value.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, ranks: [f64; N]) -> Option<[f64; N]> {
        let last = usize::try_from(self.count.checked_sub(1)?).unwrap_or(usize::MAX);
        let places = ranks.map(|rank| stats::position(last, rank));
        let mut found = [(None, None); N];
        let mut seen = 0;
        for (value, count) in self.ascending() {
            seen += count;
            for ((below, above, _), (low, high)) in places.iter().zip(&mut found) {
                if seen > *below as u64 {
                    low.get_or_insert(value);
                }
                if seen > *above as u64 {
                    high.get_or_insert(value);
                }
            }
        }
        let mut values = [0.0; N];
        for ((value, (_, _, fraction)), (low, high)) in values.iter_mut().zip(places).zip(found) {
            *value = stats::between(low?, high?, fraction);
        }
        Some(values)
    }

    /// The values in ascending order, each with how often it was seen; beyond [`Trend::EXACT`] the middles of buckets.
    pub fn ascending(&self) -> impl Iterator<Item = (f64, u64)> {
        let (min, max) = self.range.unwrap_or_default();
        let (negative, positive) = self.values.ascending();
        let zeros = (self.zeros > 0).then_some((0.0, self.zeros));
        let all = negative.chain(zeros).chain(positive);
        // A bucket's middle can lie outside of what was seen.
        all.map(move |(value, count)| (value.clamp(min, max), count))
    }

    /// What a summary says of it, if there is a value.
    #[must_use]
    pub fn summary(&self) -> Option<TrendSummary> {
        let [med, p90, p95] = self.percentiles([50.0, 90.0, 95.0])?;
        Some(TrendSummary {
            avg: self.avg()?,
            min: self.min()?,
            med,
            max: self.max()?,
            p90,
            p95,
        })
    }

    fn note(&mut self, sum: f64, min: f64, max: f64, count: u64) {
        self.count += count;
        self.sum += sum;
        self.range = Some(
            self.range
                .map_or((min, max), |(low, high)| (low.min(min), high.max(max))),
        );
    }
}

// === impl Values ===

impl Default for Values {
    fn default() -> Self {
        Self::Kept(Vec::new())
    }
}

impl Values {
    fn add(&mut self, value: f64) {
        match self {
            Self::Counted(buckets) => buckets.add(bucket(value), 1),
            Self::Kept(pieces) if kept(pieces) < Trend::EXACT => keep(pieces, value),
            Self::Kept(_) => self.counted().add(bucket(value), 1),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Kept(pieces), Self::Kept(others)) if kept(pieces) + kept(others) <= Trend::EXACT => {
                others.iter().flatten().for_each(|value| keep(pieces, *value));
            }
            (values, Self::Kept(others)) => values.counted().add_all(others),
            (values, Self::Counted(others)) => {
                let buckets = values.counted();
                others
                    .iter()
                    .for_each(|(bucket, count)| buckets.add(bucket, count));
            }
        }
    }

    /// Goes over to buckets, and stays there.
    fn counted(&mut self) -> &mut Buckets {
        if let Self::Kept(pieces) = self {
            let mut buckets = Buckets::default();
            buckets.add_all(pieces);
            *self = Self::Counted(buckets);
        }
        match self {
            Self::Counted(buckets) => buckets,
            Self::Kept(_) => unreachable!("because they were counted just now"),
        }
    }

    /// The negative values, and the positive ones.
    fn ascending(&self) -> (impl Iterator<Item = (f64, u64)>, impl Iterator<Item = (f64, u64)>) {
        let (mut kept, counted) = match self {
            Self::Kept(pieces) => (pieces.concat(), None),
            Self::Counted(buckets) => (Vec::new(), Some(buckets)),
        };
        kept.sort_unstable_by(f64::total_cmp);
        let positive = kept.split_off(kept.partition_point(|value| *value < 0.0));
        let once = |value| (value, 1);
        let middles = || {
            let buckets = counted.into_iter().flat_map(Buckets::iter);
            buckets.map(|(bucket, count)| (middle(bucket), count))
        };
        let is_negative = |(value, _): &(f64, u64)| *value < 0.0;
        (
            kept.into_iter()
                .map(once)
                .chain(middles().take_while(is_negative)),
            positive
                .into_iter()
                .map(once)
                .chain(middles().skip_while(is_negative)),
        )
    }
}

/// How many values the pieces have.
fn kept(pieces: &[Vec<f64>]) -> usize {
    let last = pieces.last().map_or(0, Vec::len);
    pieces.len().saturating_sub(1) * PIECE + last
}

fn keep(pieces: &mut Vec<Vec<f64>>, value: f64) {
    match pieces.last_mut() {
        Some(piece) if piece.len() < PIECE => piece.push(value),
        _ => pieces.push(vec![value]),
    }
}

// === impl Buckets ===

impl Buckets {
    fn add(&mut self, bucket: u32, count: u64) {
        let piece = self.0.entry(bucket >> PIECE_BITS);
        let counts = piece.or_insert_with(|| vec![0; 1 << PIECE_BITS].into());
        let place = &mut counts[bucket as usize % (1 << PIECE_BITS)];
        *place = place.saturating_add(count);
    }

    fn add_all(&mut self, pieces: &[Vec<f64>]) {
        let values = pieces.iter().flatten();
        values.for_each(|value| self.add(bucket(*value), 1));
    }

    /// The buckets that hold values, in the order of these.
    fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        let pieces = self.0.iter();
        pieces
            .flat_map(|(piece, counts)| (piece << PIECE_BITS..).zip(counts.iter().copied()))
            .filter(|(_, count)| *count > 0)
    }
}

/// The bucket of a value, so that buckets stand in the order of their values: the upper bits of a double, with
/// negative numbers turned round.
fn bucket(value: f64) -> u32 {
    let bits = value.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (ordered >> DROPPED_BITS) as u32
}

/// The value in the middle of a bucket.
fn middle(bucket: u32) -> f64 {
    let ordered = u64::from(bucket) << DROPPED_BITS | 1 << (DROPPED_BITS - 1);
    f64::from_bits(if ordered >> 63 == 1 {
        ordered & !(1 << 63)
    } else {
        !ordered
    })
}

// === on the wire ===

/// Every number in the bytes of its own type (little-endian), as base64: what is read is to the last bit what was
/// written, which decimal digits would not promise.
impl From<Trend> for String {
    fn from(trend: Trend) -> Self {
        let Trend {
            zeros,
            values,
            count,
            sum,
            range,
        } = trend;
        let (min, max) = range.unwrap_or((f64::NAN, f64::NAN));
        let (kept, counted) = match values {
            Values::Kept(pieces) => (pieces.concat(), Buckets::default()),
            Values::Counted(buckets) => (Vec::new(), buckets),
        };
        let mut bytes = Vec::with_capacity(48 + 8 * kept.len() + 12 * counted.iter().count());
        for number in [zeros, count, kept.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [sum, min, max].into_iter().chain(kept) {
            bytes.extend(number.to_le_bytes());
        }
        for (bucket, count) in counted.iter() {
            bytes.extend(bucket.to_le_bytes());
            bytes.extend(count.to_le_bytes());
        }
        BASE64.encode(bytes)
    }
}

impl TryFrom<String> for Trend {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(text).map_err(|_| "a trend is not base64")?;
        Self::from_bytes(&bytes).ok_or("a trend breaks off")
    }
}

impl Trend {
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let [zeros, count, kept] = read::<3, 8>(&mut bytes)?.map(u64::from_le_bytes);
        let [sum, min, max] = read::<3, 8>(&mut bytes)?.map(f64::from_le_bytes);
        let (kept, mut rest) = bytes.split_at_checked(usize::try_from(kept).ok()?.checked_mul(8)?)?;
        let value = |bytes: &[u8]| Some(f64::from_le_bytes(bytes.try_into().ok()?));
        let kept = kept.chunks(8).map(value).collect::<Option<Vec<f64>>>()?;
        let mut values = Values::Kept(kept.chunks(PIECE).map(<[f64]>::to_vec).collect());
        while !rest.is_empty() {
            let [bucket] = read::<1, 4>(&mut rest)?.map(u32::from_le_bytes);
            let [count] = read::<1, 8>(&mut rest)?.map(u64::from_le_bytes);
            (bucket >> (u64::BITS - DROPPED_BITS) == 0).then(|| values.counted().add(bucket, count))?;
        }
        Some(Self {
            zeros,
            values,
            count,
            sum,
            range: (!min.is_nan()).then_some((min, max)),
        })
    }
}

/// The next `N` numbers of `WIDTH` bytes.
fn read<const N: usize, const WIDTH: usize>(bytes: &mut &[u8]) -> Option<[[u8; WIDTH]; N]> {
    let (head, rest) = bytes.split_at_checked(N * WIDTH)?;
    *bytes = rest;
    let mut numbers = [[0; WIDTH]; N];
    for (number, chunk) in numbers.iter_mut().zip(head.chunks(WIDTH)) {
        number.copy_from_slice(chunk);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mk_trend(values: &[f64]) -> Trend {
        let mut trend = Trend::default();
        values.iter().for_each(|value| trend.add(*value));
        trend
    }

    #[test]
    fn nothing_has_no_figures() {
        let trend = Trend::default();
        assert_eq!(
            (trend.avg(), trend.min(), trend.max(), trend.percentile(90.0)),
            (None, None, None, None)
        );
        assert_eq!(trend.summary(), None);
    }

    #[test]
    fn a_large_trend_stays_small_and_close() {
        let mut large = Trend::default();
        for i in 1..=4 * Trend::EXACT {
            large.add(i as f64);
        }
        let Values::Counted(buckets) = &large.values else {
            panic!("they are kept");
        };
        assert!(buckets.iter().count() < 50_000);
        assert_eq!(large.count(), 4 * Trend::EXACT as u64);
        for rank in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let want = rank / 100.0 * (4 * Trend::EXACT - 1) as f64 + 1.0;
            let found = large.percentile(rank).unwrap();
            assert!(
                (found / want - 1.0).abs() < 0.000_25,
                "p({rank}): {found}, want {want}"
            );
        }
    }

    proptest! {
        #[test]
        fn merging_is_adding(
            a in proptest::collection::vec(prop_oneof![Just(0.0), -1e3_f64..1e6], 0..60),
            b in proptest::collection::vec(prop_oneof![Just(0.0), -1e3_f64..1e6], 0..60),
            rank in 0.0_f64..=100.0,
        ) {
            let mut merged = mk_trend(&a);
            merged.merge(&mk_trend(&b));
            let mut all = [a, b].concat();
            all.sort_by(f64::total_cmp);
            prop_assert_eq!(merged.percentile(rank), stats::percentile(&all, rank));
            prop_assert_eq!(merged.count(), all.len() as u64);
            prop_assert_eq!(merged.min(), all.first().copied());
            prop_assert_eq!(merged.max(), all.last().copied());
        }

        #[test]
        fn values_ascend_whether_they_are_kept_or_counted(
            mut values in proptest::collection::vec(prop_oneof![Just(0.0), -1e3_f64..1e6], 1..60),
            counted: bool,
            rank in 0.0_f64..=100.0,
        ) {
            let mut trend = if counted { Trend::counting() } else { Trend::default() };
            trend.merge(&mk_trend(&values));
            let steps: Vec<(f64, u64)> = trend.ascending().collect();
            prop_assert!(steps.is_sorted_by(|(a, _), (b, _)| a <= b), "{steps:?}");
            prop_assert_eq!(steps.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
            values.sort_by(f64::total_cmp);
            let (found, want) = (trend.percentile(rank).unwrap(), stats::percentile(&values, rank).unwrap());
            let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            prop_assert!((found - want).abs() <= largest / 2048.0, "{found}, want {want}");
        }

        #[test]
        fn buckets_are_ordered_and_narrow(a in -1e9_f64..1e9, b in -1e9_f64..1e9) {
            prop_assert_eq!(a < b && bucket(a) > bucket(b), false);
            prop_assert!((middle(bucket(a)) - a).abs() <= a.abs() / 4096.0 + f64::MIN_POSITIVE);
        }
    }
}
