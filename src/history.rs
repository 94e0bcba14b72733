//! What happened between the looks: lock holds and WAL growth, in ring buffers of bounded size.
//!
//! Nothing here reads a clock: the time comes in. A database's history takes at most
//! [`History::HOLDS`] holds of 32 bytes and [`History::SIZES`] sizes of 32 bytes, and the names of their
//! holders: about one megabyte, whatever runs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::snapshot::{ProcessHolds, WriteHolds, percentile};

/// What a console draws beside a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trend {
    /// Growth of `-wal` in bytes a second over the last few looks; `None` until there are two.
    pub wal_bytes_per_second: Option<f64>,
    /// Who held the write lock when, one lane for each process that did, most time first.
    pub lanes: Vec<Lane>,
}

/// One process's holds of the write lock over the last minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Its short name, as last seen.
    pub name: String,
    /// Share of each slice of time in which it held the lock, 0 to 1, oldest first; [`Lane::CELLS`] of them.
    pub cells: Vec<f32>,
}

impl Lane {
    /// Slices in a lane, of one second each.
    pub const CELLS: usize = 60;
}

/// Who held a lock. A PID alone is reused; PID and start are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// Its short name.
    pub name: String,
}

/// One of the three locks that exclude others and can be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Byte 120.
    Write,
    /// Byte 121.
    Checkpoint,
    /// Byte 122.
    Recover,
}

impl Lock {
    /// All of them, in the order of their bytes.
    pub const ALL: [Self; 3] = [Self::Write, Self::Checkpoint, Self::Recover];
}

/// What was seen of one database over time.
#[derive(Debug, Clone, Default)]
pub struct History {
    sampled_since: Option<Instant>,
    holds: VecDeque<Hold>,
    open: [Option<(Instant, Arc<Who>)>; 3],
    sizes: VecDeque<Size>,
}

#[derive(Debug, Clone)]
struct Hold {
    start: Instant,
    // Microseconds; an hour and more fits.
    length: u64,
    who: Arc<Who>,
}

#[derive(Debug, Clone, Copy)]
struct Size {
    at: Instant,
    inode: u64,
    bytes: u64,
}

impl History {
    /// How many holds are kept; the oldest goes first. At the sampler's pace that is a minute of the worst there can be.
    pub const HOLDS: usize = 32_768;
    /// How many sizes of `-wal` are kept.
    pub const SIZES: usize = 8;
    /// How far back the figures of a snapshot reach.
    pub const WINDOW: Duration = Duration::from_mins(1);
    /// How many lanes are drawn.
    pub const LANES: usize = 8;

    /// The sampler is at work from `at` on. Only the first call counts.
    pub fn sampling_began(&mut self, at: Instant) {
        self.sampled_since.get_or_insert(at);
    }

    /// How far back the samples reach, at most [`History::WINDOW`]; `None` where nothing samples.
    #[must_use]
    pub fn reach(&self, now: Instant) -> Option<Duration> {
        self.sampled_since.map(|since| now.saturating_duration_since(since).min(Self::WINDOW))
    }

    /// Whether `at` is when the sampler began, so that what it saw then may have begun before.
    #[must_use]
    pub fn is_from_the_beginning(&self, at: Instant) -> bool {
        self.sampled_since.is_some_and(|since| at <= since)
    }

    /// `who` holds `lock` from `at` on. A hold that was open ends there.
    pub fn open(&mut self, lock: Lock, at: Instant, who: Arc<Who>) {
        self.close(lock, at);
        self.open[lock as usize] = Some((at, who));
    }

    /// Nobody holds `lock` from `at` on.
    pub fn close(&mut self, lock: Lock, at: Instant) {
        let Some((start, who)) = self.open[lock as usize].take() else { return };
        if lock == Lock::Write {
            if self.holds.len() == Self::HOLDS {
                self.holds.pop_front();
            }
            self.holds.push_back(Hold { start, length: micros(at.saturating_duration_since(start)), who });
        }
    }

    /// Since when `lock` is held, and by whom, as far as the sampler knows.
    #[must_use]
    pub fn current(&self, lock: Lock) -> Option<(Instant, &Who)> {
        self.open[lock as usize].as_ref().map(|(start, who)| (*start, who.as_ref()))
    }

