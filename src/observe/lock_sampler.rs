//! Samples the write lock: a thread that asks the kernel hundreds of times per second.
//!
//! It queries the three exclusive bytes of each `-shm`, or RESERVED of a main file without one, with `F_GETLK` on a
//! descriptor that stays open, and takes no lock. Only for a process without a SQLite connection: closing that descriptor would drop the locks of the
//! connection.
//!
//! The cost of a sample is its wake-up, 20 to 30 µs of CPU time. There are only as many as it takes to see every hold
//! of 5 ms; the end of a long hold is watched instead.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    history::LockHistory,
    observe::{
        commit_watcher::CommitWatcher,
        cost::{CostMeter, SamplingTally},
    },
    snapshot::{LabelRules, SamplingFacts},
    threads,
};

mod holder_names;
mod sampled;

pub use holder_names::HolderNames;
use sampled::LockSamples;

/// Time between two samples while the lock is held, or was lately: a hold of 5 ms must not fall between two samples.
const BUSY: Duration = Duration::from_millis(4);
/// The same after its commit was seen.
const ENDING: Duration = Duration::from_micros(500);
/// The same without rests.
const STEADY: Duration = Duration::from_millis(1);
/// For how long nothing has happened, and the time between two samples from then on.
const QUIET: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_millis(20);
#[derive(Debug, Clone)]
pub struct SampledDatabase {
    /// Its main file, whose locks are sampled while there is no `-shm`.
    pub main: PathBuf,
    /// Its `-shm`.
    pub index: PathBuf,
    /// Its `-wal`.
    pub log: PathBuf,
    pub history: Arc<Mutex<LockHistory>>,
}

/// Whether samples become rare while nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplingPace {
    WithRests,
    Steady,
}

impl SamplingPace {
    fn interval(self, stir: LockActivity, idle: Duration) -> Duration {
        match (self, stir) {
            (_, LockActivity::Ending) => ENDING,
            (Self::Steady, _) => STEADY,
            (Self::WithRests, LockActivity::Some | LockActivity::None) if idle >= QUIET => REST,
            (Self::WithRests, _) => BUSY,
        }
    }
}

// The current activity on a database's locks; of several, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LockActivity {
    None,
    // A process committed, or created or removed the file.
    Some,
    Held,
    // A commit was seen.
    Ending,
}

/// The sampling thread. It ends when this value is dropped.
#[derive(Debug)]
pub struct LockSampler {
    shared: Arc<SamplerState>,
    meter: CostMeter,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SamplerState {
    pace: SamplingPace,
    is_over: AtomicBool,
    targets: Mutex<Vec<SampledDatabase>>,
    rules: Mutex<LabelRules>,
    changed: AtomicBool,
    tally: SamplingTally,
}

impl LockSampler {
    /// Starts to sample `targets`; labels of holders come from the `/proc` at `proc`.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(
        proc: &Path,
        targets: Vec<SampledDatabase>,
        rules: LabelRules,
        pace: SamplingPace,
    ) -> io::Result<Self> {
        let shared = Arc::new(SamplerState {
            pace,
            is_over: AtomicBool::new(false),
            targets: Mutex::new(targets),
            rules: Mutex::new(rules),
            changed: AtomicBool::new(true),
            tally: SamplingTally::default(),
        });
        let meter = CostMeter::start(&shared.tally, Instant::now());
        let (theirs, proc) = (Arc::clone(&shared), proc.to_owned());
        let thread = threads::start("waltop-locks", move || run(&theirs, proc))?;
        Ok(Self { shared, meter, thread: Some(thread) })
    }

    /// Replaces the sampled databases with `targets`.
    pub fn set_targets(&self, targets: Vec<SampledDatabase>) {
        *threads::lock(&self.shared.targets) = targets;
        self.shared.changed.store(true, Ordering::Release);
        self.wake();
    }

    /// Replaces the rules that name processes.
    pub fn set_label_rules(&self, rules: LabelRules) {
        *threads::lock(&self.shared.rules) = rules;
        self.shared.changed.store(true, Ordering::Release);
        self.wake();
    }

    /// The cost of sampling, as of `now`.
    pub fn cost(&mut self, now: Instant) -> SamplingFacts {
        self.meter.read(&self.shared.tally, now)
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for LockSampler {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // The panic of a sampler was already reported.
            let _ = thread.join();
        }
    }
}

fn run(shared: &SamplerState, proc: PathBuf) {
    let mut names = HolderNames::from(proc);
    let mut sampled: Vec<PacedDatabase> = Vec::new();
    let ear = CommitWatcher::open();
    while !shared.is_over.load(Ordering::Acquire) {
        if shared.changed.swap(false, Ordering::AcqRel) {
            let targets = threads::lock(&shared.targets).clone();
            sampled = retarget(sampled, targets);
            names.set_rules(threads::lock(&shared.rules).clone());
        }
        let now = Instant::now();
        for one in sampled.iter_mut().filter(|one| one.is_due(now)) {
            let stir = one.sampled.sample(&mut names, ear.as_ref());
            one.rest(shared.pace, stir);
        }
        shared.tally.sampled();
        let Some(due) = sampled.iter().map(|one| one.due).min() else {
            // With the trace there is nothing to sample: other targets, and the end, wake the thread.
            thread::park();
            continue;
        };
        match ear.as_ref().filter(|_| sampled.iter().any(|one| one.sampled.is_listening())) {
            Some(ear) => wait_for_commit(ear, &mut sampled, due),
            None => thread::park_timeout(due.saturating_duration_since(Instant::now())),
        }
    }
}

// A database with its own pace: activity on another database does not raise its cost.
struct PacedDatabase {
    sampled: LockSamples,
    due: Instant,
    interval: Duration,
    last_activity: Instant,
}

impl PacedDatabase {
    fn new(target: SampledDatabase) -> Self {
        let now = Instant::now();
        Self { sampled: LockSamples::new(target), due: now, interval: Duration::ZERO, last_activity: now }
    }

    // Slightly early, so that resting databases are sampled together, or with an active one, and need no extra wake-up.
    fn is_due(&self, now: Instant) -> bool {
        self.due <= now + self.interval / 2
    }

    fn rest(&mut self, pace: SamplingPace, stir: LockActivity) {
        let now = Instant::now();
        if stir > LockActivity::None {
            self.last_activity = now;
        }
        self.interval = pace.interval(stir, now.duration_since(self.last_activity));
        // A late sample does not delay the next one, and missed samples are not repeated.
        self.due = (self.due.min(now) + self.interval).max(now + self.interval / 2);
    }
}

// Waits until `due` or a commit. After a commit the next sample of that database is due.
fn wait_for_commit(ear: &CommitWatcher, sampled: &mut [PacedDatabase], due: Instant) {
    let heard = ear.wait(due.saturating_duration_since(Instant::now()));
    if !heard.is_empty() {
        let now = Instant::now();
        for one in sampled.iter_mut().filter(|one| one.sampled.is_listening()) {
            if one.sampled.commits_seen(&heard, now) {
                one.due = now;
            }
        }
    }
}

fn retarget(mut sampled: Vec<PacedDatabase>, targets: Vec<SampledDatabase>) -> Vec<PacedDatabase> {
    let mut next = Vec::with_capacity(targets.len());
    for target in targets {
        let known = sampled.iter().position(|one| one.sampled.is_of(&target));
        next.push(match known {
            Some(index) => {
                let mut known = sampled.swap_remove(index);
                known.sampled.move_to(target);
                known
            }
            None => PacedDatabase::new(target),
        });
    }
    next
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
