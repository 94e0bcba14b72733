//! Threads that wait for the write lock while their own process holds it: the connections of a pool.
//!
//! The kernel shows no such wait, because a lock belongs to the process. A thread of the process may sleep in the same way
//! for its own reasons: those that go on with it while the lock is free are not counted.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::{KEPT, MOST_KEPT};
use crate::{
    snapshot::{OwnWaiters, ProcessId},
    units,
};

/// The fewest samples that say something, of which most show such a thread.
const FEWEST: usize = 5;
/// The share of the samples, in percent, that show such a thread.
const SHARE: usize = 80;
/// After how many samples in a row of a free lock a sleep has another reason. A thread that waits would have asked in
/// between: two samples are 200 ms apart.
const FREE_ROUNDS: u32 = 3;

/// The samples of the processes that held the write lock for long, by the index of the database.
#[derive(Debug, Default)]
pub struct PoolWatch {
    pools: HashMap<(usize, ProcessId), PoolSamples>,
}

#[derive(Debug, Default)]
struct PoolSamples {
    /// How many threads slept, at each sample of a hold.
    samples: VecDeque<(Instant, u32)>,
    /// For how many rounds the lock has been free, and the fewest threads that slept in one of them.
    free: (u32, u32),
    /// Threads that sleep so for another reason.
    others: u32,
}

impl PoolWatch {
    /// Adds a sample of `process`, which has held the write lock of the database at `index` for long: `asleep` of its
    /// threads sleep as SQLite's busy handler does.
    pub fn add(&mut self, index: usize, process: ProcessId, asleep: u32, now: Instant) {
        let pool = self.pools.entry((index, process)).or_default();
        if pool.samples.len() == MOST_KEPT {
            pool.samples.pop_front();
        }
        pool.samples.push_back((now, asleep));
    }

    /// Samples the suspects of the databases whose lock is free by `asleep`, until it is known how many of their threads
    /// sleep for another reason; and forgets what is old.
    pub fn end_round(
        &mut self,
        is_free: impl Fn(usize) -> bool,
        asleep: impl Fn(ProcessId) -> Option<u32>,
        now: Instant,
    ) {
        self.pools.retain(|(index, process), pool| {
            while pool.samples.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > KEPT) {
                pool.samples.pop_front();
            }
            if !is_free(*index) {
                pool.free = (0, 0);
            } else if pool.free.0 < FREE_ROUNDS && pool.verdict(*process).is_some() {
                let Some(asleep) = asleep(*process) else { return false };
                let (rounds, fewest) = pool.free;
                pool.free = (rounds + 1, if rounds == 0 { asleep } else { fewest.min(asleep) });
                if pool.free.0 == FREE_ROUNDS {
                    pool.others = pool.free.1;
                }
            }
            !pool.samples.is_empty()
        });
    }

    /// The processes whose threads wait for their own process, by database.
    pub fn verdicts(&self) -> HashMap<usize, Vec<OwnWaiters>> {
        let mut found: HashMap<usize, Vec<OwnWaiters>> = HashMap::new();
        for ((index, process), pool) in &self.pools {
            if let Some(waiters) = pool.verdict(*process) {
                found.entry(*index).or_default().push(waiters);
            }
        }
        for waiters in found.values_mut() {
            waiters.sort_by_key(|it| it.pid);
        }
        found
    }
}

impl PoolSamples {
    fn verdict(&self, process: ProcessId) -> Option<OwnWaiters> {
        let mut waiting: Vec<u32> =
            self.samples.iter().map(|(_, asleep)| asleep.saturating_sub(self.others)).collect();
        waiting.sort_unstable();
        let shown = waiting.iter().filter(|threads| **threads > 0).count();
        let is_most = waiting.len() >= FEWEST && shown * 100 >= waiting.len() * SHARE;
        let (first, last) = self.samples.front().zip(self.samples.back()).filter(|_| is_most)?;
        let span: Duration = last.0.saturating_duration_since(first.0);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(OwnWaiters {
            pid: process.pid,
            threads: waiting[waiting.len() / 2],
            samples: count(waiting.len()),
            asleep: count(shown),
            span_ms: units::milliseconds(span),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: ProcessId = ProcessId { pid: 7, start_ticks: 1 };

    fn threads(watch: &PoolWatch) -> Option<(u32, u32, u32)> {
        let found = watch.verdicts().remove(&0)?;
        assert_eq!((found.len(), found[0].pid), (1, 7));
        Some((found[0].threads, found[0].asleep, found[0].samples))
    }

    fn watch(samples: &[u32]) -> (PoolWatch, Instant) {
        let (mut watch, start) = (PoolWatch::default(), Instant::now());
        for (asleep, at) in samples.iter().zip(0..) {
            watch.add(0, POOL, *asleep, start + Duration::from_millis(50 * at));
        }
        (watch, start + Duration::from_secs(1))
    }

    #[test]
    fn threads_that_sleep_in_most_samples_of_the_holds_of_their_process_wait_for_it() {
        assert_eq!(threads(&watch(&[5, 5, 4, 5, 0]).0), Some((5, 4, 5)));
        assert_eq!(threads(&watch(&[5, 5, 5, 5]).0), None, "too few");
        assert_eq!(threads(&watch(&[5, 5, 0, 5, 0]).0), None, "three of five");
    }

    #[test]
    fn those_that_sleep_on_while_the_lock_is_free_are_not_counted() {
        let (mut sleeps_on, now) = watch(&[3; 9]);
        for _ in 0..FREE_ROUNDS {
            assert_eq!(threads(&sleeps_on), Some((3, 9, 9)));
            sleeps_on.end_round(|_| true, |_| Some(1), now);
        }
        assert_eq!(threads(&sleeps_on), Some((2, 9, 9)), "one of them has another reason");
        let (mut none, now) = watch(&[3; 9]);
        for _ in 0..FREE_ROUNDS {
            none.end_round(|_| true, |_| Some(3), now);
        }
        assert_eq!(threads(&none), None);
    }

    #[test]
    fn a_lock_that_is_free_for_a_moment_clears_nobody() {
        let (mut watch, now) = watch(&[3; 9]);
        for round in 0..9 {
            watch.end_round(|_| round % 3 != 2, |_| Some(3), now);
        }
        assert_eq!(threads(&watch), Some((3, 9, 9)));
    }

    #[test]
    fn what_is_a_minute_old_or_of_a_process_that_is_gone_is_forgotten() {
        let (mut watch_of_old, now) = watch(&[3; 9]);
        watch_of_old.end_round(|_| false, |_| None, now + KEPT);
        assert_eq!(threads(&watch_of_old), None);
        let (mut gone, now) = watch(&[3; 9]);
        gone.end_round(|_| true, |_| None, now);
        assert_eq!(threads(&gone), None);
    }
}
