//! The waits for the write lock, and those that ended without it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    HistoryEvent, LockHistory, LockOwner, Micros, TimedHold, micros, push_bounded,
    sampled_spans::SampledSpans,
};

/// How many waits without the lock are kept.
const WITHOUT: usize = 512;
/// Waits under way at the same time that are kept; the others are left out.
const OPEN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct WaitPast {
    ended: VecDeque<TimedHold>,
    /// Those of them that ended without the lock.
    without: VecDeque<TimedHold>,
    open: Vec<(Micros, Arc<LockOwner>)>,
    /// Of processes that may have waited.
    possible: SampledSpans,
}

impl WaitPast {
    /// The most bytes that it takes.
    pub const BYTES: usize = (LockHistory::WAITS + WITHOUT + OPEN)
        * (size_of::<TimedHold>() + LockOwner::BYTES)
        + SampledSpans::BYTES;

    /// The process of the last wait.
    pub fn recent(&self) -> Option<&Arc<LockOwner>> {
        self.ended.back().map(|wait| &wait.who)
    }

    /// Start, end and process of the waits between `from` and `to`; those under way end at `now`.
    pub fn between(
        &self,
        from: Micros,
        to: Micros,
        now: Micros,
    ) -> impl Iterator<Item = (Micros, Micros, &Arc<LockOwner>)> {
        let ended = self.ended.iter().map(|wait| (wait.start, wait.end(), &wait.who));
        let open = self.open.iter().map(move |(start, who)| (*start, now, who));
        ended.chain(open).filter(move |(start, end, _)| *end > from && *start < to)
    }

    /// The waits between `from` and `to` that are possible and not certain; those under way end at `now`.
    pub fn possible(&self, from: Micros, to: Micros, now: Micros) -> impl Iterator<Item = TimedHold> {
        self.possible.between(from, to, now)
    }

    /// The processes of all waits between `from` and `to`, certain or not.
    pub fn owners(&self, from: Micros, to: Micros, now: Micros) -> impl Iterator<Item = &Arc<LockOwner>> {
        self.between(from, to, now).map(|(_, _, who)| who).chain(self.possible.owners(from, to))
    }

    /// The last moments of the waits between `from` and `to` that ended without the lock.
    pub fn without_lock(&self, from: Micros, to: Micros) -> impl Iterator<Item = (Micros, &LockOwner)> {
        let last = |wait: &TimedHold| (wait.end() - 1).max(wait.start);
        let lasts = self.without.iter().map(move |wait| (last(wait), wait.who.as_ref()));
        lasts.filter(move |(last, _)| *last >= from && *last < to)
    }

    #[cfg(test)]
    pub fn size(&self) -> (usize, impl Iterator<Item = &Arc<LockOwner>>) {
        let taken = (self.ended.capacity() + self.without.capacity()) * size_of::<TimedHold>()
            + self.open.capacity() * size_of::<(Micros, Arc<LockOwner>)>()
            + self.possible.size();
        (taken, self.ended.iter().chain(&self.without).map(|wait| &wait.who))
    }
}

impl LockHistory {
    /// How many waits are kept.
    pub const WAITS: usize = 2048;

    /// Records that `who` waited for the write lock until `end`, according to its own journal or the kernel's trace. The
    /// time before the start of the sampler is left out.
    pub fn waited(&mut self, end: Instant, length: Duration, who: Arc<LockOwner>) {
        if let Some(wait) = self.wait(end, length, who) {
            self.note_wait(end, length, &wait, true);
            push_bounded(&mut self.waits.ended, Self::WAITS, wait);
        }
    }

    /// The same for a wait that ended without the lock.
    pub fn waited_in_vain(&mut self, end: Instant, length: Duration, who: Arc<LockOwner>) {
        if let Some(wait) = self.wait(end, length, who) {
            self.note_wait(end, length, &wait, false);
            push_bounded(&mut self.waits.without, WITHOUT, wait.clone());
            push_bounded(&mut self.waits.ended, Self::WAITS, wait);
        }
    }

