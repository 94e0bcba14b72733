//! Any range of the past as lanes, one per process, and the details under a cursor on them.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    HoldFigures, HoldPiece, LockHistory, LockOwner, Micros,
    grid::{TimelineGrid, earlier},
    milliseconds,
};
use crate::snapshot::{ActivityClass, DurationSpread};

mod builder;

pub use builder::{LaneSpan, TimeBase, TimelineBuilder};

/// The requested range of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// Its newer edge; `None`: now.
    pub end: Option<Instant>,
    pub span: Duration,
}

/// A range of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    pub end: Instant,
    /// The same in calendar time.
    pub ends_at: Timestamp,
    pub span: Duration,
    /// The oldest known time.
    pub oldest: Instant,
    pub newest: Instant,
    /// One lane per process that held the lock or waited for it, most time first; beyond [`Timeline::LANES`] of them
    /// the others share the last one.
    pub lanes: Vec<TimelineLane>,
    /// The holds in it, of all processes.
    pub figures: HoldFigures,
    /// The lock waits in it that are known: of waltop's own ingestions, and of every writer if the kernel traces them.
    pub waits: Option<LockWaits>,
    /// The longest of the holds that are kept one by one, in the order of their starts. Beside a long one the short
    /// ones are left out: see [`Timeline::LISTED`].
    pub holds: Vec<TimelineHold>,
    /// The size of the log in each cell, in bytes; `None` if it is not known.
    pub log: Vec<Option<u64>>,
    /// Whether nothing was watched in a cell; empty if all of it was.
    pub unwatched: Vec<bool>,
    /// Whether it comes from a recording.
    pub is_recorded: bool,
}

/// One hold of the write lock.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineHold {
    pub who: LockOwner,
    /// When it started, in microseconds after the start of the sampler: this identifies it.
    pub start: i64,
    pub began: Timestamp,
    pub length_ms: f64,
    pub goes_on: bool,
    /// The cells that it covers.
    pub cells: std::ops::Range<usize>,
}

/// One process's holds of the write lock in a range of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineLane {
    /// The process; one without a PID and with a name stands for several.
    pub who: LockOwner,
    /// Share of each cell in which it held the lock, 0 to 1, oldest first; [`Timeline::CELLS`] of them.
    pub shares: Vec<f32>,
    /// Whether it waited for the lock in a cell, according to its own journal or the kernel's trace; empty if it never
    /// did.
    pub waited: Vec<bool>,
    /// Whether it may have waited for the lock in a cell, as its sleep shows; empty if it never did.
    pub may_have_waited: Vec<bool>,
    /// Whether a wait of it ended without the lock in a cell; empty if none did.
    pub refused: Vec<bool>,
    /// Whether it kept frames in the log in a cell, as far as the samples show; empty if it never did.
    pub pinned: Vec<bool>,
    /// Whether it ran a checkpoint in a cell; empty if it ran none.
    pub checkpointed: Vec<bool>,
    /// What it did in a cell while it held a lock or kept frames in the log; empty if that was never sampled.
    pub activities: Vec<Option<ActivityClass>>,
    /// What the cursor shows at each step; [`Timeline::STEPS`] of them.
    pub moments: Vec<Option<TimelineStep>>,
}

/// What one process did in one step of a timeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimelineStep {
    /// Holds that overlap it or, if the ring dropped them, ended in it.
    pub count: u64,
    /// Whole length of the longest of them, in ms.
    pub longest_ms: f64,
    /// When that one started; `None` if the ring has dropped it.
    pub began: Option<Timestamp>,
    pub goes_on: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LockWaits {
    pub count: u64,
    /// Their lengths in ms.
    pub spread: DurationSpread,
}

impl Timeline {
    /// Cells of a lane: a screen with fewer columns merges cells.
    pub const CELLS: usize = 600;
    pub const STEPS: usize = 60;
    pub const LANES: usize = 24;
    /// How many holds are listed.
    pub const HOLDS: usize = 200;
    /// A hold of this length is always listed; a shorter one only from a tenth of the longest hold on.
    pub const LISTED: Duration = Duration::from_millis(100);

