//! The commits of a database per second, from the counters in its files.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    snapshot::{CommitRate, CommittedFrames},
    units,
};

/// The counters of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitCounters {
    /// Of the wal-index (`iChange`) or, in rollback mode, of the main file's header.
    pub commits: u32,
    /// The first salt of the log: each restart adds one, unless the log is created again.
    pub salt: Option<u32>,
    /// The inode of the file that has the counter.
    pub inode: u64,
}

/// Computes the rate over the last [`CommitTracker::WINDOW`].
#[derive(Debug, Default)]
pub struct CommitTracker {
    newest: Option<CommitCounters>,
    kept: VecDeque<CommitTotals>,
    now: CommitTotals,
    frames: Option<(Instant, CommittedFrames)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct CommitTotals {
    at: Option<Instant>,
    commits: u64,
    // `None` from the moment on at which it is unknown.
    restarts: Option<u64>,
}

impl CommitTracker {
    /// The rate covers this time.
    const WINDOW: Duration = Duration::from_secs(10);
    /// Time between two of the samples that it starts at, and its shortest window. A shorter one says nothing about a
    /// second.
    const APART: Duration = Duration::from_millis(900);
    /// From so many commits per second on the frames of the log are read.
    const FREQUENT: f64 = 20.0;

    /// Adds the counters of a sample at `at`; `None` if they cannot be read.
    pub fn add(&mut self, at: Instant, counters: Option<CommitCounters>) {
        let before = std::mem::replace(&mut self.newest, counters);
        let Some(counters) = counters else { return self.kept.clear() };
        let added = before.filter(|before| before.inode == counters.inode).and_then(|before| {
            let commits = counters.commits.wrapping_sub(before.commits);
            // A recovery restarts the counter.
            (commits < u32::MAX / 2).then_some((before, commits))
        });
        let Some((before, commits)) = added else {
            self.kept.clear();
            self.frames = None;
            let restarts = counters.salt.map(|_| 0);
            return self.keep(CommitTotals { at: Some(at), commits: 0, restarts });
        };
        // A log that is created again gets a salt at random.
        let restarts = before.salt.zip(counters.salt).map(|(old, new)| new.wrapping_sub(old));
        let restarts = restarts.filter(|restarts| *restarts <= commits);
        let now = self.now;
        self.keep(CommitTotals {
            at: Some(at),
            commits: now.commits + u64::from(commits),
            restarts: now.restarts.zip(restarts).map(|(all, more)| all + u64::from(more)),
        });
        if counters.salt.is_some() && self.now.restarts.is_none() {
            // What follows is counted again.
            self.now.restarts = Some(0);
            self.kept.iter_mut().for_each(|kept| kept.restarts = None);
        }
    }

    fn keep(&mut self, totals: CommitTotals) {
        self.now = totals;
        let age = |kept: &CommitTotals| elapsed(kept.at, totals.at);
        if self.kept.back().is_none_or(|last| age(last) >= Self::APART) {
            self.kept.push_back(totals);
        }
        while self.kept.front().is_some_and(|first| age(first) > Self::WINDOW) && self.kept.len() > 1 {
            self.kept.pop_front();
        }
    }

