//! Spans that samples show: each begins with the first sample that has its process, and ends with the first without.

use std::{collections::VecDeque, sync::Arc};

use super::{LockOwner, Micros, TimedHold, push_bounded};

/// Spans that are kept after their end.
const KEPT: usize = 1024;
/// Spans that go on at the same time, at most; the others are left out.
const OPEN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct SampledSpans {
    ended: VecDeque<TimedHold>,
    open: Vec<(Micros, Arc<LockOwner>)>,
}

impl SampledSpans {
    /// The most bytes that they take.
    pub const BYTES: usize = (KEPT + OPEN) * (size_of::<TimedHold>() + LockOwner::BYTES);

    /// Records the processes of the sample `at`, each with the start of its span, if this is the first sample that has
    /// it.
    pub fn are(&mut self, at: Micros, now: Vec<(Micros, Arc<LockOwner>)>) {
        for (start, who) in std::mem::take(&mut self.open) {
            if now.iter().any(|(_, it)| it.is(&who)) {
                self.open.push((start, who));
            } else {
                push_bounded(&mut self.ended, KEPT, TimedHold { start, length: at - start, who });
            }
        }
        for (start, who) in now {
            if self.open.len() < OPEN && !self.open.iter().any(|(_, known)| known.is(&who)) {
                self.open.push((start.min(at), who));
            }
        }
    }

    /// The spans between `from` and `to`, those that go on with an end at `now`.
    pub fn between(&self, from: Micros, to: Micros, now: Micros) -> impl Iterator<Item = TimedHold> {
        let open = self.open.iter().map(move |(start, who)| TimedHold {
            start: *start,
            length: now - start,
            who: Arc::clone(who),
        });
        self.ended.iter().cloned().chain(open).filter(move |it| it.end() >= from && it.start < to)
    }

    /// The processes of the spans between `from` and `to`.
    pub fn owners(&self, from: Micros, to: Micros) -> impl Iterator<Item = &Arc<LockOwner>> {
        let ended = self.ended.iter().filter(move |it| it.end() >= from && it.start < to).map(|it| &it.who);
        ended.chain(self.open.iter().filter(move |(start, _)| *start < to).map(|(_, who)| who))
    }

    /// The processes of the spans that go on.
    pub fn going_on(&self) -> impl Iterator<Item = &Arc<LockOwner>> {
        self.open.iter().map(|(_, who)| who)
    }

    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.ended.capacity() * size_of::<TimedHold>()
    }
}