    /// The cells of a cursor's `step`.
    pub fn cells(step: usize) -> std::ops::Range<usize> {
        const CELLS: usize = Timeline::CELLS / Timeline::STEPS;
        step * CELLS..(step + 1) * CELLS
    }

    /// How many of the cells, from the oldest on, are before the first sample.
    pub fn unknown_cells(&self) -> usize {
        let known = self.end.saturating_duration_since(self.oldest).as_nanos();
        let unknown = self.span.as_nanos().saturating_sub(known);
        let cells = unknown * Self::CELLS as u128 / self.span.as_nanos().max(1);
        usize::try_from(cells).unwrap_or(Self::CELLS)
    }

    /// The time after the fraction `share` (0 to 1) of it.
    pub fn at(&self, share: f64) -> Timestamp {
        let before = self.span.mul_f64((1.0 - share).clamp(0.0, 1.0));
        earlier(self.ends_at, before)
    }
}

/// What tells two processes apart.
type LaneKey = (Option<i32>, Option<u64>, bool);

impl LockHistory {
    /// The oldest known moment; `None` if nothing was sampled.
    pub fn begins(&self) -> Option<Instant> {
        Some(self.since? + Duration::from_micros(self.oldest().unsigned_abs()))
    }

    /// The range of the past in `window`, with `now` as the present on both clocks; `None` if nothing was sampled.
    pub fn timeline(&self, window: TimeWindow, now: (Instant, Timestamp)) -> Option<Timeline> {
        let since = self.since?;
        let oldest = self.begins()?;
        let span = window.span.max(Duration::from_millis(1));
        let end = window.end.unwrap_or(now.0).max(oldest + span).min(now.0);
        let to = self.micros(end);
        let from = to - super::micros(span);
        let grid = TimelineGrid {
            from,
            span: to - from,
            at: |micros| {
                earlier(now.1, now.0.saturating_duration_since(self.instant(micros).unwrap_or(since)))
            },
        };
        let (chosen, rest) = self.chosen(from, to, self.micros(now.0));
        let mut lanes: Vec<TimelineLane> = chosen.iter().map(|who| TimelineLane::of(who)).collect();
        let index: HashMap<_, _> = chosen.iter().enumerate().map(|(at, who)| (who.key(), at)).collect();
        if rest {
            lanes.push(TimelineLane::of(&LockOwner::others()));
        }
        let last = lanes.len().saturating_sub(1);
        for piece in self.pieces(from, to, self.micros(now.0)) {
            grid.draw(&mut lanes[index.get(&piece.who.key()).copied().unwrap_or(last)], &piece);
        }
        let mut waits = Vec::new();
        for (start, end, who) in self.waits.between(from, to, self.micros(now.0)) {
            waits.push(milliseconds(end - start));
            if end > start
                && let Some(&at) = index.get(&who.key())
            {
                grid.mark(&mut lanes[at].waited, start, end);
            }
        }
        self.mark(&grid, &mut lanes, &index, self.micros(now.0));
        Some(Timeline {
            end,
            ends_at: earlier(now.1, now.0.saturating_duration_since(end)),
            span,
            oldest,
            newest: now.0,
            lanes,
            holds: self.longest(&grid, self.micros(now.0)),
            log: self.log_past.sizes(from, to, Timeline::CELLS),
            unwatched: Vec::new(),
            is_recorded: false,
            figures: self.figures(from, to, self.micros(now.0)),
            waits: DurationSpread::of(&waits).map(|spread| LockWaits { count: waits.len() as u64, spread }),
        })
    }

