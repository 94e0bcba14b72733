//! What happened between the looks: lock holds, waits, growth of the log, in buffers of bounded size.
//!
//! Nothing here reads a clock: the time comes in. The newest [`LockHistory::HOLDS`] holds of the write lock are kept
//! one by one, at full activity a minute of them and more; one that leaves the ring is added to its second: for
//! four hours of seconds in which the lock was held, the three processes that held it longest, by name, and
//! all others together. A database's history takes at most [`LockHistory::BYTES`], whatever runs: every hold by a
//! process of its own, names and all. That is less than 12 MB; a few processes that come back again and again
//! take less than 3 MB, and a quiet database next to nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::snapshot::{ProcessHolds, WriteHolds};

mod coarse;
mod rate;
mod timeline;

use coarse::CoarseHistory;
pub use rate::{GrowthRate, MovedFrames};
pub use timeline::{LockWaits, TimeWindow, Timeline, TimelineLane, TimelineStep};

/// What a rate has to span that others are worked out from.
const SPAN: Duration = Duration::from_secs(10);
/// Time between two of its values: those that are kept span more than that.
const STEADY: Duration = Duration::from_millis(1500);
const _: () = assert!(STEADY.as_millis() * (GrowthRate::VALUES as u128 - 1) >= SPAN.as_millis());

/// What a console draws beside a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatabaseTrend {
    /// Growth of `-wal` in bytes a second over the last few looks; `None` until there are two.
    pub wal_bytes_per_second: Option<f64>,
    /// Frames that checkpoints moved in a second, over the last few looks; `None` where that is not known.
    pub frames_moved_per_second: Option<f64>,
    /// Who held the write lock when, one lane for each process that did, most time first.
    pub lanes: Vec<WriteLane>,
}

/// One process's holds of the write lock over the last minute.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteLane {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Its short name, as last seen.
    pub name: String,
    /// Share of each slice of time in which it held the lock, 0 to 1, oldest first; [`WriteLane::CELLS`] of them.
    pub cells: Vec<f32>,
}

impl WriteLane {
    /// Slices in a lane, of one second each.
    pub const CELLS: usize = 60;
}

/// Who held a lock. A PID alone is reused; PID and start are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LockOwner {
    /// `None`: a process that cannot be seen from here; with a name, several processes.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub name: String,
}

impl LockOwner {
    /// The name of those that are not kept apart.
    pub const OTHERS: &str = "others";
    /// Bytes of a name that are kept; the kernel's own names have 15 at most.
    const NAME: usize = 32;
    /// What one takes on the heap, the two counters of its `Arc` included.
    const BYTES: usize = size_of::<Self>() + 2 * size_of::<usize>() + Self::NAME;

    fn key(&self) -> (Option<i32>, Option<u64>, bool) {
        (self.pid, self.start_ticks, self.pid.is_none() && !self.name.is_empty())
    }

    fn is(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// One of the three locks that exclude others and can be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampledLock {
    /// Byte 120.
    Write,
    /// Byte 121.
    Checkpoint,
    /// Byte 122.
    Recover,
}

impl SampledLock {
    /// All of them, in the order of their bytes.
    pub const ALL: [Self; 3] = [Self::Write, Self::Checkpoint, Self::Recover];
}

/// Holds of the write lock in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HoldFigures {
    /// How many there were, the current one included.
    pub count: u64,
    /// Median length in ms. Past the ring it is right within a fifth, and so is the next.
    pub p50_ms: f64,
    /// 99th percentile in ms.
    pub p99_ms: f64,
    /// The longest in ms.
    pub max_ms: f64,
    /// Share of the time in which the lock was held, 0 to 1.
    pub held_ratio: f64,
}

/// What was seen of one database over time.
#[derive(Debug, Default)]
pub struct LockHistory {
    /// When the sampler began; all times here are microseconds after it.
    since: Option<Instant>,
    holds: VecDeque<TimedHold>,
    open: [Option<(Instant, Arc<LockOwner>)>; 3],
    past: CoarseHistory,
    waits: VecDeque<TimedHold>,
    log: Option<u64>,
    growth: GrowthRate,
    // The same at most every `STEADY`, so that it spans long enough however often somebody looks.
    steady_growth: GrowthRate,
    moved: MovedFrames,
}

