//! The holds and refusals of one database, by process.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use super::{hold_histogram::HoldHistogram, process_slots::ProcessSlots, threads};
use crate::history::{EventReader, HistoryEvent, LockHistory, LockOwner, SampledLock};

/// What is counted of one database.
#[derive(Debug, Default)]
pub struct DatabaseTotals {
    reading: Option<HistoryReading>,
    slots: ProcessSlots,
    /// By slot.
    processes: Vec<Option<ProcessTotals>>,
    open: Option<OpenHold>,
    pub holds: HoldHistogram,
    /// Changes that were lost, because there were too many for one sample.
    pub dropped: u64,
}

/// What is counted of the processes with one name.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessTotals {
    /// For how long they have held the write lock, the hold that goes on included.
    pub held_seconds: f64,
    /// Part of it that was counted before the end of the hold was known, and was too much.
    ahead: f64,
    /// How often they were refused the write lock.
    pub refusals: u64,
}

#[derive(Debug)]
struct HistoryReading {
    history: Arc<Mutex<LockHistory>>,
    /// What was held before is not counted.
    since: Instant,
}

#[derive(Debug)]
struct OpenHold {
    slot: usize,
    counted_until: Instant,
}

impl DatabaseTotals {
    /// Counts what has happened until `now`. Refusals are known only while requests are traced.
    pub fn take(&mut self, history: &Arc<Mutex<LockHistory>>, now: Instant, is_traced: bool) {
        let since = self.read_from(history, now);
        let (events, dropped) = threads::lock(history).take_events(EventReader::Metrics);
        for event in events {
            match event {
                HistoryEvent::Began { lock: SampledLock::Write, at, who } => self.begin(at.max(since), &who),
                HistoryEvent::Ended { lock: SampledLock::Write, began, at, who } => {
                    self.end(began.max(since), at, &who);
                    self.holds.add(at.saturating_duration_since(began));
                }
                HistoryEvent::Waited { who, .. } if is_traced => {
                    let slot = self.slots.of(&who.program);
                    self.at_slot(slot).refusals += 1;
                }
                _ => {}
            }
        }
        if dropped > 0 {
            self.dropped += dropped;
            self.open = None;
            let held = threads::lock(history).current(SampledLock::Write).map(|(_, who)| who.clone());
            if let Some(who) = held {
                self.begin(now, &who);
            }
        }
        self.count_open_hold(now);
    }

    /// Counts no longer. What is counted stays.
    pub fn stop(&mut self) {
        if let Some(reading) = self.reading.take() {
            threads::lock(&reading.history).drop_events(EventReader::Metrics);
        }
        self.open = None;
    }

    /// The processes, by name.
    pub fn processes(&self) -> impl Iterator<Item = (&str, ProcessTotals)> {
        let name =
            |(slot, totals): (usize, &Option<ProcessTotals>)| Some((self.slots.name(slot), (*totals)?));
        self.processes.iter().enumerate().filter_map(name)
    }

    // A database that is sampled again has another history. Returns since when it is read.
    fn read_from(&mut self, history: &Arc<Mutex<LockHistory>>, now: Instant) -> Instant {
        if self.reading.as_ref().is_none_or(|it| !Arc::ptr_eq(&it.history, history)) {
            self.stop();
            threads::lock(history).keep_events(EventReader::Metrics);
            self.reading = Some(HistoryReading { history: Arc::clone(history), since: now });
        }
        self.reading.as_ref().map_or(now, |it| it.since)
    }

    fn begin(&mut self, at: Instant, who: &LockOwner) {
        self.open = Some(OpenHold { slot: self.slots.of(&who.program), counted_until: at });
    }

    fn end(&mut self, began: Instant, at: Instant, who: &LockOwner) {
        let (slot, from) = match self.open.take() {
            Some(open) => (open.slot, open.counted_until),
            None => (self.slots.of(&who.program), began),
        };
        self.at_slot(slot).add(seconds_between(from, at));
    }

    // It has lasted until now as far as is known; its end may turn out to have been earlier.
    fn count_open_hold(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        let (slot, seconds) = (open.slot, seconds_between(open.counted_until, now));
        open.counted_until = now;
        self.at_slot(slot).add(seconds);
    }

    fn at_slot(&mut self, slot: usize) -> &mut ProcessTotals {
        if self.processes.len() <= slot {
            self.processes.resize(slot + 1, None);
        }
        self.processes[slot].get_or_insert_default()
    }
}

impl ProcessTotals {
    // The total never falls: what was counted too early is taken from what comes next.
    fn add(&mut self, seconds: f64) {
        let due = seconds - self.ahead;
        self.ahead = (-due).max(0.0);
        self.held_seconds += due.max(0.0);
    }
}