    /// The holds of the write lock within `window` before `now`; `None` where nothing was sampled.
    ///
    /// A hold that reaches into the window counts with its whole length in the percentiles, and with the
    /// part inside in the times held. The one that is open counts with its length so far.
    #[must_use]
    pub fn write_holds(&self, now: Instant, window: Duration) -> Option<WriteHolds> {
        let reach = self.sampled_since.map(|since| now.saturating_duration_since(since).min(window))?;
        let mut lengths = Vec::new();
        let mut processes: HashMap<(Option<i32>, Option<u64>), ProcessHolds> = HashMap::new();
        for (hold, inside) in self.since(now, reach) {
            let length = milliseconds(hold.length);
            lengths.push(length);
            let part = processes
                .entry((hold.who.pid, hold.who.start_ticks))
                .or_insert_with(|| ProcessHolds { pid: hold.who.pid, count: 0, max_ms: 0.0, total_ms: 0.0 });
            part.count += 1;
            part.max_ms = part.max_ms.max(length);
            part.total_ms += milliseconds(inside);
        }
        lengths.sort_by(f64::total_cmp);
        let mut by_process: Vec<_> = processes.into_values().collect();
        by_process.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms).then(a.pid.cmp(&b.pid)));
        // An empty sum of floats is -0, which would be printed.
        let held = by_process.iter().fold(0.0, |held, part| held + part.total_ms);
        let reach = milliseconds(micros(reach));
        Some(WriteHolds {
            count: lengths.len() as u64,
            p50_ms: percentile(&lengths, 50).unwrap_or(0.0),
            p99_ms: percentile(&lengths, 99).unwrap_or(0.0),
            max_ms: lengths.last().copied().unwrap_or(0.0),
            held_ratio: if reach > 0.0 { (held / reach).min(1.0) } else { 0.0 },
            by_process,
        })
    }

    /// `-wal` has this inode and size at `at`.
    pub fn wal_is(&mut self, at: Instant, inode: u64, bytes: u64) {
        if self.sizes.back().is_some_and(|last| last.inode != inode) {
            self.sizes.clear();
        }
        if self.sizes.len() == Self::SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back(Size { at, inode, bytes });
    }

    /// There is no `-wal`.
    pub fn wal_is_gone(&mut self) {
        self.sizes.clear();
    }

    /// What a console draws, as of `now`.
    #[must_use]
    pub fn trend(&self, now: Instant) -> Trend {
        Trend { wal_bytes_per_second: self.growth(), lanes: self.lanes(now) }
    }

    // A size that went backwards (a truncation) gives no rate until it has left the ring.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people; 52 bits of a file size are plenty")]
    fn growth(&self) -> Option<f64> {
        let (first, last) = (self.sizes.front()?, self.sizes.back()?);
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        let grows = self.sizes.iter().zip(self.sizes.iter().skip(1)).all(|(a, b)| a.bytes <= b.bytes);
        (grows && seconds > 0.0).then(|| (last.bytes - first.bytes) as f64 / seconds)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    fn lanes(&self, now: Instant) -> Vec<Lane> {
        const CELL: u64 = 1_000_000;
        let span = CELL * Lane::CELLS as u64;
        let mut lanes: Vec<(Arc<Who>, u64, [u64; Lane::CELLS])> = Vec::new();
        for (hold, inside) in self.since(now, Self::WINDOW) {
            let same = |lane: &(Arc<Who>, u64, _)| {
                (lane.0.pid, lane.0.start_ticks) == (hold.who.pid, hold.who.start_ticks)
            };
            let index = lanes.iter().position(same).unwrap_or_else(|| {
                lanes.push((Arc::clone(&hold.who), 0, [0; Lane::CELLS]));
                lanes.len() - 1
            });
            let (who, total, cells) = &mut lanes[index];
            who.clone_from(&hold.who);
            *total += inside;
            // Microseconds after the left edge of the first cell.
            let end = span.saturating_sub(micros(now.saturating_duration_since(hold.end())));
            let start = end.saturating_sub(inside);
            for (left, cell) in (0..).step_by(1_000_000).zip(cells.iter_mut()) {
                *cell += end.min(left + CELL).saturating_sub(start.max(left));
            }
        }
        lanes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.pid.cmp(&b.0.pid)));
        lanes.truncate(Self::LANES);
        let share = |cell: u64| (milliseconds(cell) / milliseconds(CELL)).min(1.0) as f32;
        lanes
            .into_iter()
            .map(|(who, _, cells)| Lane {
                pid: who.pid,
                name: who.name.clone(),
                cells: cells.map(share).to_vec(),
            })
            .collect()
    }

    // The holds that reach into the last `window` before `now`, and how many microseconds of each lie in it.
    fn since(&self, now: Instant, window: Duration) -> impl Iterator<Item = (Hold, u64)> {
        let open = self.open[Lock::Write as usize].iter().map(move |(start, who)| Hold {
            start: *start,
            length: micros(now.saturating_duration_since(*start)),
            who: Arc::clone(who),
        });
        let recent = move |hold: &Hold| now.saturating_duration_since(hold.end()) < window;
        let past: Vec<Hold> = self.holds.iter().rev().take_while(|hold| recent(hold)).cloned().collect();
        past.into_iter().rev().chain(open).map(move |hold| {
            let outside = micros(now.saturating_duration_since(hold.start).saturating_sub(window));
            let inside = hold.length.saturating_sub(outside);
            (hold, inside)
        })
    }
}