/// Microseconds, or a time in microseconds after the sampler began: 292,000 years fit.
type Micros = i64;

/// A hold, or a wait: who, from when on, for how long.
#[derive(Debug, Clone)]
struct TimedHold {
    start: Micros,
    length: Micros,
    who: Arc<LockOwner>,
}

/// What a window shows of one hold, or of a process's holds in a second of the past.
#[derive(Debug)]
struct HoldPiece<'a> {
    who: &'a Arc<LockOwner>,
    // The part of the window that it lies in, and how much of that the lock was held.
    start: Micros,
    end: Micros,
    held: Micros,
    count: u64,
    // Whole length of the longest hold, and when it began where that is known.
    longest: Micros,
    began: Option<Micros>,
    goes_on: bool,
}

impl LockHistory {
    /// How many holds are kept one by one; the oldest goes first.
    pub const HOLDS: usize = 32_768;
    /// How many waits are kept.
    pub const WAITS: usize = 4096;
    /// How far back the figures of a snapshot reach.
    pub const WINDOW: Duration = Duration::from_mins(1);
    /// How many lanes are drawn in a panel.
    pub const LANES: usize = 8;
    /// What a history takes at most, in bytes.
    pub const BYTES: usize = size_of::<Self>()
        + (Self::HOLDS + Self::WAITS) * (size_of::<TimedHold>() + LockOwner::BYTES)
        + SampledLock::ALL.len() * LockOwner::BYTES
        + CoarseHistory::BYTES
        + 2 * GrowthRate::VALUES * size_of::<(Instant, u64)>();

    /// The sampler is at work from `at` on. Only the first call counts.
    pub fn sampling_began(&mut self, at: Instant) {
        self.since.get_or_insert(at);
    }

