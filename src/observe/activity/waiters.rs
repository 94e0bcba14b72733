//! Processes that may be waiting for the write lock: those that sleep as SQLite's busy handler does while another
//! process holds it.
//!
//! A program may sleep in the same way for its own reasons. One that goes on with it while the lock is free is not
//! suspected again.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    time::{Duration, Instant},
};

use super::{
    LONG,
    sleeps::{self, SleepSight},
};
use crate::{
    observe::proc::{ProcessFolder, process_start, times_scheduled},
    snapshot::{PossibleWaiter, ProcessId, WaiterEvidence},
    units,
};

/// The fewest samples, and the shortest time of them, if the sleep is known.
const FEWEST: u32 = 5;
const SHORTEST: Duration = Duration::from_millis(200);
/// The same if it is hidden.
const FEWEST_HIDDEN: u32 = 10;
const SHORTEST_HIDDEN: Duration = Duration::from_secs(1);
/// The share of the samples that show the sleep, in percent.
const SHARE: u32 = 80;
/// How often the busy handler wakes up in a second, after its first tries.
const WAKES: std::ops::RangeInclusive<f64> = 8.0..=11.0;
/// How many samples in a row of a free lock show that a sleep has another reason. A waiting process would have asked in
/// between: two samples are 200 ms apart.
const FREE_ROUNDS: u32 = 3;

/// A hold of the write lock of one database.
#[derive(Debug, Clone, Copy)]
pub struct WriteHold {
    pub since: Instant,
    pub pid: Option<i32>,
}

/// The samples of all databases.
#[derive(Debug, Default)]
pub struct WaiterWatch {
    suspects: HashMap<(usize, ProcessId), WaiterSamples>,
    /// Processes that sleep so for another reason.
    cleared: HashSet<ProcessId>,
    /// For how many rounds the lock of a database has been free.
    free: HashMap<usize, u32>,
}

/// The samples of one process during one hold.
#[derive(Debug, Clone, Copy)]
struct WaiterSamples {
    hold: Instant,
    first: Instant,
    last: Instant,
    samples: u32,
    handler: u32,
    hidden: u32,
    longest_ms: u32,
    /// How often it was scheduled, at the first sample and at the last.
    scheduled: Option<(u64, u64)>,
}

impl WaiterWatch {
    /// Samples the `openers` of the database at `index` if its write lock is held for long, and returns those that may
    /// wait for it. While the lock is free, only those suspected before are sampled.
    pub fn sample(
        &mut self,
        proc: &Path,
        (index, hold): (usize, Option<WriteHold>),
        openers: impl Iterator<Item = ProcessId>,
        now: Instant,
    ) -> Vec<PossibleWaiter> {
        let Some(hold) = hold else {
            self.clear_others(index, |process| sight_of(proc, process));
            return Vec::new();
        };
        self.free.remove(&index);
        if now.saturating_duration_since(hold.since) < LONG {
            return Vec::new();
        }
        let mut found = Vec::new();
        for process in openers {
            if Some(process.pid) == hold.pid || self.cleared.contains(&process) {
                continue;
            }
            let Some(sight) = sight_of(proc, process) else {
                self.suspects.remove(&(index, process));
                continue;
            };
            let scheduled =
                (sight == SleepSight::Hidden).then(|| times_scheduled(proc, process.pid)).flatten();
            let fresh = WaiterSamples::new(hold.since, now);
            let samples = self.suspects.entry((index, process)).or_insert(fresh);
            if samples.hold != hold.since {
                *samples = fresh;
            }
            samples.add(sight, scheduled, now);
            found.extend(samples.verdict(process.pid, hold.pid));
        }
        found
    }

