//! The holds of the write lock in a time range: figures for all, for each process, and lanes to draw.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    HoldFigures, LockHistory, LockOwner, Micros, SampledLock, WriteLane, coarse, micros, milliseconds,
};
use crate::snapshot::{ProcessHolds, WriteHolds};

/// The part of a window that one hold covers, or a process's holds in one second of the past.
#[derive(Debug)]
pub(super) struct HoldPiece<'a> {
    pub who: &'a Arc<LockOwner>,
    // Its part of the window, and how much of that the lock was held.
    pub start: Micros,
    pub end: Micros,
    pub held: Micros,
    pub count: u64,
    // Whole length of the longest hold, and its start if that is known.
    pub longest: Micros,
    pub began: Option<Micros>,
    pub goes_on: bool,
}

impl LockHistory {
    /// The holds of the write lock within `window` before `now`; `None` if nothing was sampled.
    ///
    /// A hold that starts before the window counts with its whole length in the percentiles, and with the part inside
    /// in the times held. The open one counts with its length so far, but not in the percentiles.
    pub fn write_holds(&self, now: Instant, window: Duration) -> Option<WriteHolds> {
        self.since?;
        let to = self.micros(now);
        let from = to - micros(window);
        let HoldFigures { count, p50_ms, p99_ms, max_ms, held_ratio } = self.figures(from, to, to);
        let mut processes: HashMap<_, ProcessHolds> = HashMap::new();
        for piece in self.pieces(from, to, to) {
            let part = processes.entry(piece.who.key()).or_insert_with(|| ProcessHolds {
                pid: piece.who.pid,
                label: None,
                count: 0,
                max_ms: 0.0,
                max_is_checkpoint: false,
                total_ms: 0.0,
            });
            // The newest piece has the newest label.
            if piece.who.pid.is_some() && !piece.who.name.is_empty() {
                part.label = Some(piece.who.name.clone());
            }
            part.count += piece.count;
            let longest = milliseconds(piece.longest);
            if longest > part.max_ms {
                (part.max_ms, part.max_is_checkpoint) = (longest, self.is_checkpoint(&piece, to));
            }
            part.total_ms += milliseconds(piece.held);
        }
        let mut by_process: Vec<_> = processes.into_values().collect();
        by_process.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms).then(a.pid.cmp(&b.pid)));
        Some(WriteHolds { count, p50_ms, p99_ms, max_ms, held_ratio, by_process })
    }

    // Whether a hold is that of a checkpoint: such a process holds the checkpoint lock before and after. The samples of
    // the two locks are as far apart as two samples of one.
    fn is_checkpoint(&self, hold: &HoldPiece<'_>, now: Micros) -> bool {
        let Some(began) = hold.began else { return false };
        let end = began + hold.longest;
        let open = self.open[SampledLock::Checkpoint as usize].as_ref();
        let open = open.map(|(start, who)| (self.micros(*start), now, who));
        let ended = self.log_past.checkpoints(began, end).map(|it| (it.start, it.end(), &it.who));
        let within: Micros = ended
            .chain(open)
            .filter(|(_, _, who)| who.is(hold.who))
            .map(|(from, to, _)| (to.min(end) - from.max(began)).max(0))
            .sum();
        within * 10 >= hold.longest * 9
    }

    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    pub(super) fn lanes(&self, now: Instant) -> Vec<WriteLane> {
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

    pub(super) fn figures(&self, from: Micros, to: Micros, now: Micros) -> HoldFigures {
        let mut figures = HoldFigures::default();
        let mut held = 0;
        let mut lengths: Vec<(Micros, u64)> = self.past.lengths(from, to).collect();
        for piece in self.pieces(from, to, now) {
            figures.count += piece.count;
            figures.max_ms = figures.max_ms.max(milliseconds(piece.longest));
            held += piece.held;
            if piece.began.is_some() && !piece.goes_on {
                lengths.push((piece.longest, 1));
            }
        }
        lengths.sort_unstable();
        let all = lengths.iter().map(|(_, count)| count).sum::<u64>();
        let percentile = |percent| weighted_percentile(lengths.iter().copied(), all, percent);
        (figures.p50_ms, figures.p99_ms) = (percentile(50), percentile(99));
        let known = to - from.max(self.oldest());
        if known > 0 {
            figures.held_ratio = (milliseconds(held) / milliseconds(known)).min(1.0);
        }
        figures
    }

    // The pieces between `from` and `to`, oldest first; an open hold ends at `now`.
    pub(super) fn pieces(
        &self,
        from: Micros,
        to: Micros,
        now: Micros,
    ) -> impl Iterator<Item = HoldPiece<'_>> {
        // The time before the sampler started is no part of any window.
        let from = from.max(0);
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
}

/// A percentile in ms of `lengths`, each with how often it occurred, the shortest first; they occurred `all` times
/// together. `None` if there is none.
pub(super) fn weighted_percentile(
    mut lengths: impl Iterator<Item = (Micros, u64)>,
    all: u64,
    percent: u64,
) -> Option<f64> {
    let mut left = (all * percent).div_ceil(100).max(1);
    let found = lengths.find(|(_, count)| {
        let is_in = left <= *count;
        left = left.saturating_sub(*count);
        is_in
    });
    found.map(|(length, _)| milliseconds(length))
}