    /// Records the waits under way, each with its start.
    pub fn waiting_are(&mut self, waits: Vec<(Instant, Arc<LockOwner>)>) {
        let waits = waits.into_iter().take(OPEN);
        self.waits.open = waits.map(|(start, who)| (self.micros(start), self.known(who))).collect();
    }

    /// Records the processes that may be waiting at `at`, each with how long it has looked like that.
    pub fn possible_waits_are(&mut self, at: Instant, waits: Vec<(Duration, LockOwner)>) {
        let Some(since) = self.since else { return };
        let start = |length| self.micros(at.checked_sub(length).unwrap_or(since).max(since));
        let waits =
            waits.into_iter().map(|(length, who)| (start(length), self.known(Arc::new(who)))).collect();
        let at = self.micros(at);
        self.waits.possible.are(at, waits);
    }

    fn note_wait(&mut self, at: Instant, length: Duration, wait: &TimedHold, got: bool) {
        self.note_event(|| HistoryEvent::Waited { at, length, who: Arc::clone(&wait.who), got });
    }

    fn wait(&self, end: Instant, length: Duration, who: Arc<LockOwner>) -> Option<TimedHold> {
        let length = micros(length);
        let is_sampled = self.since.is_some_and(|since| end >= since);
        is_sampled.then(|| TimedHold { start: self.micros(end) - length, length, who: self.known(who) })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::history::{TimeWindow, Timeline};

    fn shown(history: &LockHistory, start: Instant) -> Timeline {
        let now = (start + ms(60_000), jiff::Timestamp::UNIX_EPOCH);
        history.timeline(TimeWindow { end: None, span: ms(60_000) }, now).expect("sampled")
    }

    #[test]
    fn a_wait_without_the_lock_is_marked_at_its_end_however_short() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 30_000, 32_000)]);
        history.waited_in_vain(start + ms(31_000), ms(0), who(2));
        history.waited_in_vain(start + ms(31_550), ms(500), who(3));
        history.waited(start + ms(32_000), ms(1500), who(4));
        let timeline = shown(&history, start);
        let lane = |pid| timeline.lanes.iter().find(|lane| lane.who.pid == Some(pid)).expect("a lane");
        let marked = |marks: &[bool]| {
            marks.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| at).collect::<Vec<_>>()
        };
        assert_eq!(marked(&lane(2).refused), [310]);
        assert_eq!(marked(&lane(3).refused), [315]);
        assert_eq!(marked(&lane(3).waited), [310, 311, 312, 313, 314, 315]);
        assert!(lane(4).refused.is_empty() && lane(4).waited[310], "it got the lock");
        assert_eq!(timeline.waits.map(|waits| waits.count), Some(3));
    }

    #[test]
    fn a_wait_under_way_reaches_to_the_present_and_is_gone_with_its_end() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 30_000, 60_000)]);
        history.waiting_are(vec![(start + ms(55_000), who(2))]);
        let timeline = shown(&history, start);
        let lane = timeline.lanes.iter().find(|lane| lane.who.pid == Some(2)).expect("a lane");
        assert!(lane.waited[550..].iter().all(|waited| *waited) && !lane.waited[549]);
        history.waiting_are(Vec::new());
        assert!(shown(&history, start).lanes.iter().all(|lane| lane.who.pid != Some(2)));
    }

    #[test]
    fn a_possible_wait_has_marks_of_its_own_and_does_not_count_as_a_wait() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 30_000, 40_000)]);
        let may_wait = |length: u64| vec![(ms(length), who(2).as_ref().clone())];
        history.possible_waits_are(start + ms(33_000), may_wait(1000));
        history.possible_waits_are(start + ms(34_000), may_wait(2000));
        history.possible_waits_are(start + ms(40_000), Vec::new());
        let timeline = shown(&history, start);
        let lane = timeline.lanes.iter().find(|lane| lane.who.pid == Some(2)).expect("a lane");
        let first_and_last = |marks: &[bool]| {
            marks.iter().position(|marked| *marked).zip(marks.iter().rposition(|marked| *marked))
        };
        assert_eq!(first_and_last(&lane.may_have_waited), Some((320, 399)));
        assert_eq!((lane.waited.len(), timeline.waits), (0, None));
    }
}