    // Clears the suspects that go on with their sleep while the lock is free, and forgets the others.
    fn clear_others(&mut self, index: usize, sight_of: impl Fn(ProcessId) -> Option<SleepSight>) {
        let free = self.free.entry(index).or_default();
        *free = free.saturating_add(1);
        let free = *free;
        let cleared = &mut self.cleared;
        self.suspects.retain(|(at, process), samples| {
            if *at != index {
                return true;
            }
            let is_suspected = samples.verdict(process.pid, None).is_some();
            let goes_on = is_suspected
                && matches!(sight_of(*process), Some(SleepSight::Handler(_) | SleepSight::Hidden));
            if goes_on && free >= FREE_ROUNDS {
                cleared.insert(*process);
            }
            goes_on && free < FREE_ROUNDS
        });
    }
}

impl WaiterSamples {
    fn new(hold: Instant, now: Instant) -> Self {
        let (samples, handler, hidden, longest_ms) = (0, 0, 0, 0);
        Self { hold, first: now, last: now, samples, handler, hidden, longest_ms, scheduled: None }
    }

    fn add(&mut self, sight: SleepSight, scheduled: Option<u64>, now: Instant) {
        self.samples += 1;
        self.last = now;
        match sight {
            SleepSight::Handler(ms) => {
                self.handler += 1;
                self.longest_ms = self.longest_ms.max(ms);
            }
            SleepSight::Hidden => self.hidden += 1,
            SleepSight::None => {}
        }
        if let Some(times) = scheduled {
            let first = self.scheduled.map_or(times, |(first, _)| first);
            self.scheduled = Some((first, times));
        }
    }

    fn verdict(&self, pid: i32, holder: Option<i32>) -> Option<PossibleWaiter> {
        let span = self.last.saturating_duration_since(self.first);
        let is_most = |asleep: u32| asleep * 100 >= self.samples * SHARE;
        let (asleep, evidence) = if self.samples >= FEWEST && span >= SHORTEST && is_most(self.handler) {
            (self.handler, WaiterEvidence::HandlerSleep { sleep_ms: self.longest_ms })
        } else if self.samples >= FEWEST_HIDDEN && span >= SHORTEST_HIDDEN && is_most(self.hidden) {
            let (first, last) = self.scheduled?;
            let times = u32::try_from(last.saturating_sub(first)).ok()?;
            let per_second = f64::from(times) / span.as_secs_f64();
            let evidence = WaiterEvidence::WakeRhythm { per_second };
            WAKES.contains(&per_second).then_some((self.hidden, evidence))?
        } else {
            return None;
        };
        let (samples, span_ms) = (self.samples, units::milliseconds(span));
        Some(PossibleWaiter { pid, holder, samples, asleep, span_ms, evidence })
    }
}