impl<'a> HoldPiece<'a> {
    pub(super) fn of(
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

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::history::DatabaseTrend;

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
        assert_eq!((holds.p50_ms, holds.p99_ms, holds.max_ms), (Some(10.0), Some(40.0), 40.0));
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
        assert_eq!((holds.p50_ms, holds.p99_ms), (None, None), "none has ended");
        assert_eq!(history.current(SampledLock::Write), Some((start + ms(100), who(1).as_ref())));
    }

    #[test]
    fn the_open_hold_is_in_no_percentile() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 0, 10), (2, 20, 50)]);
        history.open(SampledLock::Write, start + ms(100), who(1));
        let holds = history.write_holds(start + ms(5_100), LockHistory::WINDOW).expect("sampled");
        assert_eq!((holds.p50_ms, holds.p99_ms, holds.max_ms), (Some(10.0), Some(30.0), 5_000.0));
        history.close(SampledLock::Write, start + ms(5_100));
        let holds = history.write_holds(start + ms(5_200), LockHistory::WINDOW).expect("sampled");
        assert_eq!((holds.p50_ms, holds.p99_ms), (Some(30.0), Some(5_000.0)), "it has ended");
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
    fn a_hold_that_is_known_to_have_begun_before_the_sampler_keeps_its_length_when_it_ends() {
        let (mut history, before) = (LockHistory::default(), Instant::now());
        let start = before + ms(9_000);
        history.sampling_began(start);
        history.open(SampledLock::Write, start, who(1));
        history.began_earlier(SampledLock::Write, Some(2), before);
        history.began_earlier(SampledLock::Write, Some(1), before + ms(4_000));
        history.began_earlier(SampledLock::Write, Some(1), before + ms(5_000));
        let longest = |history: &LockHistory, at: u64| {
            let holds = history.write_holds(start + ms(at), LockHistory::WINDOW).expect("sampled");
            (holds.max_ms, holds.by_process[0].total_ms, holds.held_ratio)
        };
        assert_eq!(longest(&history, 1_000), (6_000.0, 1_000.0, 1.0), "it goes on");
        history.close(SampledLock::Write, start + ms(2_000));
        assert_eq!(longest(&history, 4_000), (7_000.0, 2_000.0, 0.5));
        // A hold that the sampler saw begin is not moved.
        history.open(SampledLock::Write, start + ms(5_000), who(1));
        history.began_earlier(SampledLock::Write, Some(1), start);
        assert_eq!(history.current(SampledLock::Write).map(|(at, _)| at), Some(start + ms(5_000)));
    }

    #[test]
    fn the_write_lock_of_a_checkpoint_is_told_from_that_of_a_transaction() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        history.open(SampledLock::Checkpoint, start, who(1));
        history.open(SampledLock::Write, start + ms(1), who(1));
        let longest = |history: &LockHistory, at: u64| {
            let holds = history.write_holds(start + ms(at), LockHistory::WINDOW).expect("sampled");
            holds.by_process.iter().map(|it| (it.pid, it.max_is_checkpoint)).collect::<Vec<_>>()
        };
        assert_eq!(longest(&history, 300), [(Some(1), true)], "it goes on");
        history.close(SampledLock::Write, start + ms(400));
        history.close(SampledLock::Checkpoint, start + ms(401));
        assert_eq!(longest(&history, 500), [(Some(1), true)]);
        // Another process checkpoints during this one, and then its own checkpoint is short.
        history.open(SampledLock::Write, start + ms(500), who(2));
        history.open(SampledLock::Checkpoint, start + ms(510), who(3));
        history.open(SampledLock::Checkpoint, start + ms(800), who(2));
        history.close(SampledLock::Checkpoint, start + ms(900));
        history.close(SampledLock::Write, start + ms(1_000));
        assert!(longest(&history, 1_000).contains(&(Some(2), false)));
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

    // Every second two hundred holds, each by a different process: a little more than four hours of them.
    #[test]
    fn lanes_show_the_share_of_each_second() {
        let start = Instant::now();
        let history = history(start, &[(1, 500, 1250), (2, 58_000, 60_000)]);
        assert!(history.trend(start + ms(60_000)).minute.unwatched.is_empty());
        let lanes = history.trend(start + ms(60_000)).minute.lanes;
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
        let unwatched = history(start, &holds).trend(start + ms(30_000)).minute.unwatched;
        let before = unwatched.iter().take_while(|is| **is).count();
        assert_eq!(
            (before, unwatched.len()),
            (29, WriteLane::CELLS),
            "the sampler ran for 30 s of the minute"
        );
        let lanes = history(start, &holds).trend(start + ms(30_000)).minute.lanes;
        assert_eq!(lanes.len(), LockHistory::LANES);
        assert_eq!(lanes[0].pid, Some(20));
    }
}
