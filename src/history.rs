//! What happened between snapshots: lock holds, waits, growth of the log, in buffers of bounded size.
//!
//! Nothing here reads a clock: the caller passes the time. The newest [`LockHistory::HOLDS`] holds of the write lock
//! are kept one by one; at full activity that is a minute or more. A hold that leaves the ring is added to its second.
//! There are four hours of seconds in which the lock was held; each keeps the three processes that held it longest, by
//! name, and the sum of all others. A database's history takes at most [`LockHistory::BYTES`], even if every hold is by
//! another process with another name. That is less than 17 MB; a few recurring processes take less than 3 MB, and a
//! quiet database almost nothing.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod activity_past;
mod coarse;
mod events;
mod grid;
mod holds;
mod log_growth;
mod log_past;
mod log_window;
mod rate;
mod sampled_spans;
mod timeline;
mod wait_past;

use activity_past::ActivityPast;
use coarse::CoarseHistory;
use events::EventQueue;
pub use events::{EventReader, HistoryEvent};
use holds::HoldPiece;
use log_past::LogPast;
use log_window::LogWindow;
pub use log_window::{LogSight, ReaderTally};
pub use rate::{GrowthRate, MovedFrames};
pub use timeline::{
    LaneSpan, LockWaits, TimeBase, TimeWindow, Timeline, TimelineBuilder, TimelineHold, TimelineLane,
    TimelineStep,
};
use wait_past::WaitPast;

/// What a console draws in addition to a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatabaseTrend {
    /// Growth of `-wal` in bytes per second over the last few samples; `None` until there are two.
    pub wal_bytes_per_second: Option<f64>,
    /// Frames that were checkpointed per second, over the last few samples; `None` if unknown.
    pub frames_moved_per_second: Option<f64>,
    pub minute: LastMinute,
}

/// The write lock in the last minute.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LastMinute {
    /// One lane per process, most time first.
    pub lanes: Vec<WriteLane>,
    /// Whether each time slice was not watched; empty if all were.
    pub unwatched: Vec<bool>,
}

/// One process's holds of the write lock over the last minute.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteLane {
    /// `None`: the process is not visible from here.
    pub pid: Option<i32>,
    /// Its label, as last seen.
    pub name: String,
    /// Share of each time slice in which it held the lock, 0 to 1, oldest first; [`WriteLane::CELLS`] of them.
    pub cells: Vec<f32>,
}

impl WriteLane {
    /// Slices in a lane, of one second each.
    pub const CELLS: usize = 60;
}

/// The holder of a lock. A PID alone is reused; PID and start together are not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LockOwner {
    /// `None`: the process is not visible from here; with a name, several processes.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// Its label.
    pub name: String,
    /// What metrics call it: the name of its daemon rule, else its short name; empty if that is unknown.
    pub program: Box<str>,
}

impl LockOwner {
    /// The name for the sum of all other processes.
    pub const OTHERS: &str = "others";
    /// Bytes of a label, and of the name for metrics, that are kept.
    const NAME: usize = 32;
    /// Heap bytes of one owner, the two counters of its `Arc` included.
    const BYTES: usize = size_of::<Self>() + 2 * size_of::<usize>() + 2 * Self::NAME;

    /// The sum of all other processes.
    fn others() -> Self {
        Self { name: Self::OTHERS.to_owned(), ..Self::default() }
    }

    fn key(&self) -> (Option<i32>, Option<u64>, bool) {
        (self.pid, self.start_ticks, self.pid.is_none() && !self.name.is_empty())
    }

    fn is(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// One of the three exclusive locks that can be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// Holds of the write lock in a time range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HoldFigures {
    /// Number of holds, the current one included.
    pub count: u64,
    /// Median length in ms of those that have ended; `None` if none has. For times older than the ring it is accurate to
    /// a fifth, as is the next one.
    pub p50_ms: Option<f64>,
    /// 99th percentile in ms of those that have ended.
    pub p99_ms: Option<f64>,
    /// The longest in ms, the current one included.
    pub max_ms: f64,
    /// Share of the time in which the lock was held, 0 to 1.
    pub held_ratio: f64,
}

/// The observations of one database over time.
#[derive(Debug, Default)]
pub struct LockHistory {
    /// When the sampler started; all times here are microseconds after it.
    since: Option<Instant>,
    holds: VecDeque<TimedHold>,
    open: [Option<(Instant, Arc<LockOwner>)>; 3],
    past: CoarseHistory,
    waits: WaitPast,
    activities: ActivityPast,
    log_past: LogPast,
    log_window: LogWindow,
    log: Option<u64>,
    growth: GrowthRate,
    // The same at most every `STEADY`, so that it spans enough time at any sampling rate.
    steady_growth: GrowthRate,
    moved: MovedFrames,
    // One for each reader; `None`: it reads none.
    events: [Option<EventQueue>; 2],
}

/// Microseconds, or a time in microseconds after the start of the sampler: 292,000 years fit.
type Micros = i64;

/// A hold or a wait: process, start and length.
#[derive(Debug, Clone)]
struct TimedHold {
    start: Micros,
    length: Micros,
    who: Arc<LockOwner>,
}

impl LockHistory {
    /// How many holds are kept one by one; the oldest is removed first.
    pub const HOLDS: usize = 32_768;
    /// The time range of a snapshot's figures.
    pub const WINDOW: Duration = Duration::from_mins(1);
    /// How many lanes a sample keeps: those of the processes with the most time.
    pub const LANES: usize = 16;
    /// The most bytes that a history takes.
    pub const BYTES: usize = size_of::<Self>()
        + Self::HOLDS * (size_of::<TimedHold>() + LockOwner::BYTES)
        + WaitPast::BYTES
        + ActivityPast::BYTES
        + SampledLock::ALL.len() * LockOwner::BYTES
        + CoarseHistory::BYTES
        + LogPast::BYTES
        + LogWindow::BYTES
        + 2 * GrowthRate::VALUES * size_of::<(Instant, u64)>();

