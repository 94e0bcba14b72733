//! A timeline made of spans whose beginning and end are known, as a recording has them. It takes any number of them, one
//! after the other, in a bounded amount of memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;

use super::{
    super::{
        HoldFigures, HoldPiece, LockOwner, Micros, coarse, grid::TimelineGrid, holds::weighted_percentile,
        micros, milliseconds,
    },
    LaneKey, LockWaits, TimeWindow, Timeline, TimelineHold, TimelineLane,
};
use crate::snapshot::{ActivityClass, DurationSpread};

/// Processes with a lane of their own while the spans arrive; the others share one.
const DRAFTS: usize = 256;
/// Different lengths that are kept; of more, all are rounded to half an octave.
const LENGTHS: usize = 65_536;

/// What a process did for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneSpan {
    /// It held the write lock.
    Hold {
        goes_on: bool,
    },
    Checkpoint,
    /// It waited for the write lock.
    Wait {
        got: bool,
    },
    MayWait,
    /// It kept frames in the log.
    Pin,
    Activity(ActivityClass),
}

/// A moment on both clocks, by which the times of a recording become those of a timeline.
#[derive(Debug, Clone, Copy)]
pub struct TimeBase {
    pub instant: Instant,
    pub at: Timestamp,
}

impl TimeBase {
    /// `at` as an instant; the base itself if it is earlier.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        let after = at.duration_since(self.at).try_into().unwrap_or_default();
        self.instant.checked_add(after).unwrap_or(self.instant)
    }

    pub fn timestamp_of(&self, at: Instant) -> Timestamp {
        self.at.checked_add(at.saturating_duration_since(self.instant)).unwrap_or(self.at)
    }
}

/// See the module.
#[derive(Debug)]
pub struct TimelineBuilder {
    base: TimeBase,
    /// The first and the last known time.
    known: (Timestamp, Timestamp),
    /// In microseconds since 1970, as all times here.
    from: Micros,
    to: Micros,
    lanes: HashMap<LaneKey, LaneDraft>,
    others: Option<LaneDraft>,
    figures: HoldFigures,
    lengths: LengthCounts,
    waits: LengthCounts,
    holds: Vec<TimelineHold>,
    log: Vec<Option<u64>>,
    /// The newest size before it.
    log_before: Option<u64>,
    unwatched: Vec<bool>,
}

/// How often each length occurred.
#[derive(Debug, Default)]
struct LengthCounts {
    counts: BTreeMap<Micros, u64>,
    longest: Micros,
}

impl LengthCounts {
    fn add(&mut self, length: Micros) {
        self.longest = self.longest.max(length);
        *self.counts.entry(length).or_default() += 1;
        if self.counts.len() > LENGTHS {
            for (length, count) in std::mem::take(&mut self.counts) {
                *self.counts.entry(coarse::rounded(length)).or_default() += count;
            }
        }
    }

    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// In ms; `None` if there is none.
    fn percentile(&self, percent: u64) -> Option<f64> {
        weighted_percentile(
            self.counts.iter().map(|(length, count)| (*length, *count)),
            self.total(),
            percent,
        )
    }

    fn spread(&self) -> Option<DurationSpread> {
        let (p50, p99) = self.percentile(50).zip(self.percentile(99))?;
        Some(DurationSpread { p50, p99, max: milliseconds(self.longest) })
    }
}

#[derive(Debug)]
struct LaneDraft {
    lane: TimelineLane,
    held: Micros,
}

impl LaneDraft {
    fn of(who: &LockOwner) -> Self {
        Self { lane: TimelineLane::of(who), held: 0 }
    }
}

impl TimelineBuilder {
    /// A timeline of `window`, of a time that is known from the first of `known` to the last. It reaches past neither.
    pub fn new(base: TimeBase, known: (Timestamp, Timestamp), window: TimeWindow) -> Self {
        let (first, last) = known;
        let span = micros(window.span).max(1000);
        let end = window.end.map_or(last, |end| base.timestamp_of(end)).as_microsecond();
        let to = end.max(first.as_microsecond() + span).min(last.as_microsecond());
        Self {
            base,
            known,
            from: to - span,
            to,
            lanes: HashMap::new(),
            others: None,
            figures: HoldFigures::default(),
            lengths: LengthCounts::default(),
            waits: LengthCounts::default(),
            holds: Vec::new(),
            log: vec![None; Timeline::CELLS],
            log_before: None,
            unwatched: Vec::new(),
        }
    }

