//! Processes that may be waiting for the write lock: those that sleep as SQLite's busy handler does while another
//! process holds it.
//!
//! A program may sleep in the same way for its own reasons. One that goes on with it while the lock is free is not
//! suspected again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
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

/// The samples that count, if the sleep is known. A process may begin to wait in the middle of a hold.
const WINDOW: Duration = Duration::from_secs(1);
/// The fewest of them, also if they take longer, as on a busy machine, and the shortest time that they span.
const FEWEST: usize = 5;
const SHORTEST: Duration = Duration::from_millis(200);
/// The same if it is hidden.
const WINDOW_HIDDEN: Duration = Duration::from_secs(3);
const FEWEST_HIDDEN: usize = 10;
const SHORTEST_HIDDEN: Duration = Duration::from_secs(1);
/// For how long samples are kept.
const KEPT: Duration = Duration::from_secs(6);
/// The share of the samples that show the sleep, in percent: of those that do not only show that it is ready to run, and
/// of all.
const SHARE: usize = 80;
const SHARE_OF_ALL: usize = 50;
/// How often the busy handler wakes up in a second, after its first tries.
const WAKES: std::ops::RangeInclusive<f64> = 8.0..=11.0;
/// After this time a waiting process has asked for a free lock: the busy handler sleeps for 100 ms at most.
const ASKED: Duration = Duration::from_millis(150);
/// How many samples in a row of a lock that has been free for so long show that a sleep has another reason.
const FREE_SAMPLES: u32 = 3;

/// The write lock of one database.
#[derive(Debug, Clone, Copy)]
pub enum WriteLockState {
    Held {
        since: Instant,
        pid: Option<i32>,
    },
    Free {
        /// The end of the last hold; `None` if it is not known.
        since: Option<Instant>,
    },
}

/// The samples of all databases.
#[derive(Debug, Default)]
pub struct WaiterWatch {
    suspects: HashMap<(usize, ProcessId), WaiterSamples>,
    /// Processes that sleep so for another reason.
    cleared: HashSet<ProcessId>,
}

/// The samples of one process during one hold.
#[derive(Debug, Clone)]
struct WaiterSamples {
    hold: Instant,
    recent: VecDeque<SleepSample>,
    /// What it has looked like without a break, up to the newest sample.
    suspicion: Option<WaitSuspicion>,
    /// Samples of a lock that has been free for long, each with the sleep.
    free: u32,
}

#[derive(Debug, Clone, Copy)]
struct SleepSample {
    at: Instant,
    sight: SleepSight,
    /// How often the process was scheduled so far.
    scheduled: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct WaitSuspicion {
    first: Instant,
    last: Instant,
    samples: usize,
    asleep: usize,
    evidence: WaiterEvidence,
}

impl WaiterWatch {
    /// Samples the `openers` of the database at `index` if its write lock is held for long, and returns those that may
    /// wait for it. While the lock is free, only those suspected before are sampled.
    pub fn sample(
        &mut self,
        proc: &Path,
        (index, lock): (usize, WriteLockState),
        openers: impl Iterator<Item = ProcessId>,
        now: Instant,
    ) -> Vec<PossibleWaiter> {
        let (since, pid) = match lock {
            WriteLockState::Held { since, pid } => (since, pid),
            WriteLockState::Free { since } => {
                if since.is_some_and(|since| now.saturating_duration_since(since) >= ASKED) {
                    self.clear_others(index, |process| sight_of(proc, process));
                }
                return Vec::new();
            }
        };
        if now.saturating_duration_since(since) < LONG {
            return Vec::new();
        }
        let mut found = Vec::new();
        for process in openers {
            if Some(process.pid) == pid || self.cleared.contains(&process) {
                continue;
            }
            let Some(sight) = sight_of(proc, process) else {
                self.suspects.remove(&(index, process));
                continue;
            };
            let scheduled =
                (sight == SleepSight::Hidden).then(|| times_scheduled(proc, process.pid)).flatten();
            let fresh = || WaiterSamples::new(since);
            let samples = self.suspects.entry((index, process)).or_insert_with(fresh);
            // A look may find that the same hold began earlier.
            if since > samples.hold {
                *samples = fresh();
            }
            samples.hold = since;
            samples.add(SleepSample { at: now, sight, scheduled });
            found.extend(samples.verdict(process.pid, pid));
        }
        found
    }

