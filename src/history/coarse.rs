//! Holds that have left the ring: which process held the lock in which second, and the distribution of lengths.

use std::{collections::VecDeque, sync::Arc};

use super::{HoldPiece, LockOwner, Micros, TimedHold, push_bounded};

/// Microseconds in a second.
pub const SECOND: Micros = 1_000_000;
/// Seconds with holds that are kept: four hours of them.
const SECONDS: usize = 4 * 60 * 60;
/// Processes of a second that keep their names, those that held the lock longest; the others are added up.
const NAMED: usize = 3;
/// Processes of the newest second that are kept separate until it is over.
const APART: usize = 16;
const MINUTES: usize = SECONDS / 60;
/// Lengths are counted in buckets of half an octave: from one microsecond to more than an hour.
const BUCKETS: usize = 64;

/// The coarse tier of a history.
#[derive(Debug, Default)]
pub struct CoarseHistory {
    shares: VecDeque<SecondShare>,
    /// The newest second, which may not be over.
    filling: Vec<SecondShare>,
    others: Option<Arc<LockOwner>>,
    minutes: VecDeque<MinuteSlot>,
    is_cut: bool,
}

/// One process's part of one second.
#[derive(Debug, Clone)]
pub struct SecondShare {
    second: u32,
    /// Holds that ended in it.
    ended: u32,
    /// Microseconds.
    held: u32,
    /// Whole length of the longest hold that overlaps it, in tenths of a millisecond.
    longest: u32,
    who: Arc<LockOwner>,
}

#[derive(Debug)]
struct MinuteSlot {
    minute: u32,
    lengths: [u16; BUCKETS],
}

impl CoarseHistory {
    /// How many shares are kept.
    pub const SHARES: usize = SECONDS * (NAMED + 1);
    /// The most bytes that it takes, names included.
    pub const BYTES: usize = (Self::SHARES + APART) * (size_of::<SecondShare>() + LockOwner::BYTES)
        + MINUTES * size_of::<MinuteSlot>()
        + LockOwner::BYTES;

    /// Adds a hold that is later than all before it.
    pub fn add(&mut self, hold: &TimedHold) {
        self.count_length(hold);
        let last = (hold.end() - 1).max(hold.start) / SECOND;
        let first = (hold.start / SECOND).max(last - Micros::try_from(SECONDS).unwrap_or(last));
        for second in first..=last {
            let inside = hold.end().min((second + 1) * SECOND) - hold.start.max(second * SECOND);
            let share = SecondShare {
                second: small(second),
                ended: (second == last).into(),
                held: small(inside),
                longest: small(hold.length / 100),
                who: Arc::clone(&hold.who),
            };
            if self.filling.first().is_some_and(|newest| newest.second != share.second) {
                self.close_second();
            }
            self.add_share(share);
        }
    }

    /// The time before which nothing is known any more; `None` if nothing was dropped.
    pub fn dropped_before(&self) -> Option<Micros> {
        let oldest = self.shares.front()?;
        self.is_cut.then(|| Micros::from(oldest.second) * SECOND)
    }

    /// The newest shares' holders, newest first.
    pub fn recent(&self) -> impl Iterator<Item = &Arc<LockOwner>> {
        self.filling.iter().rev().chain(self.shares.iter().rev()).map(|share| &share.who)
    }

    /// The shares between `from` and `to`, oldest first.
    pub fn pieces(&self, from: Micros, to: Micros) -> impl Iterator<Item = HoldPiece<'_>> {
        let first = self.shares.partition_point(|share| share.end() <= from);
        let after = self.shares.partition_point(|share| share.start() < to);
        let newest = self.filling.iter().filter(move |share| share.end() > from && share.start() < to);
        self.shares.range(first..after.max(first)).chain(newest).map(move |share| share.piece(from, to))
    }

    /// Lengths of the holds that ended in the minutes between `from` and `to`, in microseconds, with their number: the
    /// middle of each bucket, so accurate to a fifth.
    pub fn lengths(&self, from: Micros, to: Micros) -> impl Iterator<Item = (Micros, u64)> {
        let minutes = (small(from / (60 * SECOND)), small((to - 1).max(0) / (60 * SECOND)));
        let inside = self.minutes.iter().filter(move |it| (minutes.0..=minutes.1).contains(&it.minute));
        inside.flat_map(|minute| {
            let counted = minute.lengths.iter().enumerate().filter(|(_, count)| **count > 0);
            counted.map(|(bucket, &count)| (middle(bucket), count.into()))
        })
    }

    fn add_share(&mut self, share: SecondShare) {
        if let Some(known) = self.filling.iter_mut().find(|known| known.who.is(&share.who)) {
            known.add(&share);
            return;
        }
        if self.filling.len() == APART {
            self.fold(APART / 2);
        }
        self.filling.push(share);
    }

    // Keeps the processes that held the lock longest separate; `left` entries stay, the last one for all others.
    fn fold(&mut self, left: usize) {
        if self.filling.len() <= left {
            return;
        }
        self.filling.sort_by(|a, b| {
            let is_others = |share: &SecondShare| share.who.pid.is_none() && !share.who.name.is_empty();
            is_others(a).cmp(&is_others(b)).then(b.held.cmp(&a.held))
        });
        let who = Arc::clone(self.others());
        let rest = self.filling.split_off(left - 1);
        let mut others = SecondShare { ended: 0, held: 0, longest: 0, who, ..rest[0] };
        for share in rest {
            others.add(&share);
        }
        self.filling.push(others);
    }

    // The second is over: few of its processes keep their names.
    fn close_second(&mut self) {
        self.fold(NAMED + 1);
        for share in self.filling.drain(..) {
            self.is_cut |= self.shares.len() == Self::SHARES;
            push_bounded(&mut self.shares, Self::SHARES, share);
        }
    }

    fn others(&mut self) -> &Arc<LockOwner> {
        self.others.get_or_insert_with(|| Arc::new(LockOwner::others()))
    }

    fn count_length(&mut self, hold: &TimedHold) {
        let minute = small((hold.end() - 1).max(0) / (60 * SECOND));
        if self.minutes.back().is_none_or(|newest| newest.minute != minute) {
            push_bounded(&mut self.minutes, MINUTES, MinuteSlot { minute, lengths: [0; BUCKETS] });
        }
        if let Some(newest) = self.minutes.back_mut() {
            let count = &mut newest.lengths[bucket(hold.length)];
            *count = count.saturating_add(1);
        }
    }
}

