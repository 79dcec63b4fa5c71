//! Counts of times in buckets whose width grows with the time: percentiles within 1.6 %, in 16 KiB whatever the load.

use std::time::Duration;

/// Buckets for each power of two.
const PARTS: u64 = 64;
const PART_BITS: u32 = PARTS.trailing_zeros();
/// Up to 2^37 us, which is more than a day.
const BUCKETS: usize = 32 * PARTS as usize;

#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: vec![0; BUCKETS].into(), count: 0 }
    }
}

impl Histogram {
    pub fn record(&mut self, time: Duration) {
        let bucket = bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
    }

    /// The time, in microseconds, that `part` of all (0 to 1) do not exceed; 0 when there are none.
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(bucket);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let shift = value.ilog2() - PART_BITS;
    (u64::from(shift + 1) * PARTS + (value >> shift) - PARTS) as usize
}

/// The highest value that falls into `bucket`.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let shift = bucket / PARTS - 1;
    ((PARTS + bucket % PARTS + 1) << shift) - 1
}

#[test]
fn every_value_falls_into_a_bucket_that_ends_at_most_1_6_percent_above_it() {
    for value in (0..5_000).chain((12..36).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1])) {
        let end = highest(bucket(value));
        assert!(value <= end && (end - value) as f64 <= value as f64 * 0.016, "{value}: {end}");
        assert_eq!(bucket(end), bucket(value));
        assert_eq!(bucket(end + 1), bucket(value) + 1);
    }
}

#[test]
fn percentiles_count_from_the_shortest() {
    let mut histogram = Histogram::default();
    for micros in 1..=60 {
        histogram.record(Duration::from_micros(micros));
    }
    assert_eq!([0.5, 0.95, 1.0].map(|part| histogram.percentile(part)), [30, 57, 60]);
}