    // Clears the suspects that go on with their sleep while the lock has been free for long, and forgets the others.
    fn clear_others(&mut self, index: usize, sight_of: impl Fn(ProcessId) -> Option<SleepSight>) {
        let cleared = &mut self.cleared;
        self.suspects.retain(|(at, process), samples| {
            if *at != index {
                return true;
            }
            let goes_on = samples.suspicion.is_some()
                && matches!(sight_of(*process), Some(SleepSight::Handler(_) | SleepSight::Hidden));
            samples.free += u32::from(goes_on);
            if samples.free >= FREE_SAMPLES {
                cleared.insert(*process);
            }
            goes_on && samples.free < FREE_SAMPLES
        });
    }
}

impl SleepSample {
    fn is_asleep(&self) -> bool {
        matches!(self.sight, SleepSight::Handler(_) | SleepSight::Hidden)
    }
}

impl WaiterSamples {
    fn new(hold: Instant) -> Self {
        Self { hold, recent: VecDeque::new(), suspicion: None, free: 0 }
    }

    fn add(&mut self, sample: SleepSample) {
        let is_old = |first: &SleepSample| sample.at.saturating_duration_since(first.at) > KEPT;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.recent.push_back(sample);
        let now = self.by_known_sleep().or_else(|| self.by_rhythm());
        self.suspicion = now.map(|now| match self.suspicion {
            Some(before) => WaitSuspicion {
                first: before.first,
                samples: before.samples + 1,
                asleep: before.asleep + usize::from(sample.is_asleep()),
                ..now
            },
            None => now,
        });
    }

    fn by_known_sleep(&self) -> Option<WaitSuspicion> {
        let asked = |sample: &SleepSample| match sample.sight {
            SleepSight::Handler(ms) => Some(ms),
            SleepSight::Hidden | SleepSight::Ready | SleepSight::None => None,
        };
        let sleep_ms = self.recent.iter().filter_map(asked).max()?;
        let evidence = WaiterEvidence::HandlerSleep { sleep_ms };
        self.in_window(WINDOW, (FEWEST, SHORTEST), |it| asked(it).is_some(), |_| Some(evidence))
    }

    fn by_rhythm(&self) -> Option<WaitSuspicion> {
        let per_second = |of: &[&SleepSample]| {
            let mut known = of.iter().filter_map(|it| Some((it.at, it.scheduled?)));
            let (first, last) = (known.next()?, known.next_back()?);
            let times = u32::try_from(last.1.saturating_sub(first.1)).ok()?;
            let per_second = f64::from(times) / last.0.saturating_duration_since(first.0).as_secs_f64();
            WAKES.contains(&per_second).then_some(WaiterEvidence::WakeRhythm { per_second })
        };
        let is_hidden = |sample: &SleepSample| sample.sight == SleepSight::Hidden;
        self.in_window(WINDOW_HIDDEN, (FEWEST_HIDDEN, SHORTEST_HIDDEN), is_hidden, per_second)
    }

    fn in_window(
        &self,
        window: Duration,
        (fewest, shortest): (usize, Duration),
        is_asleep: impl Fn(&SleepSample) -> bool,
        evidence: impl Fn(&[&SleepSample]) -> Option<WaiterEvidence>,
    ) -> Option<WaitSuspicion> {
        let last = self.recent.back()?.at;
        let is_in = |sample: &&SleepSample| last.saturating_duration_since(sample.at) <= window;
        let count = self.recent.iter().filter(is_in).count().max(fewest);
        let its: Vec<&SleepSample> =
            self.recent.iter().skip(self.recent.len().saturating_sub(count)).collect();
        let (first, samples) = (its.first()?.at, its.len());
        let asleep = its.iter().filter(|sample| is_asleep(sample)).count();
        let ready = its.iter().filter(|sample| sample.sight == SleepSight::Ready).count();
        let is_most = asleep * 100 >= (samples - ready) * SHARE && asleep * 100 >= samples * SHARE_OF_ALL;
        if samples < fewest || last.saturating_duration_since(first) < shortest || !is_most {
            return None;
        }
        Some(WaitSuspicion { first, last, samples, asleep, evidence: evidence(&its)? })
    }

    fn verdict(&self, pid: i32, holder: Option<i32>) -> Option<PossibleWaiter> {
        let WaitSuspicion { first, last, samples, asleep, evidence } = self.suspicion?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let span_ms = units::milliseconds(last.saturating_duration_since(first));
        Some(PossibleWaiter {
            pid,
            holder,
            samples: count(samples),
            asleep: count(asleep),
            span_ms,
            evidence,
        })
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
        let mut samples = WaiterSamples::new(start);
        for number in 0..count {
            let after = Duration::from_millis(apart_ms) * number;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            let scheduled = per_second.map(|rate| 1_000 + (rate * after.as_secs_f64()).round() as u64);
            samples.add(SleepSample { at: start + after, sight, scheduled });
        }
        samples
    }

