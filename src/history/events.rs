//! The changes of a history in their order, for those who keep them longer than the history does.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{LockHistory, LockOwner, SampledLock};
use crate::snapshot::ActivityClass;

/// The most changes that wait for a reader; further ones are counted and dropped.
const LIMIT: usize = 65_536;

/// Who takes the changes, each reader all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventReader {
    Recorder,
    Metrics,
}

/// One change of a history.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryEvent {
    /// `who` holds `lock` since `at`.
    Began { lock: SampledLock, at: Instant, who: Arc<LockOwner> },
    /// `who` held `lock` from `began` to `at`.
    Ended { lock: SampledLock, began: Instant, at: Instant, who: Arc<LockOwner> },
    /// `who` waited for the write lock until `at`, and got it or not.
    Waited { at: Instant, length: Duration, who: Arc<LockOwner>, got: bool },
    /// What a holder did at `at`.
    Did { at: Instant, who: Arc<LockOwner>, class: ActivityClass },
}

/// The changes since the last [`LockHistory::take_events`].
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    events: VecDeque<HistoryEvent>,
    dropped: u64,
}

impl EventQueue {
    pub fn add(&mut self, event: HistoryEvent) {
        if self.events.len() < LIMIT {
            self.events.push_back(event);
        } else {
            self.dropped += 1;
        }
    }
}

impl LockHistory {
    /// Keeps each change from now on, for [`LockHistory::take_events`] of `reader`. The holds that go on are the first ones.
    pub fn keep_events(&mut self, reader: EventReader) {
        if self.events[reader as usize].is_some() {
            return;
        }
        let mut queue = EventQueue::default();
        for (lock, open) in SampledLock::ALL.into_iter().zip(&self.open) {
            if let Some((at, who)) = open {
                queue.add(HistoryEvent::Began { lock, at: *at, who: Arc::clone(who) });
            }
        }
        self.events[reader as usize] = Some(queue);
    }

    /// Stops that, and forgets the changes that were not taken.
    pub fn drop_events(&mut self, reader: EventReader) {
        self.events[reader as usize] = None;
    }

    /// The changes since the last call of `reader`, and how many more there were.
    pub fn take_events(&mut self, reader: EventReader) -> (Vec<HistoryEvent>, u64) {
        let Some(queue) = &mut self.events[reader as usize] else { return (Vec::new(), 0) };
        (queue.events.drain(..).collect(), std::mem::take(&mut queue.dropped))
    }

    pub(super) fn note_event(&mut self, event: impl Fn() -> HistoryEvent) {
        for queue in self.events.iter_mut().flatten() {
            queue.add(event());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};

    #[test]
    fn changes_are_kept_only_for_a_recorder_and_each_is_taken_once() {
        let start = Instant::now();
        let mut history = history(start, &[(1, 1000, 1500)]);
        assert_eq!(history.take_events(EventReader::Recorder), (Vec::new(), 0), "no recorder wants them");
        history.keep_events(EventReader::Recorder);
        history.open(SampledLock::Write, start + ms(2000), who(2));
        history.waited_in_vain(start + ms(2300), ms(200), who(3));
        history.close(SampledLock::Write, start + ms(2500));
        let (write, at) = (SampledLock::Write, start + ms(2000));
        let events = vec![
            HistoryEvent::Began { lock: write, at, who: who(2) },
            HistoryEvent::Waited { at: start + ms(2300), length: ms(200), who: who(3), got: false },
            HistoryEvent::Ended { lock: write, began: at, at: start + ms(2500), who: who(2) },
        ];
        assert_eq!(history.take_events(EventReader::Recorder), (events, 0));
        assert_eq!(history.take_events(EventReader::Recorder), (Vec::new(), 0));
    }

    #[test]
    fn a_hold_that_goes_on_when_a_recorder_comes_is_its_first_change() {
        let start = Instant::now();
        let mut history = LockHistory::default();
        history.open(SampledLock::Checkpoint, start, who(1));
        history.keep_events(EventReader::Recorder);
        let began = HistoryEvent::Began { lock: SampledLock::Checkpoint, at: start, who: who(1) };
        assert_eq!(history.take_events(EventReader::Recorder), (vec![began], 0));
        history.keep_events(EventReader::Recorder);
        assert_eq!(
            history.take_events(EventReader::Recorder),
            (Vec::new(), 0),
            "a second call changes nothing"
        );
    }

    #[test]
    fn a_recorder_that_takes_nothing_costs_a_bounded_amount_of_memory() {
        let start = Instant::now();
        let mut history = LockHistory::default();
        history.keep_events(EventReader::Recorder);
        for n in 0..LIMIT as u64 {
            history.open(SampledLock::Write, start + ms(n), who(1));
        }
        let (events, dropped) = history.take_events(EventReader::Recorder);
        assert_eq!((events.len(), dropped), (LIMIT, LIMIT as u64 - 1));
    }
}