    /// The time that it covers.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        (timestamp(self.from), timestamp(self.to))
    }

    /// `who` did `what` from `began` to `ended`.
    pub fn add(&mut self, what: LaneSpan, who: &Arc<LockOwner>, began: Timestamp, ended: Timestamp) {
        let (start, end) = (began.as_microsecond(), ended.as_microsecond());
        let is_before = end < self.from || end == self.from && start < end;
        if is_before || start >= self.to || end < start {
            return;
        }
        let grid = self.grid();
        let (from, to) = (self.from, self.to);
        if let LaneSpan::Hold { goes_on } = what {
            self.add_hold(who, start, end - start, goes_on);
            return;
        }
        if matches!(what, LaneSpan::Wait { .. }) {
            self.waits.add(end - start);
        }
        let lane = &mut self.draft(who).lane;
        match what {
            LaneSpan::Hold { .. } => {}
            LaneSpan::Checkpoint => grid.mark(&mut lane.checkpointed, start, end),
            LaneSpan::Pin => grid.mark(&mut lane.pinned, start, end),
            LaneSpan::MayWait => grid.mark(&mut lane.may_have_waited, start, end),
            LaneSpan::Activity(class) => grid.fill(&mut lane.activities, (start, end), Some(class)),
            LaneSpan::Wait { got } => {
                if end > start {
                    grid.mark(&mut lane.waited, start, end);
                }
                let last = (end - 1).max(start);
                if !got && last >= from && last < to {
                    grid.mark(&mut lane.refused, last, last);
                }
            }
        }
    }

    /// The log had this many bytes at `at`.
    pub fn log_had(&mut self, at: Timestamp, bytes: u64) {
        let at = at.as_microsecond();
        if at < self.from {
            self.log_before = Some(bytes);
        } else if at < self.to {
            let cell = self.grid().range(at, at, Timeline::CELLS).start;
            self.log[cell] = self.log[cell].max(Some(bytes));
        }
    }

    /// Nothing was watched from `began` to `ended`.
    pub fn unwatched(&mut self, began: Timestamp, ended: Timestamp) {
        let (start, end) = (began.as_microsecond().max(self.from), ended.as_microsecond().min(self.to));
        if start < end {
            let grid = self.grid();
            grid.mark(&mut self.unwatched, start, end);
        }
    }

    pub fn finish(mut self) -> Timeline {
        let marked = self.unwatched.iter().filter(|is| **is).count();
        let cells = Micros::try_from(Timeline::CELLS).unwrap_or(1);
        let unwatched = (self.to - self.from) * Micros::try_from(marked).unwrap_or(0) / cells;
        let watched = self.to - self.from.max(self.known.0.as_microsecond()) - unwatched;
        let held = self.lanes.values().chain(&self.others).map(|draft| draft.held).sum::<Micros>();
        if watched > 0 {
            self.figures.held_ratio = (milliseconds(held) / milliseconds(watched)).min(1.0);
        }
        (self.figures.p50_ms, self.figures.p99_ms) =
            (self.lengths.percentile(50), self.lengths.percentile(99));
        let longest = self.holds.iter().map(|hold| hold.length_ms).fold(0.0, f64::max);
        let shortest = (longest / 10.0).min(Timeline::LISTED.as_secs_f64() * 1e3);
        self.holds.retain(|hold| hold.length_ms >= shortest);
        self.keep_longest(Timeline::HOLDS);
        self.holds.sort_by_key(|hold| hold.start);
        let count = self.waits.total();
        Timeline {
            end: self.base.instant_of(timestamp(self.to)),
            ends_at: timestamp(self.to),
            span: super::super::duration(self.to - self.from),
            oldest: self.base.instant_of(self.known.0),
            newest: self.base.instant_of(self.known.1),
            figures: self.figures,
            waits: self.waits.spread().map(|spread| LockWaits { count, spread }),
            holds: std::mem::take(&mut self.holds),
            log: self.filled_log(),
            unwatched: std::mem::take(&mut self.unwatched),
            is_recorded: true,
            lanes: self.finished_lanes(),
        }
    }

    fn grid(&self) -> TimelineGrid<impl Fn(Micros) -> Timestamp + use<>> {
        TimelineGrid { from: self.from, span: self.to - self.from, at: timestamp }
    }

    fn draft(&mut self, who: &Arc<LockOwner>) -> &mut LaneDraft {
        let has_room = self.lanes.len() < DRAFTS;
        if has_room || self.lanes.contains_key(&who.key()) {
            return self.lanes.entry(who.key()).or_insert_with(|| LaneDraft::of(who));
        }
        self.others.get_or_insert_with(|| LaneDraft::of(&LockOwner::others()))
    }

    fn add_hold(&mut self, who: &Arc<LockOwner>, start: Micros, length: Micros, goes_on: bool) {
        let grid = self.grid();
        let piece = HoldPiece::of(who, start, length, goes_on, self.from, self.to);
        self.figures.count += 1;
        self.figures.max_ms = self.figures.max_ms.max(milliseconds(length));
        let hold = TimelineHold {
            who: who.as_ref().clone(),
            start,
            began: timestamp(start),
            length_ms: milliseconds(length),
            goes_on,
            cells: grid.range(piece.start, piece.end, Timeline::CELLS),
        };
        let draft = self.draft(who);
        draft.held += piece.held;
        grid.draw(&mut draft.lane, &piece);
        if !goes_on {
            self.lengths.add(length);
        }
        self.holds.push(hold);
        if self.holds.len() >= 4 * Timeline::HOLDS {
            self.keep_longest(Timeline::HOLDS);
        }
    }

    fn keep_longest(&mut self, count: usize) {
        if self.holds.len() > count {
            self.holds.select_nth_unstable_by(count, |a, b| b.length_ms.total_cmp(&a.length_ms));
            self.holds.truncate(count);
        }
    }

    /// A cell without a size has that of the one before, unless nothing was watched.
    fn filled_log(&mut self) -> Vec<Option<u64>> {
        let mut log = std::mem::take(&mut self.log);
        let mut last = self.log_before;
        for (cell, size) in log.iter_mut().enumerate() {
            let is_watched = !self.unwatched.get(cell).is_some_and(|is| *is);
            last = size.or(last.filter(|_| is_watched));
            *size = last;
        }
        log
    }

    fn finished_lanes(self) -> Vec<TimelineLane> {
        let mut drafts: Vec<_> = self.lanes.into_values().collect();
        drafts.sort_by_key(|draft| (Reverse(draft.held), draft.lane.who.key()));
        let mut rest = self.others;
        if drafts.len() + usize::from(rest.is_some()) > Timeline::LANES {
            let mut sum = rest.take().unwrap_or_else(|| LaneDraft::of(&LockOwner::others()));
            for draft in drafts.drain(Timeline::LANES - 1..) {
                sum.lane.add(&draft.lane);
            }
            rest = Some(sum);
        }
        drafts.into_iter().chain(rest).map(|draft| draft.lane).collect()
    }
}

