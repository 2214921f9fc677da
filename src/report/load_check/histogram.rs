//! Histogram: a distribution in the encoding that the HdrHistogram libraries read.
//!
//! The format is HdrHistogram's V2: a header, the counts of all cells as variable-length integers with runs of empty
//! cells as negative numbers, in a zlib stream (RFC 1950), in base64. Values are whole microseconds with three
//! significant digits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::verify::trend::Trend;

const COOKIE: u32 = 0x1c84_9313;
const COMPRESSED_COOKIE: u32 = 0x1c84_9314;
const DIGITS: u32 = 3;
/// The smallest and the largest value that have a cell: a microsecond and an hour.
const LOWEST: u64 = 1;
const HIGHEST: u64 = 3_600_000_000;
/// Half of the cells of an octave, as a power of two: 2 · 10³ steps of one unit need 2¹¹ cells.
const HALF_MAGNITUDE: u32 = 10;

/// The largest block of a zlib stream that is stored as it is.
const STORED: usize = 0xffff;

/// The text for a distribution of milliseconds. What is longer than an hour counts as an hour.
#[must_use]
pub fn encode(trend: &Trend) -> String {
    let counts = counts(trend.ascending());
    let mut plain = header(&counts);
    plain.extend(counts);
    let stream = zlib(&plain);
    let mut text = COMPRESSED_COOKIE.to_be_bytes().to_vec();
    text.extend(length(&stream));
    text.extend(stream);
    STANDARD.encode(text)
}

fn header(counts: &[u8]) -> Vec<u8> {
    let mut header = COOKIE.to_be_bytes().to_vec();
    header.extend(length(counts));
    // The cells are not shifted.
    header.extend(0_u32.to_be_bytes());
    header.extend(DIGITS.to_be_bytes());
    header.extend(LOWEST.to_be_bytes());
    header.extend(HIGHEST.to_be_bytes());
    // A value is what it says.
    header.extend(1_f64.to_be_bytes());
    header
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len())
        .expect("because there are fewer than 30,000 cells")
        .to_be_bytes()
}

/// The counts of the cells up to the last that is not empty.
fn counts(steps: impl Iterator<Item = (f64, u64)>) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut next = 0;
    let mut pending: Option<(usize, u64)> = None;
    for (millis, count) in steps {
        let here = cell(micros(millis));
        match &mut pending {
            Some((cell, sum)) if *cell == here => *sum += count,
            _ => {
                put_cell(&mut encoded, &mut next, pending.replace((here, count)));
            }
        }
    }
    put_cell(&mut encoded, &mut next, pending);
    encoded
}

/// Writes a cell after the empty ones before it. `next` is the first cell that was not written.
fn put_cell(encoded: &mut Vec<u8>, next: &mut usize, cell: Option<(usize, u64)>) {
    let Some((cell, count)) = cell else { return };
    let empty = cell - *next;
    if empty > 0 {
        put_number(encoded, -(empty as i64));
    }
    put_number(encoded, i64::try_from(count).unwrap_or(i64::MAX));
    *next = cell + 1;
}

fn micros(millis: f64) -> u64 {
    ((millis * 1000.0).round() as u64).min(HIGHEST)
}

/// The cell of a value: octaves of the value, divided evenly.
fn cell(value: u64) -> usize {
    let below = (2 << HALF_MAGNITUDE) - 1;
    let octave = u64::BITS - (HALF_MAGNITUDE + 1) - (value | below).leading_zeros();
    let within = value >> octave;
    let first = u64::from(octave + 1) << HALF_MAGNITUDE;
    usize::try_from(first + within - (1 << HALF_MAGNITUDE))
        .expect("because there are fewer than 30,000 cells")
}

/// A number of seven bits a byte, the lowest first, with the sign in the lowest bit; the ninth byte has eight.
fn put_number(encoded: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for _ in 0..8 {
        if rest < 0x80 {
            break;
        }
        encoded.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    encoded.push(rest as u8);
}

/// A zlib stream of blocks that are stored as they are: the counts are compact already.
fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = plain.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        stream.push(u8::from(blocks.peek().is_none()));
        let size = u16::try_from(block.len()).expect("because a block is at most that long");
        stream.extend(size.to_le_bytes());
        stream.extend((!size).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(plain).to_be_bytes());
    stream
}

/// The checksum of a zlib stream (RFC 1950, 8.2).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % MODULUS;
        (low, (high + low) % MODULUS)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_trend(values: &[f64]) -> Trend {
        let mut trend = Trend::default();
        values.iter().for_each(|value| trend.add(*value));
        trend
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(b""), 1);
    }

    #[test]
    fn cells_are_those_of_the_format() {
        for (value, want) in [
            (0, 0),
            (1, 1),
            (2047, 2047),
            (2048, 2048),
            (2049, 2048),
            (2050, 2049),
            (4095, 3071),
            (4096, 3072),
            (4099, 3072),
            (4100, 3073),
        ] {
            assert_eq!(cell(value), want, "{value}");
        }
    }

    #[test]
    fn counts_are_signed_numbers_of_seven_bits() {
        for (steps, want) in [
            (&[][..], &[][..]),
            (&[(0.0, 1)], &[2]),
            (&[(0.001, 3)], &[1, 6]),
            (&[(0.001, 1), (0.0012, 1), (0.002, 64)], &[1, 4, 0x80, 1]),
            (&[(0.2, 1)], &[0x8f, 3, 2]),
        ] {
            assert_eq!(counts(steps.iter().copied()), want, "{steps:?}");
        }
    }

    #[test]
    fn a_stream_of_many_blocks_ends_once() {
        let plain = vec![7; 2 * STORED + 1];
        let stream = zlib(&plain);
        assert_eq!(stream.len(), 2 + 3 * 5 + plain.len() + 4);
        assert_eq!(
            (stream[2], stream[2 + 5 + STORED], stream[2 + 2 * (5 + STORED)]),
            (0, 0, 1)
        );
    }

    /// The text was decoded by HdrHistogram's Python library once: 1000 values, the median 500 and the 99th
    /// percentile 990 microseconds.
    #[test]
    fn a_known_distribution_has_a_known_text() {
        let values: Vec<f64> = (1..=1000).map(|micros| f64::from(micros) / 1000.0).collect();
        let text = encode(&mk_trend(&values));
        let bytes = STANDARD.decode(&text).unwrap();
        assert_eq!(bytes[..4], COMPRESSED_COOKIE.to_be_bytes());
        // Header, then one empty cell and a thousand cells of one value.
        let body = &bytes[8 + 2 + 5..bytes.len() - 4];
        assert_eq!(body[..4], COOKIE.to_be_bytes());
        assert_eq!(body[40], 1);
        assert_eq!(body[41..], [2; 1000]);
    }
}
