//! How long the holds of a write lock were.

use std::time::Duration;

/// The upper bounds of the buckets in seconds. 2.5 is half of the usual `busy_timeout` of 5 s.
pub const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The holds that have ended.
#[derive(Debug, Clone, Default)]
pub struct HoldHistogram {
    /// Those that are not longer than the bound, and longer than the one before.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl HoldHistogram {
    pub fn add(&mut self, hold: Duration) {
        let seconds = hold.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }

    /// Each bound, with the number of holds up to it.
    pub fn up_to(&self) -> impl Iterator<Item = (f64, u64)> {
        let sum = |sum: &mut u64, count: &u64| {
            *sum += count;
            Some(*sum)
        };
        BOUNDS.into_iter().zip(self.buckets.iter().scan(0, sum))
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their length together.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_counts_in_each_bucket_that_is_long_enough() {
        let mut holds = HoldHistogram::default();
        for ms in [1, 30, 250, 120_000] {
            holds.add(Duration::from_millis(ms));
        }
        let counts: Vec<u64> = holds.up_to().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(holds.count(), 4);
        assert!((holds.seconds() - 120.281).abs() < 1e-9);
    }
}
