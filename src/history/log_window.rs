//! The log over the last minute: growth, restarts, and how much of the time it was read.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{LockHistory, push_bounded};
use crate::{
    snapshot::{LogProgress, LogReading},
    units,
};

/// The shortest time between two kept samples, and the length of a part of the window.
const APART: Duration = Duration::from_secs(1);
/// How many are kept: those of the window, and one that is about to leave it.
const KEPT: usize = 61;
const _: () = assert!(LockHistory::WINDOW.as_secs() + 1 == KEPT as u64);
/// How many readers are named.
const MOST_PIDS: usize = 16;

/// The log as one sample of the wal-index shows it.
#[derive(Debug, Clone, Copy)]
pub struct LogSight {
    pub bytes: u64,
    pub frames: u32,
    pub backfilled: u32,
    /// They change when the log restarts.
    pub salts: [u8; 8],
}

/// Samples of the locks of readers, since the last ones were recorded.
#[derive(Debug, Clone, Default)]
pub struct ReaderTally {
    samples: u32,
    read: u32,
    longest_gap: Duration,
    pids: Vec<i32>,
    free_since: Option<Instant>,
}

impl ReaderTally {
    /// Adds a sample at `at`; `readers`: those that use the log, `None` without a visible PID.
    pub fn add(&mut self, at: Instant, readers: impl IntoIterator<Item = Option<i32>>) {
        let mut is_read = false;
        for pid in readers {
            is_read = true;
            if let Some(pid) = pid.filter(|pid| !self.pids.contains(pid) && self.pids.len() < MOST_PIDS) {
                self.pids.push(pid);
            }
        }
        self.samples += 1;
        if is_read {
            self.read += 1;
            self.free_since = None;
        } else {
            let since = *self.free_since.get_or_insert(at);
            self.longest_gap = self.longest_gap.max(at.saturating_duration_since(since));
        }
    }

    /// What was added since the last call. A gap that goes on is measured from its beginning.
    pub fn take(&mut self) -> Self {
        let free_since = self.free_since;
        let taken = std::mem::take(self);
        self.free_since = free_since;
        taken
    }

    fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.read += other.read;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        for pid in &other.pids {
            if !self.pids.contains(pid) && self.pids.len() < MOST_PIDS {
                self.pids.push(*pid);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct LogWindow {
    kept: VecDeque<LogSample>,
    newest: Option<(LogSample, [u8; 8])>,
    reading: VecDeque<(Instant, ReaderTally)>,
}

#[derive(Debug, Clone, Copy)]
struct LogSample {
    at: Instant,
    bytes: u64,
    frames: u32,
    backfilled: u32,
    restarts: u32,
}

impl LogWindow {
    /// The most heap bytes that it takes.
    pub const BYTES: usize =
        KEPT * (size_of::<LogSample>() + size_of::<(Instant, ReaderTally)>() + MOST_PIDS * size_of::<i32>());

    pub fn is(&mut self, at: Instant, sight: LogSight) {
        let LogSight { bytes, frames, backfilled, salts } = sight;
        let before = self.newest;
        let has_restarted = |(last, known): (LogSample, [u8; 8])| known != salts || frames < last.frames;
        let restarts = before.map_or(0, |it| it.0.restarts.saturating_add(u32::from(has_restarted(it))));
        let sample = LogSample { at, bytes, frames, backfilled, restarts };
        self.newest = Some((sample, salts));
        if self.kept.back().is_none_or(|last| at.saturating_duration_since(last.at) >= APART) {
            push_bounded(&mut self.kept, KEPT, sample);
        }
    }

    pub fn read(&mut self, at: Instant, tally: &ReaderTally) {
        match self.reading.back_mut().filter(|(start, _)| at.saturating_duration_since(*start) < APART) {
            Some((_, part)) => part.merge(tally),
            None => push_bounded(&mut self.reading, KEPT, (at, tally.clone())),
        }
    }

    /// Forgets the log, but not who reads.
    pub fn reset(&mut self) {
        self.kept.clear();
        self.newest = None;
    }

    pub fn progress(&self, now: Instant) -> Option<LogProgress> {
        let is_in = |at: Instant| now.saturating_duration_since(at) <= LockHistory::WINDOW;
        let (last, _) = self.newest.filter(|(last, _)| is_in(last.at))?;
        let first = self.kept.iter().find(|sample| is_in(sample.at))?;
        let window = last.at.saturating_duration_since(first.at);
        if window.is_zero() {
            return None;
        }
        let restarts = last.restarts - first.restarts;
        let added = |new: u32, old: u32| (restarts == 0).then(|| new.saturating_sub(old));
        let mut tally = ReaderTally::default();
        let parts = self.reading.iter().filter(|(at, _)| is_in(*at));
        parts.for_each(|(_, part)| tally.merge(part));
        Some(LogProgress {
            window_ms: units::milliseconds(window),
            restarts,
            grown_bytes: last.bytes.saturating_sub(first.bytes),
            grown_frames: added(last.frames, first.frames),
            moved_frames: added(last.backfilled, first.backfilled),
            reading: LogReading {
                samples: tally.samples,
                read: tally.read,
                longest_gap_ms: units::milliseconds(tally.longest_gap),
                pids: tally.pids,
            },
        })
    }

    #[cfg(test)]
    pub fn size(&self) -> usize {
        let pids = self.reading.iter().map(|(_, tally)| tally.pids.capacity() * size_of::<i32>());
        self.kept.capacity() * size_of::<LogSample>()
            + self.reading.capacity() * size_of::<(Instant, ReaderTally)>()
            + pids.sum::<usize>()
    }
}

impl LockHistory {
    /// Records the log as the wal-index shows it at `at`.
    pub fn log_is(&mut self, at: Instant, sight: LogSight) {
        self.log_window.is(at, sight);
    }

    /// Records samples of the locks of its readers.
    pub fn log_read(&mut self, at: Instant, tally: &ReaderTally) {
        self.log_window.read(at, tally);
    }

    /// What became of the log in the last minute; `None` until two samples show it.
    pub fn log_progress(&self, now: Instant) -> Option<LogProgress> {
        self.log_window.progress(now)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::ms, *};

    fn sight(frames: u32, backfilled: u32, salt: u8) -> LogSight {
        LogSight { bytes: u64::from(frames) * 100, frames, backfilled, salts: [salt; 8] }
    }

    #[test]
    fn growth_is_that_between_both_ends_of_the_window() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        history.log_is(start, sight(10, 5, 1));
        assert_eq!(history.log_progress(start), None, "one sample shows no growth");
        history.log_is(start + ms(400), sight(30, 5, 1));
        history.log_is(start + ms(500), sight(50, 20, 1));
        let seen = history.log_progress(start + ms(500)).expect("two samples");
        assert_eq!((seen.window_ms, seen.restarts, seen.grown_bytes), (500.0, 0, 4_000));
        assert_eq!((seen.grown_frames, seen.moved_frames), (Some(40), Some(15)));
    }

    #[test]
    fn a_restart_is_known_by_the_salts_or_by_fewer_frames() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        for (at, frames, salt) in [(0, 10, 1), (2_000, 40, 2), (4_000, 30, 2), (6_000, 31, 2)] {
            history.log_is(start + ms(at), sight(frames, 0, salt));
        }
        let seen = history.log_progress(start + ms(6_000)).expect("four samples");
        assert_eq!((seen.restarts, seen.grown_frames), (2, None));
        // The samples before the restarts leave the window.
        history.log_is(start + ms(64_500), sight(32, 0, 2));
        let seen = history.log_progress(start + ms(64_500)).expect("there are two");
        assert_eq!((seen.restarts, seen.grown_frames), (0, Some(1)));
    }

    #[test]
    fn another_log_starts_over() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        history.wal_is(start, 1, 1_000);
        history.log_is(start, sight(10, 0, 1));
        history.wal_is(start + ms(2_000), 2, 5_000);
        history.log_is(start + ms(2_000), sight(50, 0, 1));
        assert_eq!(history.log_progress(start + ms(2_000)), None);
    }

    #[test]
    fn readers_are_counted_over_all_samples_and_a_gap_goes_on_between_two_records() {
        let (mut history, mut tally, start) =
            (LockHistory::default(), ReaderTally::default(), Instant::now());
        history.log_is(start, sight(10, 0, 1));
        history.log_is(start + ms(3_000), sight(20, 0, 1));
        for (at, readers) in [(0, vec![Some(7), None]), (10, vec![Some(8)]), (20, vec![]), (30, vec![])] {
            tally.add(start + ms(at), readers);
        }
        history.log_read(start + ms(30), &tally.take());
        tally.add(start + ms(1_100), []);
        tally.add(start + ms(1_200), [Some(7)]);
        history.log_read(start + ms(1_200), &tally.take());
        let reading = history.log_progress(start + ms(3_000)).expect("two samples").reading;
        assert_eq!((reading.samples, reading.read, reading.longest_gap_ms), (6, 3, 1_080.0));
        assert_eq!(reading.pids, [7, 8]);
    }

    #[test]
    fn it_keeps_a_minute_however_often_it_is_told() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        for number in 0..200_000_u32 {
            let (at, mut tally) = (start + ms(u64::from(number)), ReaderTally::default());
            (0..20).for_each(|pid| tally.add(at, [Some(pid)]));
            history.log_is(at, sight(number, 0, 1));
            history.log_read(at, &tally);
        }
        assert!(history.log_window.size() <= LogWindow::BYTES, "{}", history.log_window.size());
        let seen = history.log_progress(start + ms(199_999)).expect("a minute");
        assert!(seen.window_ms > 58_000.0 && seen.window_ms <= 60_000.0, "{}", seen.window_ms);
    }
}