    /// Records that the sampler started at `at`. Only the first call counts.
    pub fn sampling_began(&mut self, at: Instant) {
        self.since.get_or_insert(at);
    }

    /// How far back the samples reach, at most [`LockHistory::WINDOW`]; `None` if nothing is sampled.
    pub fn reach(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since).min(Self::WINDOW))
    }

    /// Whether `at` is the start of the sampler: a hold seen then may have started earlier.
    pub fn is_from_the_beginning(&self, at: Instant) -> bool {
        self.since.is_some_and(|since| at <= since)
    }

    /// Records that `who` holds `lock` from `at` on. Ends an open hold.
    pub fn open(&mut self, lock: SampledLock, at: Instant, who: Arc<LockOwner>) {
        self.close(lock, at);
        self.sampling_began(at);
        let who = self.known(who);
        self.note_event(|| HistoryEvent::Began { lock, at, who: Arc::clone(&who) });
        self.open[lock as usize] = Some((at, who));
    }

    /// Moves the beginning of the open hold of `lock` back to `at`, if `pid` held it when the sampler started.
    pub fn began_earlier(&mut self, lock: SampledLock, pid: Option<i32>, at: Instant) {
        let since = self.since;
        if let Some((start, who)) = &mut self.open[lock as usize]
            && since.is_some_and(|since| *start <= since)
            && who.pid == pid
        {
            *start = (*start).min(at);
        }
    }

    /// Records that no process holds `lock` from `at` on.
    pub fn close(&mut self, lock: SampledLock, at: Instant) {
        let Some((start, who)) = self.open[lock as usize].take() else { return };
        self.note_event(|| HistoryEvent::Ended { lock, began: start, at, who: Arc::clone(&who) });
        let hold =
            TimedHold { start: self.micros(start), length: micros(at.saturating_duration_since(start)), who };
        match lock {
            SampledLock::Write => {
                if self.holds.len() == Self::HOLDS
                    && let Some(oldest) = self.holds.pop_front()
                {
                    self.past.add(&oldest);
                }
                push_bounded(&mut self.holds, Self::HOLDS, hold);
            }
            SampledLock::Checkpoint => self.log_past.checkpointed(hold),
            SampledLock::Recover => {}
        }
    }

    /// Since when `lock` is held, and its holder, as far as the sampler knows.
    pub fn current(&self, lock: SampledLock) -> Option<(Instant, &LockOwner)> {
        self.open[lock as usize].as_ref().map(|(start, who)| (*start, who.as_ref()))
    }

    /// The end of the last hold of the write lock; `None` if there was none.
    pub fn last_release(&self) -> Option<Instant> {
        self.instant(self.holds.back()?.end())
    }

    /// What a console draws at `now`.
    pub fn trend(&self, now: Instant) -> DatabaseTrend {
        DatabaseTrend {
            wal_bytes_per_second: self.growth.a_second(),
            frames_moved_per_second: self.moved.a_second(),
            minute: LastMinute { lanes: self.lanes(now), unwatched: self.unwatched(now) },
        }
    }

    /// The time slices of the last minute that ended before the sampler began.
    fn unwatched(&self, now: Instant) -> Vec<bool> {
        let Some(reach) = self.reach(now) else { return Vec::new() };
        let watched = usize::try_from(reach.as_secs() + 1).unwrap_or(WriteLane::CELLS);
        let before = WriteLane::CELLS.saturating_sub(watched);
        if before == 0 { Vec::new() } else { (0..WriteLane::CELLS).map(|cell| cell < before).collect() }
    }

    /// The oldest known time.
    fn oldest(&self) -> Micros {
        self.past.dropped_before().unwrap_or(0)
    }

    // One shared value for a recurring process, and no name longer than the limit.
    fn known(&self, who: Arc<LockOwner>) -> Arc<LockOwner> {
        const LOOKED_AT: usize = 8;
        let recent = self.holds.iter().rev().map(|hold| &hold.who).take(LOOKED_AT);
        let waited = self.waits.recent();
        let past = self.past.recent().take(LOOKED_AT);
        if let Some(known) = recent.chain(waited).chain(past).find(|known| **known == who) {
            return Arc::clone(known);
        }
        if who.name.capacity() <= LockOwner::NAME && who.program.len() <= LockOwner::NAME {
            return who;
        }
        let kept = |text: &str| text[..text.floor_char_boundary(LockOwner::NAME)].to_owned();
        Arc::new(LockOwner { name: kept(&who.name), program: kept(&who.program).into(), ..*who })
    }

    fn micros(&self, at: Instant) -> Micros {
        self.since.map_or(0, |since| {
            let after = at.checked_duration_since(since).map(micros);
            after.unwrap_or_else(|| -micros(since.saturating_duration_since(at)))
        })
    }

    // What was held when the sampler started may have begun before.
    fn instant(&self, at: Micros) -> Option<Instant> {
        let since = self.since?;
        let before = || since.checked_sub(Duration::from_micros(at.unsigned_abs()));
        if at < 0 { before() } else { Some(since + duration(at)) }
    }
}

impl TimedHold {
    fn end(&self) -> Micros {
        self.start + self.length
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
mod tests;