impl TimelineLane {
    /// Adds another process to one that stands for several.
    fn add(&mut self, other: &Self) {
        for (share, more) in self.shares.iter_mut().zip(&other.shares) {
            *share = (*share + more).min(1.0);
        }
        let mark = |marks: &mut Vec<bool>, more: &[bool]| {
            marks.resize(marks.len().max(more.len()), false);
            marks.iter_mut().zip(more).for_each(|(mark, more)| *mark |= more);
        };
        mark(&mut self.waited, &other.waited);
        mark(&mut self.may_have_waited, &other.may_have_waited);
        mark(&mut self.refused, &other.refused);
        mark(&mut self.pinned, &other.pinned);
        mark(&mut self.checkpointed, &other.checkpointed);
        for (step, more) in self.moments.iter_mut().zip(&other.moments) {
            *step = match (step.take(), *more) {
                (Some(one), Some(other)) => {
                    let longer = if other.longest_ms > one.longest_ms { other } else { one };
                    Some(super::TimelineStep { count: one.count + other.count, ..longer })
                }
                (one, other) => one.or(other),
            };
        }
    }
}

fn timestamp(at: Micros) -> Timestamp {
    Timestamp::from_microsecond(at).unwrap_or_default()
}

#[cfg(test)]
mod tests;