    /// How far back the samples reach, at most [`LockHistory::WINDOW`]; `None` where nothing samples.
    pub fn reach(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since).min(Self::WINDOW))
    }

    /// Whether `at` is when the sampler began, so that what it saw then may have begun before.
    pub fn is_from_the_beginning(&self, at: Instant) -> bool {
        self.since.is_some_and(|since| at <= since)
    }

    /// `who` holds `lock` from `at` on. A hold that was open ends there.
    pub fn open(&mut self, lock: SampledLock, at: Instant, who: Arc<LockOwner>) {
        self.close(lock, at);
        self.sampling_began(at);
        self.open[lock as usize] = Some((at, self.known(who)));
    }

    /// Nobody holds `lock` from `at` on.
    pub fn close(&mut self, lock: SampledLock, at: Instant) {
        let Some((start, who)) = self.open[lock as usize].take() else { return };
        if lock == SampledLock::Write {
            if self.holds.len() == Self::HOLDS
                && let Some(oldest) = self.holds.pop_front()
            {
                self.past.take(&oldest);
            }
            let hold = TimedHold {
                start: self.micros(start),
                length: micros(at.saturating_duration_since(start)),
                who,
            };
            push_bounded(&mut self.holds, Self::HOLDS, hold);
        }
    }

    /// Since when `lock` is held, and by whom, as far as the sampler knows.
    pub fn current(&self, lock: SampledLock) -> Option<(Instant, &LockOwner)> {
        self.open[lock as usize].as_ref().map(|(start, who)| (*start, who.as_ref()))
    }

    /// `who` waited for the write lock until `end`, as it says itself. What was before the sampler began is left out.
    pub fn waited(&mut self, end: Instant, length: Duration, who: Arc<LockOwner>) {
        if self.since.is_some_and(|since| end >= since) {
            let length = micros(length);
            let hold = TimedHold { start: self.micros(end) - length, length, who: self.known(who) };
            push_bounded(&mut self.waits, Self::WAITS, hold);
        }
    }

    /// The holds of the write lock within `window` before `now`; `None` where nothing was sampled.
    ///
    /// A hold that reaches into the window counts with its whole length in the percentiles, and with the
    /// part inside in the times held. The one that is open counts with its length so far.
    pub fn write_holds(&self, now: Instant, window: Duration) -> Option<WriteHolds> {
        self.since?;
        let to = self.micros(now);
        let from = to - micros(window);
        let HoldFigures { count, p50_ms, p99_ms, max_ms, held_ratio } = self.figures(from, to, to);
        let mut processes: HashMap<_, ProcessHolds> = HashMap::new();
        for piece in self.pieces(from, to, to) {
            let part = processes.entry(piece.who.key()).or_insert_with(|| ProcessHolds {
                pid: piece.who.pid,
                count: 0,
                max_ms: 0.0,
                total_ms: 0.0,
            });
            part.count += piece.count;
            part.max_ms = part.max_ms.max(milliseconds(piece.longest));
            part.total_ms += milliseconds(piece.held);
        }
        let mut by_process: Vec<_> = processes.into_values().collect();
        by_process.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms).then(a.pid.cmp(&b.pid)));
        Some(WriteHolds { count, p50_ms, p99_ms, max_ms, held_ratio, by_process })
    }

    /// `-wal` has this inode and size at `at`.
    pub fn wal_is(&mut self, at: Instant, inode: u64, bytes: u64) {
        if self.log.replace(inode) != Some(inode) {
            self.growth.begin_anew();
            self.steady_growth.begin_anew();
        }
        self.growth.is(at, bytes);
        self.steady_growth.is_at_most_every(STEADY, at, bytes);
    }

    /// There is no `-wal`.
    pub fn wal_is_gone(&mut self) {
        self.log = None;
        self.growth.begin_anew();
        self.steady_growth.begin_anew();
        self.moved.is_unknown();
    }

    /// What checkpoints have moved, to be told at each look.
    pub fn moved(&mut self) -> &mut MovedFrames {
        &mut self.moved
    }

    /// Growth of `-wal` in bytes a second over the last looks; `None` until they span ten seconds, so that it says
    /// something of the next minute.
    pub fn wal_bytes_per_second(&self) -> Option<f64> {
        self.steady_growth.a_second_over(SPAN)
    }

    /// What a console draws, as of `now`.
    pub fn trend(&self, now: Instant) -> DatabaseTrend {
        DatabaseTrend {
            wal_bytes_per_second: self.growth.a_second(),
            frames_moved_per_second: self.moved.a_second(),
            lanes: self.lanes(now),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    fn lanes(&self, now: Instant) -> Vec<WriteLane> {
        let to = self.micros(now);
        let from = to - micros(Self::WINDOW);
        let mut lanes: HashMap<_, (&Arc<LockOwner>, Micros, [Micros; WriteLane::CELLS])> = HashMap::new();
        for piece in self.pieces(from, to, to) {
            let lane = lanes.entry(piece.who.key()).or_insert((piece.who, 0, [0; WriteLane::CELLS]));
            lane.0 = piece.who;
            lane.1 += piece.held;
            for (cell, left) in lane.2.iter_mut().zip((from..).step_by(1_000_000)) {
                *cell += (piece.end.min(left + coarse::SECOND) - piece.start.max(left)).max(0);
            }
        }
        let mut lanes: Vec<_> = lanes.into_values().collect();
        lanes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.key().cmp(&b.0.key())));
        lanes.truncate(Self::LANES);
        let share = |cell: Micros| (milliseconds(cell) / milliseconds(coarse::SECOND)).min(1.0) as f32;
        lanes
            .into_iter()
            .map(|(who, _, cells)| WriteLane {
                pid: who.pid,
                name: who.name.clone(),
                cells: cells.map(share).to_vec(),
            })
            .collect()
    }

    fn figures(&self, from: Micros, to: Micros, now: Micros) -> HoldFigures {
        let mut figures = HoldFigures::default();
        let mut held = 0;
        let mut lengths: Vec<(Micros, u64)> = self.past.lengths(from, to).collect();
        for piece in self.pieces(from, to, now) {
            figures.count += piece.count;
            figures.max_ms = figures.max_ms.max(milliseconds(piece.longest));
            held += piece.held;
            if piece.began.is_some() {
                lengths.push((piece.longest, 1));
            }
        }
        lengths.sort_unstable();
        let all = lengths.iter().map(|(_, count)| count).sum::<u64>();
        let percentile = |percent: u64| {
            let mut left = (all * percent).div_ceil(100).max(1);
            let found = lengths.iter().find(|(_, count)| {
                let is_in = left <= *count;
                left = left.saturating_sub(*count);
                is_in
            });
            found.map_or(0.0, |(length, _)| milliseconds(*length))
        };
        (figures.p50_ms, figures.p99_ms) = (percentile(50), percentile(99));
        let known = to - from.max(self.oldest());
        if known > 0 {
            figures.held_ratio = (milliseconds(held) / milliseconds(known)).min(1.0);
        }
        figures
    }

    // What lies between `from` and `to`, oldest first; the hold that is open ends `now`.
    fn pieces(&self, from: Micros, to: Micros, now: Micros) -> impl Iterator<Item = HoldPiece<'_>> {
        let first = self.holds.partition_point(|hold| hold.end() <= from);
        let after = self.holds.partition_point(|hold| hold.start < to).max(first);
        let open = self.open[SampledLock::Write as usize].as_ref().and_then(|(start, who)| {
            let start = self.micros(*start);
            let piece = HoldPiece::of(who, start, now - start, true, from, to);
            (start < to).then_some(piece)
        });
        let ring = self
            .holds
            .range(first..after)
            .map(move |hold| HoldPiece::of(&hold.who, hold.start, hold.length, false, from, to));
        self.past.pieces(from, to).chain(ring).chain(open)
    }

    /// The oldest moment that is known.
    fn oldest(&self) -> Micros {
        self.past.forgotten_before().unwrap_or(0)
    }

    // One value for a process that comes back again and again, and no name longer than is counted on.
    fn known(&self, who: Arc<LockOwner>) -> Arc<LockOwner> {
        const LOOKED_AT: usize = 8;
        let recent = self.holds.iter().rev().map(|hold| &hold.who).take(LOOKED_AT);
        let waited = self.waits.iter().rev().map(|wait| &wait.who).take(1);
        let past = self.past.recent().take(LOOKED_AT);
        if let Some(known) = recent.chain(waited).chain(past).find(|known| **known == who) {
            return Arc::clone(known);
        }
        if who.name.capacity() <= LockOwner::NAME {
            return who;
        }
        let name = &who.name[..who.name.floor_char_boundary(LockOwner::NAME)];
        Arc::new(LockOwner { name: name.to_owned(), ..*who })
    }

    fn micros(&self, at: Instant) -> Micros {
        self.since.map_or(0, |since| micros(at.saturating_duration_since(since)))
    }
}