impl Hold {
    fn end(&self) -> Instant {
        self.start + Duration::from_micros(self.length)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(pid: i32) -> Arc<Who> {
        Arc::new(Who { pid: Some(pid), start_ticks: Some(7), name: format!("name{pid}") })
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    // A history sampled from `start` on, with holds `(pid, from, to)` in ms after it.
    fn history(start: Instant, holds: &[(i32, u64, u64)]) -> History {
        let mut history = History::default();
        history.sampling_began(start);
        for &(pid, from, to) in holds {
            history.open(Lock::Write, start + ms(from), who(pid));
            history.close(Lock::Write, start + ms(to));
        }
        history
    }

    #[test]
    fn nothing_sampled_is_none_and_not_zero() {
        let history = History::default();
        assert_eq!(history.write_holds(Instant::now(), History::WINDOW), None);
        assert_eq!(history.reach(Instant::now()), None);
        assert_eq!(history.trend(Instant::now()), Trend::default());
    }

    #[test]
    fn holds_are_counted_by_process() {
        let start = Instant::now();
        let history = history(start, &[(1, 0, 10), (2, 20, 50), (1, 100, 140), (1, 200, 205)]);
        let holds = history.write_holds(start + ms(1000), History::WINDOW).expect("sampled");
        assert_eq!(holds.count, 4);
        assert_eq!((holds.p50_ms, holds.p99_ms, holds.max_ms), (10.0, 40.0, 40.0));
        assert!((holds.held_ratio - 0.085).abs() < 1e-9);
        let parts: Vec<_> = holds.by_process.iter().map(|p| (p.pid, p.count, p.max_ms, p.total_ms)).collect();
        assert_eq!(parts, [(Some(1), 3, 40.0, 55.0), (Some(2), 1, 30.0, 30.0)]);
    }

    #[test]
    fn the_open_hold_counts_with_its_length_so_far() {
        let start = Instant::now();
        let mut history = history(start, &[]);
        history.open(Lock::Write, start + ms(100), who(1));
        let holds = history.write_holds(start + ms(400), History::WINDOW).expect("sampled");
        assert_eq!((holds.count, holds.max_ms), (1, 300.0));
        assert_eq!(history.current(Lock::Write), Some((start + ms(100), who(1).as_ref())));
    }

    #[test]
    fn a_hold_that_reaches_into_the_window_counts_with_the_part_inside() {
        let start = Instant::now();
        let history = history(start, &[(1, 0, 1000), (1, 2000, 61_000)]);
        let holds = history.write_holds(start + ms(70_000), ms(60_000)).expect("sampled");
        assert_eq!((holds.count, holds.max_ms), (1, 59_000.0));
        assert!((holds.by_process[0].total_ms - 51_000.0).abs() < 1e-9);
        assert!((holds.held_ratio - 0.85).abs() < 1e-9);
    }

    #[test]
    fn checkpoints_are_no_write_holds() {
        let start = Instant::now();
        let mut history = history(start, &[]);
        history.open(Lock::Checkpoint, start, who(1));
        assert!(history.current(Lock::Checkpoint).is_some() && history.current(Lock::Write).is_none());
        history.close(Lock::Checkpoint, start + ms(10));
        assert_eq!(history.write_holds(start + ms(20), History::WINDOW).expect("sampled").count, 0);
    }

    #[test]
    fn a_writer_that_takes_over_ends_the_hold_before() {
        let start = Instant::now();
        let mut history = history(start, &[]);
        history.open(Lock::Write, start, who(1));
        history.open(Lock::Write, start + ms(10), who(2));
        history.close(Lock::Write, start + ms(15));
        let holds = history.write_holds(start + ms(20), History::WINDOW).expect("sampled");
        assert_eq!((holds.count, holds.max_ms), (2, 10.0));
    }

    #[test]
    fn the_ring_is_bounded() {
        let start = Instant::now();
        let mut history = history(start, &[]);
        for at in 0..=History::HOLDS as u64 {
            history.open(Lock::Write, start + ms(at), who(1));
        }
        history.close(Lock::Write, start + ms(History::HOLDS as u64 + 1));
        assert_eq!(history.holds.len(), History::HOLDS);
        for at in 0..100 {
            history.wal_is(start + ms(at), 1, at);
        }
        assert_eq!(history.sizes.len(), History::SIZES);
    }

    #[test]
    fn lanes_show_the_share_of_each_second() {
        let start = Instant::now();
        let history = history(start, &[(1, 500, 1250), (2, 58_000, 60_000)]);
        let lanes = history.trend(start + ms(60_000)).lanes;
        assert_eq!(lanes.iter().map(|lane| lane.pid).collect::<Vec<_>>(), [Some(2), Some(1)]);
        assert_eq!(lanes[0].name, "name2");
        assert_eq!(lanes[0].cells.len(), Lane::CELLS);
        assert_eq!(lanes[0].cells[57..], [0.0, 1.0, 1.0]);
        assert_eq!(lanes[1].cells[..3], [0.5, 0.25, 0.0]);
    }

    #[test]
    fn lanes_are_few_and_the_busiest() {
        let start = Instant::now();
        let holds: Vec<_> =
            (1_u32..=20).map(|n| (n.cast_signed(), u64::from(n) * 1000, u64::from(n) * 1001)).collect();
        let lanes = history(start, &holds).trend(start + ms(30_000)).lanes;
        assert_eq!(lanes.len(), History::LANES);
        assert_eq!(lanes[0].pid, Some(20));
    }

    #[test]
    fn a_log_that_shrinks_or_is_another_gives_no_rate() {
        let start = Instant::now();
        let mut history = History::default();
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
        history.wal_is_gone();
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
    }
}
