//! Processes whose number of descriptors on a database only grows: the sign of a leak of connections.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{history::LockHistory, snapshot::HandleGrowth};

/// Tracks the number of descriptors of each process on the main file across samples.
///
/// It reports the time since the number last fell, and the samples in that time that saw it rise. A rise older than
/// [`LockHistory::WINDOW`] is forgotten. A number that grew once and stays is therefore no growth: a pool that has
/// filled up, for example.
#[derive(Debug, Default)]
pub struct HandleGrowths {
    known: HashMap<(i32, Option<u64>), HandleCount>,
}

#[derive(Debug)]
struct HandleCount {
    now: u32,
    // When a sample saw it rise, and from which number.
    rises: VecDeque<(Instant, u32)>,
}

impl HandleCount {
    // A leak that rises at each sample needs no more than these, at any sampling rate.
    const RISES: usize = 256;

    fn is(&mut self, count: u32, at: Instant) {
        if count < self.now {
            self.rises.clear();
        } else if count > self.now {
            self.rises.push_back((at, self.now));
        }
        let is_old = |rise: &(Instant, u32)| at.saturating_duration_since(rise.0) > LockHistory::WINDOW;
        while self.rises.len() > Self::RISES || self.rises.front().is_some_and(is_old) {
            self.rises.pop_front();
        }
        self.now = count;
    }

    fn growth(&self, pid: i32) -> Option<HandleGrowth> {
        let (first, last) = (self.rises.front()?, self.rises.back()?);
        let span: Duration = last.0.saturating_duration_since(first.0);
        Some(HandleGrowth {
            pid,
            from: first.1,
            to: self.now,
            rises: u32::try_from(self.rises.len()).unwrap_or(u32::MAX),
            span_ms: span.as_secs_f64() * 1000.0,
        })
    }
}

impl HandleGrowths {
    /// Adds `seen`, a sample at `now`: PID, start ticks and descriptors of each process whose descriptors are
    /// readable. Returns their growth in the same order. A process that is not among them is forgotten.
    pub fn add_sample(
        &mut self,
        seen: impl Iterator<Item = (i32, Option<u64>, u32)>,
        now: Instant,
    ) -> Vec<HandleGrowth> {
        let mut before = std::mem::take(&mut self.known);
        let mut growths = Vec::new();
        for (pid, start_ticks, descriptors) in seen {
            let key = (pid, start_ticks);
            let fresh = HandleCount { now: descriptors, rises: VecDeque::new() };
            let mut count = before.remove(&key).unwrap_or(fresh);
            count.is(descriptors, now);
            growths.extend(count.growth(pid));
            self.known.insert(key, count);
        }
        growths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(growths: &mut HandleGrowths, db: u32, at: Instant) -> Option<(u32, u32, u32, f64)> {
        let told = growths.add_sample([(7, Some(1000), db)].into_iter(), at);
        told.first().map(|it| (it.from, it.to, it.rises, it.span_ms))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn what_only_rises_has_grown() {
        let (mut growths, start) = (HandleGrowths::default(), Instant::now());
        assert_eq!(look(&mut growths, 1, start), None);
        assert_eq!(look(&mut growths, 1, start + seconds(1)), None);
        assert_eq!(look(&mut growths, 3, start + seconds(2)), Some((1, 3, 1, 0.0)));
        assert_eq!(look(&mut growths, 3, start + seconds(3)), Some((1, 3, 1, 0.0)));
        assert_eq!(look(&mut growths, 4, start + seconds(12)), Some((1, 4, 2, 10_000.0)));
    }

    #[test]
    fn a_fall_or_a_long_rest_ends_it() {
        let (mut growths, start) = (HandleGrowths::default(), Instant::now());
        look(&mut growths, 1, start);
        look(&mut growths, 5, start + seconds(1));
        assert_eq!(look(&mut growths, 4, start + seconds(2)), None);
        assert_eq!(look(&mut growths, 5, start + seconds(3)), Some((4, 5, 1, 0.0)));
        assert_eq!(look(&mut growths, 5, start + seconds(64)), None);
    }

    #[test]
    fn a_process_that_was_away_restarts() {
        let (mut growths, start) = (HandleGrowths::default(), Instant::now());
        look(&mut growths, 1, start);
        look(&mut growths, 2, start + seconds(1));
        assert!(growths.add_sample(std::iter::empty(), start + seconds(2)).is_empty());
        assert_eq!(look(&mut growths, 9, start + seconds(3)), None);
        let another = growths.add_sample([(7, Some(1001), 12)].into_iter(), start + seconds(4));
        assert_eq!(another, [], "its number is another process's by now");
    }
}