    fn go_on(samples: &mut WaiterSamples, count: u32, sight: SleepSight) {
        let last = samples.recent.back().expect("a sample").at;
        for number in 1..=count {
            let at = last + Duration::from_millis(50) * number;
            samples.add(SleepSample { at, sight, scheduled: None });
        }
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
        go_on(&mut mixed, 1, SleepSight::None);
        assert!(evidence(&mixed).is_some(), "seven of eight");
        go_on(&mut mixed, 1, SleepSight::None);
        assert_eq!(evidence(&mixed), None, "seven of nine");
    }

    #[test]
    fn on_a_busy_machine_samples_are_rare_and_who_has_woken_up_waits_for_a_processor() {
        let handler = SleepSight::Handler(100);
        assert!(evidence(&samples(5, 700, handler, None)).is_some(), "they take longer than the window");
        let mut starved = samples(5, 100, handler, None);
        go_on(&mut starved, 3, SleepSight::Ready);
        assert!(evidence(&starved).is_some(), "five of eight, and three are ready");
        go_on(&mut starved, 3, SleepSight::Ready);
        assert_eq!(evidence(&starved), None, "it computes rather");
        assert_eq!(evidence(&samples(9, 50, SleepSight::Ready, None)), None);
    }

    #[test]
    fn who_begins_to_wait_in_the_middle_of_a_hold_is_found_and_left_when_it_gives_up() {
        let mut samples = samples(80, 50, SleepSight::None, None);
        go_on(&mut samples, 21, SleepSight::Handler(100));
        let found = samples.verdict(7, Some(1)).expect("for a second now");
        assert!(found.samples >= 20 && found.span_ms <= 1_500.0, "{found:?}");
        go_on(&mut samples, 60, SleepSight::Handler(50));
        let longer = samples.verdict(7, Some(1)).expect("it goes on");
        assert!((longer.span_ms - found.span_ms - 3_000.0).abs() < 1.0, "{longer:?}");
        assert_eq!((longer.samples - found.samples, longer.asleep - found.asleep), (60, 60));
        go_on(&mut samples, 6, SleepSight::None);
        assert_eq!(samples.verdict(7, Some(1)), None, "it has given up");
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
        for _ in 0..FREE_SAMPLES {
            assert!(!sleeps_on.cleared.contains(&PROCESS));
            sleeps_on.clear_others(0, |_| Some(SleepSight::Handler(100)));
        }
        assert!(sleeps_on.cleared.contains(&PROCESS) && sleeps_on.suspects.is_empty());
        let mut waited = suspect();
        waited.clear_others(0, |_| Some(SleepSight::None));
        assert!(waited.cleared.is_empty() && waited.suspects.is_empty(), "it got the lock");
    }

    #[test]
    fn a_sleep_that_began_before_the_release_says_nothing() {
        let proc = crate::observe::proc::fake::FakeProc::new();
        let handler = samples(9, 50, SleepSight::Handler(100), None);
        let mut watch =
            WaiterWatch { suspects: HashMap::from([((0, PROCESS), handler)]), ..WaiterWatch::default() };
        let released = Instant::now();
        let mut free = |since, ms| {
            let lock = WriteLockState::Free { since };
            watch.sample(proc.path(), (0, lock), std::iter::empty(), released + Duration::from_millis(ms));
            watch.suspects.len()
        };
        for ms in [0, 50, 100, 149] {
            assert_eq!(free(Some(released), ms), 1, "{ms}: it may still be in the same sleep");
        }
        assert_eq!(free(None, 500), 1, "the end of the hold is not known");
        assert_eq!(free(Some(released), 150), 0, "it is gone");
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
            let lock = WriteLockState::Held { since: at(hold_ms), pid: Some(holder) };
            let openers = [process(70), process(71), reused].into_iter();
            let found = watch.sample(proc.path(), (0, lock), openers, at(ms));
            found.into_iter().map(|it| (it.pid, it.holder, it.samples)).collect::<Vec<_>>()
        };
        for ms in [100, 150, 200, 250] {
            assert_eq!(found(0, 71, ms), [], "too few samples");
        }
        assert_eq!(found(0, 71, 300), [(70, Some(71), 5)]);
        assert_eq!(found(0, 70, 350), [], "it is the holder");
        assert_eq!(found(0, 71, 400), [(70, Some(71), 6)]);
        assert_eq!(found(10, 71, 450), [], "another hold");
        for ms in [500, 550, 600, 650] {
            let began_earlier = 650 - ms;
            found(began_earlier.min(10), 71, ms);
        }
        assert_eq!(
            found(0, 71, 700),
            [(70, Some(71), 6)],
            "the same hold, of which the beginning was not known"
        );
        assert_eq!(found(400, 71, 499), [], "this hold is short");
        assert_eq!(found(400, 71, 500), [], "and another one");
    }
}