    // What the processes with the lanes of `index` did apart from holds and waits.
    fn mark<F: Fn(Micros) -> Timestamp>(
        &self,
        grid: &TimelineGrid<F>,
        lanes: &mut [TimelineLane],
        index: &HashMap<LaneKey, usize>,
        now: Micros,
    ) {
        let (from, to) = (grid.from, grid.from + grid.span);
        for (last, who) in self.waits.without_lock(from, to) {
            if let Some(&at) = index.get(&who.key()) {
                grid.mark(&mut lanes[at].refused, last, last);
            }
        }
        for wait in self.waits.possible(from, to, now) {
            if let Some(&at) = index.get(&wait.who.key()) {
                grid.mark(&mut lanes[at].may_have_waited, wait.start, wait.end());
            }
        }
        for pin in self.log_past.pins(from, to, now) {
            if let Some(&at) = index.get(&pin.who.key()) {
                grid.mark(&mut lanes[at].pinned, pin.start, pin.end());
            }
        }
        for checkpoint in self.log_past.checkpoints(from, to) {
            if let Some(&at) = index.get(&checkpoint.who.key()) {
                grid.mark(&mut lanes[at].checkpointed, checkpoint.start, checkpoint.end());
            }
        }
        for (start, end, who, class) in self.activities.between(from, to) {
            if let Some(&at) = index.get(&who.key()) {
                grid.fill(&mut lanes[at].activities, (start, end), Some(class));
            }
        }
    }

    // The processes with the most time between `from` and `to`, and whether there are more than fit into lanes.
    fn chosen(&self, from: Micros, to: Micros, now: Micros) -> (Vec<&Arc<LockOwner>>, bool) {
        let mut totals: HashMap<_, (&Arc<LockOwner>, Micros)> = HashMap::new();
        for piece in self.pieces(from, to, now) {
            let total = totals.entry(piece.who.key()).or_insert((piece.who, 0));
            total.1 += piece.held;
        }
        for who in self.waits.owners(from, to, now).chain(self.log_past.holders(from, to)) {
            totals.entry(who.key()).or_insert((who, 0));
        }
        let mut chosen: Vec<_> = totals.into_iter().map(|(key, (who, held))| (key, who, held)).collect();
        let order = |a: &(LaneKey, _, Micros), b: &(LaneKey, _, Micros)| b.2.cmp(&a.2).then(a.0.cmp(&b.0));
        let rest = chosen.len() > Timeline::LANES;
        if rest {
            // There may be tens of thousands: only those that get a lane are sorted.
            chosen.select_nth_unstable_by(Timeline::LANES - 1, order);
            chosen.truncate(Timeline::LANES - 1);
        }
        chosen.sort_unstable_by(order);
        let chosen = chosen.into_iter().map(|(_, who, _)| who).collect();
        (chosen, rest)
    }
}

impl LockHistory {
    fn longest<F: Fn(Micros) -> Timestamp>(&self, grid: &TimelineGrid<F>, now: Micros) -> Vec<TimelineHold> {
        let pieces = self.pieces(grid.from, grid.from + grid.span, now);
        let mut pieces: Vec<_> = pieces.filter_map(|piece| Some((piece.began?, piece))).collect();
        let longest = pieces.iter().map(|(_, piece)| piece.longest).max().unwrap_or(0);
        let shortest = (longest / 10).min(super::micros(Timeline::LISTED));
        pieces.retain(|(_, piece)| piece.longest >= shortest);
        if pieces.len() > Timeline::HOLDS {
            pieces.select_nth_unstable_by_key(Timeline::HOLDS, |(_, piece)| Reverse(piece.longest));
            pieces.truncate(Timeline::HOLDS);
        }
        pieces.sort_by_key(|(start, _)| *start);
        let hold = |(start, piece): (Micros, HoldPiece<'_>)| TimelineHold {
            who: piece.who.as_ref().clone(),
            start,
            began: (grid.at)(start),
            length_ms: milliseconds(piece.longest),
            goes_on: piece.goes_on,
            cells: grid.range(piece.start, piece.end, Timeline::CELLS),
        };
        pieces.into_iter().map(hold).collect()
    }
}

impl TimelineLane {
    fn of(who: &LockOwner) -> Self {
        Self {
            who: who.clone(),
            shares: vec![0.0; Timeline::CELLS],
            waited: Vec::new(),
            may_have_waited: Vec::new(),
            refused: Vec::new(),
            pinned: Vec::new(),
            checkpointed: Vec::new(),
            activities: Vec::new(),
            moments: vec![None; Timeline::STEPS],
        }
    }
}

#[cfg(test)]
mod tests;