impl TimedHold {
    fn end(&self) -> Micros {
        self.start + self.length
    }
}

impl<'a> HoldPiece<'a> {
    fn of(
        who: &'a Arc<LockOwner>,
        began: Micros,
        length: Micros,
        goes_on: bool,
        from: Micros,
        to: Micros,
    ) -> Self {
        let (start, end) = (began.max(from), (began + length).min(to));
        let (held, began) = ((end - start).max(0), Some(began));
        Self { who, start, end, held, count: 1, longest: length, began, goes_on }
    }
}

// A queue that grows to `limit` and no further: doubling would take up to twice as much.
fn push_bounded<T>(queue: &mut VecDeque<T>, limit: usize, value: T) {
    if queue.len() == limit {
        queue.pop_front();
    }
    if queue.len() == queue.capacity() {
        queue.reserve_exact(queue.len().max(8).min(limit - queue.len()));
    }
    queue.push_back(value);
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(micros.max(0).unsigned_abs())
}

#[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
fn milliseconds(micros: Micros) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn who(pid: i32) -> Arc<LockOwner> {
        Arc::new(LockOwner { pid: Some(pid), start_ticks: Some(7), name: format!("name{pid}") })
    }

    pub fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    // A history sampled from `start` on, with holds `(pid, from, to)` in ms after it.
    pub fn history(start: Instant, holds: &[(i32, u64, u64)]) -> LockHistory {
        let mut history = LockHistory::default();
        history.sampling_began(start);
        for &(pid, from, to) in holds {
            history.open(SampledLock::Write, start + ms(from), who(pid));
            history.close(SampledLock::Write, start + ms(to));
        }
        history
    }

    #[test]
    fn nothing_sampled_is_none_and_not_zero() {
        let history = LockHistory::default();
        assert_eq!(history.write_holds(Instant::now(), LockHistory::WINDOW), None);
        assert_eq!(history.reach(Instant::now()), None);
        assert_eq!(history.trend(Instant::now()), DatabaseTrend::default());
    }

    #[test]
    fn holds_are_counted_by_process() {
        let start = Instant::now();
        let history = history(start, &[(1, 0, 10), (2, 20, 50), (1, 100, 140), (1, 200, 205)]);
        let holds = history.write_holds(start + ms(1000), LockHistory::WINDOW).expect("sampled");
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
        history.open(SampledLock::Write, start + ms(100), who(1));
        let holds = history.write_holds(start + ms(400), LockHistory::WINDOW).expect("sampled");
        assert_eq!((holds.count, holds.max_ms), (1, 300.0));
        assert_eq!(history.current(SampledLock::Write), Some((start + ms(100), who(1).as_ref())));
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
        history.open(SampledLock::Checkpoint, start, who(1));
        assert!(
            history.current(SampledLock::Checkpoint).is_some()
                && history.current(SampledLock::Write).is_none()
        );
        history.close(SampledLock::Checkpoint, start + ms(10));
        assert_eq!(history.write_holds(start + ms(20), LockHistory::WINDOW).expect("sampled").count, 0);
    }

    #[test]
    fn a_writer_that_takes_over_ends_the_hold_before() {
        let start = Instant::now();
        let mut history = history(start, &[]);
        history.open(SampledLock::Write, start, who(1));
        history.open(SampledLock::Write, start + ms(10), who(2));
        history.close(SampledLock::Write, start + ms(15));
        let holds = history.write_holds(start + ms(20), LockHistory::WINDOW).expect("sampled");
        assert_eq!((holds.count, holds.max_ms), (2, 10.0));
    }

    // Every second two hundred holds, each by a process of its own: four hours of it and a little more.
    fn full_activity(start: Instant) -> (LockHistory, Duration) {
        let (mut history, mut at) = (LockHistory::default(), Duration::ZERO);
        history.sampling_began(start);
        for number in 0..200 * 60 * 245_u32 {
            let name = format!("a name longer than any the kernel has {number}");
            let who = LockOwner { pid: Some(number.cast_signed()), start_ticks: Some(number.into()), name };
            history.open(SampledLock::Write, start + at, Arc::new(who));
            history
                .close(SampledLock::Write, start + at + Duration::from_micros(u64::from(number % 7) * 600));
            at += Duration::from_millis(5);
            if number % 100 == 0 {
                history.waited(start + at, ms(3), who_waits(number));
                history.wal_is(start + at, 1, number.into());
                history.moved().is(start + at, 1, number, number);
            }
        }
        (history, at)
    }

    fn who_waits(number: u32) -> Arc<LockOwner> {
        Arc::new(LockOwner { pid: Some(-1), start_ticks: Some(number.into()), name: "waltop".to_owned() })
    }

    // What the containers have taken from the heap, each holder counted once.
    fn size(history: &LockHistory) -> usize {
        let (past, named) = history.past.size();
        let ring = history.holds.iter().chain(&history.waits).map(|hold| &hold.who);
        let holders: HashMap<_, _> = ring.chain(named).map(|who| (Arc::as_ptr(who), who)).collect();
        let taken =
            holders.values().map(|who| size_of::<LockOwner>() + 2 * size_of::<usize>() + who.name.capacity());
        size_of::<LockHistory>()
            + (history.holds.capacity() + history.waits.capacity()) * size_of::<TimedHold>()
            + past
            + taken.sum::<usize>()
            + history.growth.size()
            + history.steady_growth.size()
            + history.moved.size()
    }

    #[test]
    fn four_hours_at_full_activity_stay_inside_the_bound_and_can_be_asked_for() {
        let start = Instant::now();
        let (history, at) = full_activity(start);
        assert_eq!(history.holds.len(), LockHistory::HOLDS);
        let taken = size(&history);
        assert!(taken <= LockHistory::BYTES, "{taken} of {}", LockHistory::BYTES);
        assert!(
            taken > LockHistory::BYTES / 2,
            "the bound says something: {taken} of {}",
            LockHistory::BYTES
        );
        const { assert!(LockHistory::BYTES < 12_000_000, "as the module says") };
        let hours = Duration::from_hours(4);
        let holds = history.write_holds(start + at, hours).expect("sampled");
        let off = holds.count.abs_diff(200 * 60 * 240);
        assert!(off < 3000, "{}", holds.count);
        assert_eq!((holds.max_ms, off < 3000), (3.6, true));
        assert!((holds.held_ratio - 0.36).abs() < 0.01, "{}", holds.held_ratio);
        assert!((holds.p50_ms - 1.8).abs() < 0.36 && (holds.p99_ms - 3.6).abs() < 0.72, "{holds:?}");
        let now = (start + at, jiff::Timestamp::UNIX_EPOCH);
        for end in [None, Some(start), Some(start + at.saturating_sub(hours))] {
            let timeline = history.timeline(TimeWindow { end, span: hours }, now).expect("sampled");
            assert!(timeline.end >= timeline.oldest);
            assert_eq!(timeline.lanes.len(), Timeline::LANES);
        }
        let timeline = history.timeline(TimeWindow { end: None, span: hours }, now).expect("sampled");
        assert_eq!(timeline.unknown_cells(), 0, "all four hours are there");
        let held: f32 = timeline.lanes.iter().flat_map(|lane| &lane.shares).sum();
        assert!((held / 600.0 - 0.36).abs() < 0.01, "{held}");
        let first_minute =
            TimeWindow { end: Some(start + at.saturating_sub(hours) + ms(60_000)), span: ms(60_000) };
        let timeline = history.timeline(first_minute, now).expect("sampled");
        assert!(timeline.figures.count > 11_900, "{}", timeline.figures.count);
        assert!(timeline.lanes[0].moments.iter().flatten().all(|moment| moment.began.is_none()));
    }

    #[test]
    fn one_process_that_comes_back_takes_little() {
        let start = Instant::now();
        let mut history = LockHistory::default();
        for number in 0..200_000 {
            history.open(SampledLock::Write, start + ms(number * 100), who(1 + i32::from(number % 2 == 0)));
            history.close(SampledLock::Write, start + ms(number * 100 + 5));
        }
        assert!(size(&history) < 3_000_000, "{}", size(&history));
        let holds = history.write_holds(start + ms(20_000_000), Duration::from_hours(4)).expect("sampled");
        assert_eq!(holds.by_process.len(), 2);
        assert!(holds.by_process.iter().all(|part| part.count.abs_diff(72_000) < 20), "{holds:?}");
    }

    #[test]
    fn lanes_show_the_share_of_each_second() {
        let start = Instant::now();
        let history = history(start, &[(1, 500, 1250), (2, 58_000, 60_000)]);
        let lanes = history.trend(start + ms(60_000)).lanes;
        assert_eq!(lanes.iter().map(|lane| lane.pid).collect::<Vec<_>>(), [Some(2), Some(1)]);
        assert_eq!(lanes[0].name, "name2");
        assert_eq!(lanes[0].cells.len(), WriteLane::CELLS);
        assert_eq!(lanes[0].cells[57..], [0.0, 1.0, 1.0]);
        assert_eq!(lanes[1].cells[..3], [0.5, 0.25, 0.0]);
    }

    #[test]
    fn lanes_are_few_and_the_busiest() {
        let start = Instant::now();
        let holds: Vec<_> =
            (1_u32..=20).map(|n| (n.cast_signed(), u64::from(n) * 1000, u64::from(n) * 1001)).collect();
        let lanes = history(start, &holds).trend(start + ms(30_000)).lanes;
        assert_eq!(lanes.len(), LockHistory::LANES);
        assert_eq!(lanes[0].pid, Some(20));
    }

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
        history.wal_is_gone();
        assert_eq!(history.trend(start).wal_bytes_per_second, None);
    }

    #[test]
    fn a_large_commit_between_two_looks_says_nothing_of_the_growth_to_come() {
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
