//! What the holders of locks did meanwhile, for the strips of a timeline.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::{HistoryEvent, LockHistory, LockOwner, Micros, SampledLock, push_bounded};
use crate::snapshot::{ActivityClass, ProcessId};

/// How many runs of one activity are kept.
const RUNS: usize = 1024;
/// The longest time between two samples of one run.
const APART: Micros = 500_000;
/// How many of the newest runs may go on: as many processes hold a lock at the same time.
const OPEN: usize = 32;

/// One activity of one process, from its first sample to its last.
#[derive(Debug)]
struct ActivityRun {
    start: Micros,
    end: Micros,
    class: ActivityClass,
    who: Arc<LockOwner>,
}

#[derive(Debug, Default)]
pub(super) struct ActivityPast(VecDeque<ActivityRun>);

impl ActivityPast {
    /// The most bytes that it takes.
    pub const BYTES: usize = RUNS * (size_of::<ActivityRun>() + LockOwner::BYTES);

    fn add(&mut self, at: Micros, who: Arc<LockOwner>, class: ActivityClass) {
        let last = self.0.iter_mut().rev().take(OPEN).find(|run| run.who.is(&who));
        match last.filter(|run| at - run.end <= APART) {
            Some(run) if run.class == class => run.end = at,
            last => {
                // The activity before lasted up to now.
                if let Some(run) = last {
                    run.end = at;
                }
                push_bounded(&mut self.0, RUNS, ActivityRun { start: at, end: at, class, who });
            }
        }
    }

    /// Start, end, process and kind of the activities between `from` and `to`, the oldest first.
    pub fn between(
        &self,
        from: Micros,
        to: Micros,
    ) -> impl Iterator<Item = (Micros, Micros, &LockOwner, ActivityClass)> {
        let runs = self.0.iter().filter(move |run| run.end >= from && run.start < to);
        runs.map(|run| (run.start, run.end, run.who.as_ref(), run.class))
    }

    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<ActivityRun>()
    }
}

impl LockHistory {
    /// Records what `process` does at `at`, if it holds a lock or keeps frames in the log.
    pub fn doing(&mut self, at: Instant, process: ProcessId, class: ActivityClass) {
        let is_it =
            |who: &LockOwner| (who.pid, who.start_ticks) == (Some(process.pid), Some(process.start_ticks));
        let who = {
            let holders = SampledLock::ALL.into_iter().filter_map(|lock| self.open[lock as usize].as_ref());
            let mut owners = holders.map(|(_, who)| who).chain(self.log_past.pinning());
            owners.find(|who| is_it(who)).map(Arc::clone)
        };
        if let Some(who) = who {
            self.note_event(|| HistoryEvent::Did { at, who: Arc::clone(&who), class });
            let at = self.micros(at);
            self.activities.add(at, who, class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::history::TimeWindow;

    #[test]
    fn a_strip_shows_what_a_holder_did_and_nothing_of_others() {
        let (mut history, start) = (LockHistory::default(), Instant::now());
        history.sampling_began(start);
        history.open(SampledLock::Write, start + ms(30_000), who(1));
        let id = |pid| ProcessId { pid, start_ticks: 7 };
        for at in (30_000..32_000).step_by(200) {
            history.doing(start + ms(at), id(1), ActivityClass::Computing);
            history.doing(start + ms(at), id(2), ActivityClass::Disk);
        }
        for at in (32_000..=33_000).step_by(200) {
            history.doing(start + ms(at), id(1), ActivityClass::Asleep);
        }
        history.close(SampledLock::Write, start + ms(33_000));
        history.doing(start + ms(33_200), id(1), ActivityClass::Asleep);
        let now = (start + ms(60_000), jiff::Timestamp::UNIX_EPOCH);
        let timeline = history.timeline(TimeWindow { end: None, span: ms(60_000) }, now).expect("sampled");
        assert_eq!(timeline.lanes.len(), 1);
        let cells = &timeline.lanes[0].activities;
        let of = |class| cells.iter().filter(|cell| **cell == Some(class)).count();
        assert_eq!((cells[299], cells[300]), (None, Some(ActivityClass::Computing)));
        assert_eq!((of(ActivityClass::Computing), of(ActivityClass::Asleep)), (20, 10), "without a gap");
        assert_eq!(cells[331], None, "it held nothing then");
    }
}