impl SecondShare {
    fn start(&self) -> Micros {
        Micros::from(self.second) * SECOND
    }

    fn end(&self) -> Micros {
        self.start() + SECOND
    }

    fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.held = self.held.saturating_add(other.held);
        self.longest = self.longest.max(other.longest);
    }

    // Its position in the second is unknown: a window that cuts the second gets a proportional part.
    fn piece(&self, from: Micros, to: Micros) -> HoldPiece<'_> {
        let (start, end) = (self.start().max(from), self.end().min(to));
        HoldPiece {
            who: &self.who,
            start,
            end,
            held: Micros::from(self.held) * (end - start) / SECOND,
            count: self.ended.into(),
            longest: Micros::from(self.longest) * 100,
            began: None,
            goes_on: false,
        }
    }
}

fn small(value: Micros) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

// Two per octave: the lower one up to √2 of it, approximated by 1,414/1,000.
fn bucket(length: Micros) -> usize {
    let length = length.max(1).unsigned_abs();
    let octave = length.ilog2();
    let is_upper = u128::from(length) * 1000 >= (1_u128 << octave) * 1414;
    (octave as usize * 2 + usize::from(is_upper)).min(BUCKETS - 1)
}

/// `length`, accurate to a fifth.
pub(super) fn rounded(length: Micros) -> Micros {
    middle(bucket(length))
}

// The geometric middle of a bucket: 2^(1/4) of its lower edge.
fn middle(bucket: usize) -> Micros {
    let lower = (1_i64 << (bucket / 2)) * if bucket.is_multiple_of(2) { 1000 } else { 1414 };
    lower * 1189 / 1_000_000
}

#[cfg(test)]
impl CoarseHistory {
    /// Its bytes, without names; and the holders that it names.
    pub fn size(&self) -> (usize, Vec<&Arc<LockOwner>>) {
        let bytes = (self.shares.capacity() + self.filling.capacity()) * size_of::<SecondShare>()
            + self.minutes.capacity() * size_of::<MinuteSlot>();
        let who = self.shares.iter().chain(&self.filling).map(|share| &share.who).chain(&self.others);
        (bytes, who.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(pid: i32, start: Micros, length: Micros) -> TimedHold {
        let who =
            LockOwner { pid: Some(pid), start_ticks: Some(1), name: String::new(), ..LockOwner::default() };
        TimedHold { start, length, who: Arc::new(who) }
    }

    #[test]
    fn a_long_hold_counts_once_and_fills_every_second() {
        let mut coarse = CoarseHistory::default();
        coarse.add(&hold(1, SECOND / 2, 3 * SECOND));
        let pieces: Vec<_> = coarse.pieces(0, 10 * SECOND).collect();
        let held: Vec<_> = pieces.iter().map(|piece| piece.held).collect();
        assert_eq!(held, [SECOND / 2, SECOND, SECOND, SECOND / 2]);
        assert_eq!(pieces.iter().map(|piece| piece.count).sum::<u64>(), 1);
        assert!(pieces.iter().all(|piece| piece.longest == 3 * SECOND));
        let cut: Vec<_> = coarse.pieces(SECOND * 3 / 2, 2 * SECOND).map(|piece| piece.held).collect();
        assert_eq!(cut, [SECOND / 2]);
    }

    #[test]
    fn many_processes_of_a_second_are_added_up_and_nothing_is_lost() {
        let mut coarse = CoarseHistory::default();
        for pid in 1..=200_i32 {
            coarse.add(&hold(pid, Micros::from(pid) * 4000, 1000 + Micros::from(pid)));
        }
        coarse.add(&hold(1, 5 * SECOND, 10));
        let pieces: Vec<_> = coarse.pieces(0, SECOND).collect();
        assert_eq!(pieces.len(), NAMED + 1);
        assert_eq!(pieces.iter().map(|piece| piece.count).sum::<u64>(), 200);
        assert_eq!(pieces.iter().map(|piece| piece.held).sum::<Micros>(), 200 * 1000 + 200 * 201 / 2);
        assert_eq!(pieces.iter().filter(|piece| piece.who.name == LockOwner::OTHERS).count(), 1);
    }

    #[test]
    fn lengths_are_right_within_a_fifth() {
        for length in [1, 7, 999, 5000, 44_000, 1_600_000, 6_500_000, 3_000_000_000_i64] {
            let told = middle(bucket(length));
            let off = (told - length).unsigned_abs();
            assert!(off <= 1 || off * 5 <= length.unsigned_abs(), "{length} is told as {told}");
        }
        assert_eq!(bucket(Micros::MAX), BUCKETS - 1);
    }
}
