//! How fast the log grows.

use std::time::{Duration, Instant};

use super::{GrowthRate, LockHistory, MovedFrames};

/// The shortest span of a rate that predictions use.
const SPAN: Duration = Duration::from_secs(10);
/// Time between two of its values: the kept values span more than [`SPAN`].
const STEADY: Duration = Duration::from_millis(1500);
const _: () = assert!(STEADY.as_millis() * (GrowthRate::VALUES as u128 - 1) >= SPAN.as_millis());

impl LockHistory {
    /// Records inode and size of `-wal` at `at`.
    pub fn wal_is(&mut self, at: Instant, inode: u64, bytes: u64) {
        if self.log.replace(inode) != Some(inode) {
            self.growth.reset();
            self.steady_growth.reset();
            self.log_window.reset();
        }
        self.growth.is(at, bytes);
        if self.since.is_some() {
            let at = self.micros(at);
            self.log_past.size_is(at, bytes);
        }
        self.steady_growth.is_at_most_every(STEADY, at, bytes);
    }

    /// Records that there is no `-wal`.
    pub fn wal_removed(&mut self) {
        self.log = None;
        self.growth.reset();
        self.steady_growth.reset();
        self.log_window.reset();
        self.moved.is_unknown();
    }

    /// The checkpointed frames, to be updated at each sample.
    pub fn moved(&mut self) -> &mut MovedFrames {
        &mut self.moved
    }

    /// Growth of `-wal` in bytes per second over the last samples; `None` until they span ten seconds, so that it
    /// predicts the next minute.
    pub fn wal_bytes_per_second(&self) -> Option<f64> {
        self.steady_growth.a_second_over(SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    #[test]
    fn a_log_that_shrinks_or_is_another_gives_no_rate() {
        let start = Instant::now();
        let mut history = LockHistory::default();
        history.wal_is(start, 1, 1000);
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
        history.wal_is(start + ms(2000), 1, 5000);
        assert_eq!(history.trend(start).wal_bytes_per_second, Some(2000.0));
        history.wal_is(start + ms(3000), 1, 0);
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
        history.wal_is(start + ms(4000), 2, 100);
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
        history.wal_is(start + ms(5000), 2, 200);
        assert_eq!(history.trend(start).wal_bytes_per_second, Some(100.0));
        history.wal_removed();
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
    }

    #[test]
    fn a_large_commit_between_two_samples_says_nothing_of_the_growth_to_come() {
        let start = Instant::now();
        let mut history = LockHistory::default();
        history.wal_is(start, 1, 0);
        for at in (1500..10_000).step_by(500) {
            history.wal_is(start + ms(at), 1, 5000);
            assert_eq!(history.wal_bytes_per_second(), None, "{at}");
        }
        for at in (10_000..60_000).step_by(10) {
            history.wal_is(start + ms(at), 1, at);
        }
        let rate = history.wal_bytes_per_second().expect("it spans seconds, however many looks there were");
        assert!(rate > 900.0 && rate < 1100.0, "{rate}");
    }
}