// `None` if the process is gone.
fn sight_of(proc: &Path, process: ProcessId) -> Option<SleepSight> {
    let sight = sleeps::sight(&ProcessFolder::of(proc, process.pid))?;
    // The PID may be reused meanwhile.
    (process_start(proc, process.pid) == Some(process.start_ticks)).then_some(sight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId { pid: 7, start_ticks: 1 };

    fn samples(count: u32, apart_ms: u64, sight: SleepSight, per_second: Option<f64>) -> WaiterSamples {
        let start = Instant::now();
        let mut samples = WaiterSamples::new(start, start);
        for number in 0..count {
            let after = Duration::from_millis(apart_ms) * number;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            let scheduled = per_second.map(|rate| 1_000 + (rate * after.as_secs_f64()).round() as u64);
            samples.add(sight, scheduled, start + after);
        }
        samples
    }

    fn evidence(samples: &WaiterSamples) -> Option<WaiterEvidence> {
        samples.verdict(7, Some(1)).map(|waiter| waiter.evidence)
    }

    #[test]
    fn the_sleep_of_the_handler_needs_few_samples_and_most_of_them() {
        let handler = SleepSight::Handler(100);
        assert_eq!(
            evidence(&samples(5, 50, handler, None)),
            Some(WaiterEvidence::HandlerSleep { sleep_ms: 100 })
        );
        assert_eq!(evidence(&samples(4, 100, handler, None)), None, "too few");
        assert_eq!(evidence(&samples(6, 30, handler, None)), None, "too short");
        let mut mixed = samples(7, 50, handler, None);
        let last = mixed.last;
        mixed.add(SleepSight::None, None, last);
        assert!(evidence(&mixed).is_some(), "seven of eight");
        mixed.add(SleepSight::None, None, last);
        assert_eq!(evidence(&mixed), None, "seven of nine");
    }

    #[test]
    fn a_hidden_sleep_needs_the_rhythm_of_the_handler() {
        let rate = |per_second| evidence(&samples(11, 200, SleepSight::Hidden, per_second));
        assert!(matches!(rate(Some(9.5)), Some(WaiterEvidence::WakeRhythm { .. })));
        for other in [Some(0.0), Some(1.0), Some(20.0), None] {
            assert_eq!(rate(other), None, "{other:?}");
        }
        assert_eq!(evidence(&samples(9, 200, SleepSight::Hidden, Some(9.5))), None, "too few");
    }

    #[test]
    fn a_program_that_sleeps_on_while_the_lock_is_free_is_cleared() {
        let suspect = || {
            let handler = samples(9, 50, SleepSight::Handler(100), None);
            WaiterWatch { suspects: HashMap::from([((0, PROCESS), handler)]), ..WaiterWatch::default() }
        };
        let mut sleeps_on = suspect();
        for _ in 0..FREE_ROUNDS {
            assert!(!sleeps_on.cleared.contains(&PROCESS));
            sleeps_on.clear_others(0, |_| Some(SleepSight::Handler(100)));
        }
        assert!(sleeps_on.cleared.contains(&PROCESS) && sleeps_on.suspects.is_empty());
        let mut waited = suspect();
        waited.clear_others(0, |_| Some(SleepSight::None));
        assert!(waited.cleared.is_empty() && waited.suspects.is_empty(), "it got the lock");
    }

    #[test]
    fn who_sleeps_as_the_handler_does_while_another_holds_the_lock_for_long_may_wait() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        // The request for 100 ms lies at address 8 of its memory.
        let asked = [8_u64, 0, 100_000_000].map(u64::to_ne_bytes).concat();
        for pid in [70, 71, 72] {
            let stat = format!("{pid} (bun) S 1 {}1 0 4200 9 9\n", "0 ".repeat(15));
            proc.process(pid)
                .write(&format!("{pid}/stat"), &stat)
                .write(&format!("{pid}/task/{pid}/stat"), &stat);
            std::fs::write(proc.path().join(format!("{pid}/mem")), &asked).expect("written");
        }
        let sleeping = "230 0x0 0x0 0x8 0x8 0x0 0x0 0x7ffd 0x7f01";
        for pid in [70, 72] {
            proc.write(&format!("{pid}/task/{pid}/syscall"), sleeping);
        }
        let process = |pid| ProcessId { pid, start_ticks: 4200 };
        let reused = ProcessId { pid: 70, start_ticks: 1 };
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut watch = WaiterWatch::default();
        let mut found = |hold_ms: u64, holder: i32, ms: u64| {
            let hold = WriteHold { since: at(hold_ms), pid: Some(holder) };
            let openers = [process(70), process(71), reused].into_iter();
            let found = watch.sample(proc.path(), (0, Some(hold)), openers, at(ms));
            found.into_iter().map(|it| (it.pid, it.holder, it.samples)).collect::<Vec<_>>()
        };
        for ms in [100, 150, 200, 250] {
            assert_eq!(found(0, 71, ms), [], "too few samples");
        }
        assert_eq!(found(0, 71, 300), [(70, Some(71), 5)]);
        assert_eq!(found(0, 70, 350), [], "it is the holder");
        assert_eq!(found(0, 71, 400), [(70, Some(71), 6)]);
        assert_eq!(found(400, 71, 499), [], "this hold is short");
        assert_eq!(found(400, 71, 500), [], "and another one");
    }
}