    /// The rate as of the newest sample; `None` until two samples are far enough apart.
    pub fn rate(&self) -> Option<CommitRate> {
        let first = self.kept.front()?;
        let window = elapsed(first.at, self.now.at);
        if window < Self::APART {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people; 52 bits are plenty")]
        let per_second = |count: u64| count as f64 / window.as_secs_f64();
        let commits = self.now.commits - first.commits;
        let restarts = self.now.restarts.zip(first.restarts).and_then(|(now, first)| now.checked_sub(first));
        let frames = self.frames.filter(|(at, _)| elapsed(Some(*at), self.now.at) <= Self::WINDOW);
        Some(CommitRate {
            window_ms: units::milliseconds(window),
            commits,
            per_second: per_second(commits),
            restarts_per_second: restarts.map(per_second),
            newest_frames: frames.map(|(_, frames)| frames),
        })
    }

    /// Whether commits are so frequent that their frames tell something.
    pub fn is_frequent(&self) -> bool {
        self.rate().is_some_and(|rate| rate.per_second >= Self::FREQUENT)
    }

    /// Records the newest frames of the log at `at`.
    pub fn frames_are(&mut self, at: Instant, frames: CommittedFrames) {
        self.frames = (frames.commits > 0).then_some((at, frames)).or(self.frames);
    }
}

fn elapsed(since: Option<Instant>, now: Option<Instant>) -> Duration {
    since.zip(now).map(|(since, now)| now.saturating_duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(commits: u32, salt: u32) -> CommitCounters {
        CommitCounters { commits, salt: Some(salt), inode: 7 }
    }

    fn rates(samples: &[(u64, Option<CommitCounters>)]) -> Option<(u64, f64, Option<f64>)> {
        let (start, mut tracker) = (Instant::now(), CommitTracker::default());
        for (ms, counters) in samples {
            tracker.add(start + Duration::from_millis(*ms), *counters);
        }
        tracker.rate().map(|rate| (rate.commits, rate.per_second, rate.restarts_per_second))
    }

    #[test]
    fn a_rate_needs_two_samples_that_are_apart() {
        assert_eq!(rates(&[(0, Some(counters(5, 1)))]), None);
        assert_eq!(rates(&[(0, Some(counters(5, 1))), (500, Some(counters(105, 1)))]), None);
        let told = rates(&[
            (0, Some(counters(5, 1))),
            (500, Some(counters(105, 2))),
            (2000, Some(counters(405, 41))),
        ]);
        assert_eq!(told, Some((400, 200.0, Some(20.0))));
    }

    #[test]
    fn the_counter_wraps_and_a_recovery_or_another_file_restarts_it() {
        let told = rates(&[(0, Some(counters(u32::MAX - 9, 1))), (1000, Some(counters(10, 1)))]);
        assert_eq!(told, Some((20, 20.0, Some(0.0))));
        assert_eq!(rates(&[(0, Some(counters(500, 1))), (1000, Some(counters(3, 1)))]), None);
        let other = Some(CommitCounters { commits: 600, salt: Some(1), inode: 8 });
        assert_eq!(rates(&[(0, Some(counters(500, 1))), (1000, other)]), None);
        assert_eq!(rates(&[(0, Some(counters(500, 1))), (500, None), (2000, Some(counters(900, 1)))]), None);
    }

    #[test]
    fn a_log_that_was_created_again_hides_its_restarts_for_a_while() {
        let again = [
            (0, Some(counters(0, 1))),
            (1000, Some(counters(50, 3_000_000))),
            (2000, Some(counters(100, 3_000_004))),
        ];
        assert_eq!(rates(&again), Some((100, 50.0, None)));
        let rollback = |commits| Some(CommitCounters { commits, salt: None, inode: 7 });
        assert_eq!(rates(&[(0, rollback(1)), (1000, rollback(31))]), Some((30, 30.0, None)));
    }

    #[test]
    fn old_samples_and_their_frames_leave_the_window() {
        let (start, mut tracker) = (Instant::now(), CommitTracker::default());
        for second in 0..40 {
            let at = start + Duration::from_secs(second);
            tracker.add(at, Some(counters(u32::try_from(second * 100).expect("small"), 1)));
            if second == 5 {
                tracker.frames_are(at, CommittedFrames { frames: 9, commits: 3, pages: 4 });
                tracker.frames_are(at, CommittedFrames::default());
                let kept = tracker.rate().and_then(|rate| rate.newest_frames).expect("just read");
                assert!((kept.pages_per_commit() - 3.0).abs() < 1e-9, "no commit says nothing");
            }
        }
        let rate = tracker.rate().expect("a rate");
        assert_eq!((rate.commits, rate.per_second, rate.newest_frames), (1_000, 100.0, None));
        assert!(tracker.is_frequent());
    }
}
