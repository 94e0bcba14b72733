//! The past of the log: its size, the readers that pinned it, and the checkpoints.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{LockHistory, LockOwner, Micros, TimedHold, push_bounded, sampled_spans::SampledSpans};

/// The shortest time between two kept sizes.
const APART: Micros = 1_000_000;
/// Sizes that are kept: four hours of them.
const SIZES: usize = 4 * 60 * 60;
/// Checkpoints that are kept.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct LogPast {
    sizes: VecDeque<(Micros, u64)>,
    pins: SampledSpans,
    checkpoints: VecDeque<TimedHold>,
}

impl LogPast {
    /// The most bytes that it takes.
    pub const BYTES: usize = SIZES * size_of::<(Micros, u64)>()
        + SampledSpans::BYTES
        + KEPT * (size_of::<TimedHold>() + LockOwner::BYTES);

    pub fn size_is(&mut self, at: Micros, bytes: u64) {
        if self.sizes.back().is_none_or(|(last, _)| at - last >= APART) {
            push_bounded(&mut self.sizes, SIZES, (at, bytes));
        }
    }

    pub fn checkpointed(&mut self, hold: TimedHold) {
        push_bounded(&mut self.checkpoints, KEPT, hold);
    }

    /// The pins between `from` and `to`, those that go on with an end at `now`.
    pub fn pins(&self, from: Micros, to: Micros, now: Micros) -> impl Iterator<Item = TimedHold> {
        self.pins.between(from, to, now)
    }

    /// The processes that keep frames in the log.
    pub fn pinning(&self) -> impl Iterator<Item = &Arc<LockOwner>> {
        self.pins.going_on()
    }

    pub fn checkpoints(&self, from: Micros, to: Micros) -> impl Iterator<Item = &TimedHold> {
        self.checkpoints.iter().filter(move |it| it.end() >= from && it.start < to)
    }

    /// The processes of both.
    pub fn holders(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Arc<LockOwner>> {
        self.checkpoints(from, to).map(|it| &it.who).chain(self.pins.owners(from, to))
    }

    /// The size of the log in each of `cells` parts of the range, the largest in it; `None` before the first one.
    pub fn sizes(&self, from: Micros, to: Micros, cells: usize) -> Vec<Option<u64>> {
        let first = self.sizes.partition_point(|(at, _)| *at < from);
        let mut last = first.checked_sub(1).map(|before| self.sizes[before].1);
        let mut rest = self.sizes.range(first..).peekable();
        let part = |cell: usize| Micros::try_from(cell).unwrap_or(0);
        (0..cells)
            .map(|cell| {
                let end = from + (to - from) * part(cell + 1) / part(cells).max(1);
                let mut largest = last;
                while let Some((_, bytes)) = rest.next_if(|(at, _)| *at < end) {
                    largest = largest.max(Some(*bytes));
                    last = Some(*bytes);
                }
                largest
            })
            .collect()
    }

    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.sizes.capacity() * size_of::<(Micros, u64)>()
            + self.pins.size()
            + self.checkpoints.capacity() * size_of::<TimedHold>()
    }
}

impl LockHistory {
    /// Records the readers that keep frames in the log at `at`.
    pub fn pins_are(&mut self, at: Instant, readers: Vec<LockOwner>) {
        if self.since.is_some() {
            let at = self.micros(at);
            let readers = readers.into_iter().map(|who| (at, self.known(Arc::new(who)))).collect();
            self.log_past.pins.are(at, readers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::history::{SampledLock, TimeWindow};

    fn owner(pid: i32) -> LockOwner {
        who(pid).as_ref().clone()
    }

    #[test]
    fn pins_checkpoints_and_sizes_stand_in_the_timeline() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 30_000, 31_000)]);
        history.wal_is(start + ms(10_000), 1, 1000);
        history.wal_is(start + ms(40_000), 1, 9000);
        history.pins_are(start + ms(20_000), vec![owner(2), owner(3)]);
        history.pins_are(start + ms(25_000), vec![owner(3)]);
        history.open(SampledLock::Checkpoint, start + ms(50_000), who(1));
        history.close(SampledLock::Checkpoint, start + ms(52_000));
        let window = TimeWindow { end: None, span: ms(60_000) };
        let now = (start + ms(60_000), jiff::Timestamp::UNIX_EPOCH);
        let timeline = history.timeline(window, now).expect("sampled");
        let lane = |pid| timeline.lanes.iter().find(|lane| lane.who.pid == Some(pid)).expect("a lane");
        let marked = |marks: &[bool]| marks.iter().position(|it| *it).zip(marks.iter().rposition(|it| *it));
        assert_eq!(marked(&lane(2).pinned), Some((200, 249)));
        assert_eq!(marked(&lane(3).pinned), Some((200, 599)), "it goes on");
        assert_eq!(marked(&lane(1).checkpointed), Some((500, 519)));
        assert_eq!((timeline.log[99], timeline.log[100], timeline.log[399]), (None, Some(1000), Some(1000)));
        assert_eq!(timeline.log[599], Some(9000));
        assert_eq!(timeline.holds.len(), 1);
        assert_eq!((timeline.holds[0].who.pid, timeline.holds[0].cells.clone()), (Some(1), 300..310));
    }

    #[test]
    fn the_longest_holds_are_listed_in_the_order_of_time() {
        let start = Instant::now();
        let holds: Vec<_> = (0..400_u64).map(|n| (1, n * 100, n * 100 + 1 + n % 50)).collect();
        let timeline = history(start, &holds)
            .timeline(
                TimeWindow { end: None, span: ms(60_000) },
                (start + ms(60_000), jiff::Timestamp::UNIX_EPOCH),
            )
            .expect("sampled");
        let listed = &timeline.holds;
        assert_eq!(listed.len(), crate::history::Timeline::HOLDS);
        assert!(listed.is_sorted_by_key(|hold| hold.start));
        assert!(listed.iter().all(|hold| hold.length_ms >= 25.0), "the shorter half is left out");
    }
}