// Negative if `to` is earlier.
fn seconds_between(from: Instant, to: Instant) -> f64 {
    match to.checked_duration_since(from) {
        Some(after) => after.as_secs_f64(),
        None => -from.saturating_duration_since(to).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn who(program: &str) -> Arc<LockOwner> {
        Arc::new(LockOwner { pid: Some(7), program: program.into(), ..LockOwner::default() })
    }

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    struct Fixture {
        history: Arc<Mutex<LockHistory>>,
        totals: DatabaseTotals,
        start: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let (history, start) = (Arc::<Mutex<LockHistory>>::default(), Instant::now());
            threads::lock(&history).sampling_began(start);
            let mut totals = DatabaseTotals::default();
            totals.take(&history, start, true);
            Self { history, totals, start }
        }

        fn open(&self, at: u64, program: &str) {
            threads::lock(&self.history).open(SampledLock::Write, self.start + ms(at), who(program));
        }

        fn close(&self, at: u64) {
            threads::lock(&self.history).close(SampledLock::Write, self.start + ms(at));
        }

        /// The processes at `at`, each with the ms that it has held the lock.
        fn held(&mut self, at: u64) -> Vec<(String, f64)> {
            self.totals.take(&self.history, self.start + ms(at), true);
            let rounded = |seconds: f64| (seconds * 1e3).round();
            self.totals.processes().map(|(name, it)| (name.to_owned(), rounded(it.held_seconds))).collect()
        }
    }

    fn held(name: &str, ms: f64) -> (String, f64) {
        (name.to_owned(), ms)
    }

    #[test]
    fn a_hold_under_way_counts_as_it_goes_on_and_once() {
        let mut it = Fixture::new();
        it.open(100, "writer");
        assert_eq!(it.held(300), [held("writer", 200.0)]);
        assert_eq!(it.held(1_000), [held("writer", 900.0)]);
        assert_eq!(it.totals.holds.count(), 0, "it has not ended");
        it.close(1_400);
        assert_eq!(it.held(2_000), [held("writer", 1_300.0)]);
        assert_eq!(it.totals.holds.count(), 1);
        assert!((it.totals.holds.seconds() - 1.3).abs() < 1e-9);
    }

    #[test]
    fn what_was_counted_too_early_is_taken_from_the_next_hold_and_never_given_back() {
        let mut it = Fixture::new();
        it.open(0, "writer");
        assert_eq!(it.held(1_000), [held("writer", 1_000.0)]);
        it.close(920);
        it.open(1_100, "writer");
        assert_eq!(it.held(1_150), [held("writer", 1_000.0)], "30 ms are still too much");
        it.close(1_200);
        assert_eq!(it.held(2_000), [held("writer", 1_020.0)]);
    }

    #[test]
    fn a_hold_stays_with_the_name_under_which_it_began() {
        let mut it = Fixture::new();
        it.open(0, "one");
        it.open(500, "two");
        it.close(600);
        assert_eq!(it.held(1_000), [held("one", 500.0), held("two", 100.0)]);
    }

    #[test]
    fn what_was_held_before_the_meter_is_in_the_histogram_and_in_no_time() {
        let (history, start) = (Arc::<Mutex<LockHistory>>::default(), Instant::now());
        threads::lock(&history).open(SampledLock::Write, start, who("writer"));
        let mut totals = DatabaseTotals::default();
        totals.take(&history, start + ms(5_000), false);
        threads::lock(&history).close(SampledLock::Write, start + ms(6_000));
        totals.take(&history, start + ms(7_000), false);
        let seconds = totals.processes().map(|(_, it)| it.held_seconds).sum::<f64>();
        assert!((seconds - 1.0).abs() < 1e-9, "{seconds}");
        assert!((totals.holds.seconds() - 6.0).abs() < 1e-9);
    }

    #[test]
    fn other_locks_are_no_holds_and_each_wait_is_a_refusal() {
        let mut it = Fixture::new();
        let at = |at: u64| it.start + ms(at);
        let mut history = threads::lock(&it.history);
        history.open(SampledLock::Checkpoint, at(10), who("writer"));
        history.close(SampledLock::Checkpoint, at(20));
        history.waited(at(50), ms(20), who("reader"));
        history.waited_in_vain(at(90), ms(20), who("reader"));
        drop(history);
        assert_eq!(it.held(100), [held("reader", 0.0)]);
        assert_eq!(it.totals.processes().map(|(_, it)| it.refusals).sum::<u64>(), 2);
        assert_eq!(it.totals.holds.count(), 0);
        // An ingestion reports its waits without a trace.
        threads::lock(&it.history).waited(it.start + ms(150), ms(20), who("waltop"));
        it.totals.take(&it.history, it.start + ms(200), false);
        assert_eq!(it.totals.processes().map(|(_, it)| it.refusals).sum::<u64>(), 2);
    }

    #[test]
    fn after_lost_changes_the_present_holder_counts_from_then_on() {
        let mut it = Fixture::new();
        for at in 0..40_000 {
            it.open(at, "writer");
            it.close(at);
        }
        it.open(40_000, "other-writer");
        assert_eq!(it.held(50_000), [held("writer", 0.0), held("other-writer", 0.0)]);
        assert!(it.totals.dropped > 10_000);
        assert_eq!(it.held(50_100)[1], held("other-writer", 100.0));
    }

    #[test]
    fn a_meter_that_stopped_leaves_no_queue_behind() {
        let mut it = Fixture::new();
        it.totals.stop();
        it.open(10, "writer");
        assert_eq!(threads::lock(&it.history).take_events(EventReader::Metrics), (Vec::new(), 0));
        assert_eq!(it.held(100), [held("writer", 0.0)], "from then on");
    }
}
