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
mod tests;
