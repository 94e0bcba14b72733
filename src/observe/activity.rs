//! Samples what the holders of locks do: a thread that reads their `/proc` files while they hold one, and nothing of
//! other processes.
//!
//! It is not the thread that samples the locks, because the search for the other end of a pipe takes milliseconds.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    history::{LockHistory, SampledLock},
    snapshot::{Activity, ActivityClass, Database, HolderActivity, OwnWaiters, PossibleWaiter, ProcessId},
    threads, units,
};

mod classify;
mod details;
mod other_end;
mod pool;
mod sleeps;
#[cfg(target_os = "linux")]
pub(super) mod unix_socket;
mod waiters;

use super::proc::{ProcessFolder, process_start};
use details::{KnownSources, ProcessWaits};
use pool::PoolWatch;
use waiters::{WaiterWatch, WriteLockState};

/// Time between two samples of a hold.
const USUAL: Duration = Duration::from_millis(200);
/// The same of a hold that has become long, until there are enough samples.
const CLOSE: Duration = Duration::from_millis(50);
/// The age in ms from which on a hold that only the snapshots show is sampled.
const LONG_HOLD_MS: f64 = 1000.0;
/// The age of a long hold.
const LONG: Duration = Duration::from_millis(100);
/// How many samples of a long hold are taken closely.
const MOST_CLOSE: usize = 40;
/// How long a sample is kept.
const KEPT: Duration = Duration::from_mins(1);
/// How many samples of one process are kept.
const MOST_KEPT: usize = 400;
/// How many processes that have one database open are sampled while another process holds its lock.
const MOST_OPENERS: usize = 32;
/// How many processes are sampled at the same time.
const MOST_HOLDERS: usize = 16;

/// The sampling thread. It ends when this value is dropped.
#[derive(Debug)]
pub struct ActivitySampler {
    shared: Arc<SamplerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct SamplerState {
    is_over: AtomicBool,
    targets: Mutex<ActivityTargets>,
    samples: Mutex<HashMap<ProcessId, HolderSamples>>,
    /// By the index of their database.
    waiters: Mutex<HashMap<usize, Vec<PossibleWaiter>>>,
    /// The same of threads that wait for their own process.
    own_waiters: Mutex<HashMap<usize, Vec<OwnWaiters>>>,
}

/// Whose activity is sampled.
#[derive(Debug, Default, Clone)]
pub struct ActivityTargets {
    /// The histories that name the current holders of the sampled locks.
    pub histories: Vec<Arc<Mutex<LockHistory>>>,
    /// Other holders, and readers that pin the log.
    pub holders: Vec<ProcessId>,
    /// The processes that have a database open, each with the index of its history: they may wait for its lock.
    pub openers: Vec<(usize, ProcessId)>,
    /// The inodes of the files of the watched databases.
    pub files: Vec<u64>,
}

impl ActivityTargets {
    /// The holders of the locks of `databases`: those that `histories` name, and those that had held a lock or a frame
    /// for long in the last sample, so that they probably hold it still.
    pub fn of(databases: &[Database], histories: Vec<Arc<Mutex<LockHistory>>>) -> Self {
        let mut targets = Self { histories, ..Self::default() };
        for (index, database) in databases.iter().enumerate() {
            let openers = database.processes.iter().filter(|it| it.handles.is_some_and(|it| it.db > 0));
            let openers = openers.filter_map(|it| Some((index, it.identity()?)));
            targets.openers.extend(openers.take(MOST_OPENERS));
            let locks = &database.locks;
            let holders = [&locks.writer, &locks.checkpointer, &locks.recoverer, &locks.exclusive];
            let holders = holders.into_iter().flatten().map(|holder| (holder.pid, holder.held_ms));
            let readers = locks.readers.iter().map(|reader| (reader.pid, reader.held_ms));
            let long = holders.chain(readers).filter(|(_, held)| held.is_some_and(|ms| ms >= LONG_HOLD_MS));
            for process in long.filter_map(|(pid, _)| database.process(pid?)) {
                targets.holders.extend(process.identity());
            }
            let files = &database.files;
            targets
                .files
                .extend([&files.db, &files.wal, &files.shm].into_iter().flatten().map(|file| file.inode));
        }
        targets
    }
}

/// The samples of one process.
#[derive(Debug, Default)]
struct HolderSamples {
    samples: VecDeque<(Instant, Arc<Activity>)>,
    /// Start of the hold of the newest sample.
    since: Option<Instant>,
    known: KnownSources,
}

impl ActivitySampler {
    /// Starts to sample; what holders do comes from the `/proc` at `proc`.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(proc: &Path) -> io::Result<Self> {
        let shared = Arc::new(SamplerState::default());
        let (theirs, proc) = (Arc::clone(&shared), proc.to_owned());
        let thread = threads::start("waltop-activity", move || run(&theirs, &proc))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Replaces the processes that are sampled.
    pub fn set_targets(&self, targets: ActivityTargets) {
        *threads::lock(&self.shared.targets) = targets;
    }

    /// The processes that may be waiting for the write lock of the database at `index`.
    pub fn possible_waiters(&self, index: usize) -> Vec<PossibleWaiter> {
        threads::lock(&self.shared.waiters).get(&index).cloned().unwrap_or_default()
    }

    /// The processes whose threads wait for a lock of the database at `index` that the process itself holds.
    pub fn own_waiters(&self, index: usize) -> Vec<OwnWaiters> {
        threads::lock(&self.shared.own_waiters).get(&index).cloned().unwrap_or_default()
    }

    /// The activity of `process` in the last minute, as of `now`: of its current hold, if that has enough samples.
    pub fn activity_of(&self, process: ProcessId, now: Instant) -> Option<HolderActivity> {
        threads::lock(&self.shared.samples).get(&process)?.activity(now)
    }
}

impl Drop for ActivitySampler {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The panic of a sampler was already reported.
            let _ = thread.join();
        }
    }
}

fn run(shared: &SamplerState, proc: &Path) {
    let mut held_before: HashMap<ProcessId, Instant> = HashMap::new();
    let (mut waiters, mut pools) = (WaiterWatch::default(), PoolWatch::default());
    while !shared.is_over.load(Ordering::Acquire) {
        let now = Instant::now();
        let targets = threads::lock(&shared.targets).clone();
        let held = holders(&targets, &held_before, now);
        let mut next = USUAL;
        for (&process, &since) in &held {
            let is_close = now.saturating_duration_since(since) >= LONG;
            let HoldSample { counted, class, asleep } = sample(shared, proc, process, since, &targets.files);
            if let Some(asleep) = asleep.filter(|_| is_close) {
                written_by(&targets, process).for_each(|index| pools.add(index, process, asleep, now));
            }
            if let Some(class) = class {
                for history in &targets.histories {
                    threads::lock(history).doing(now, process, class);
                }
            }
            if is_close && counted < MOST_CLOSE {
                next = CLOSE;
            }
        }
        let is_free = |index: usize| targets.histories.get(index).is_some_and(|it| writer(it).is_none());
        pools.end_round(is_free, |it| asleep(proc, it), now);
        *threads::lock(&shared.own_waiters) = pools.verdicts();
        held_before = held;
        if !targets.openers.is_empty() {
            *threads::lock(&shared.waiters) = possible_waiters(&mut waiters, proc, &targets, now);
        }
        forget_old(shared, now);
        thread::park_timeout(next);
    }
}

// The holder of the write lock, and since when.
fn writer(history: &Mutex<LockHistory>) -> Option<(Instant, Option<ProcessId>)> {
    let history = threads::lock(history);
    let (since, owner) = history.current(SampledLock::Write)?;
    let process = owner.pid.zip(owner.start_ticks).map(|(pid, start_ticks)| ProcessId { pid, start_ticks });
    Some((since, process))
}

// The databases whose write lock `process` holds, by index.
fn written_by(targets: &ActivityTargets, process: ProcessId) -> impl Iterator<Item = usize> {
    let histories = targets.histories.iter().enumerate();
    histories
        .filter(move |(_, it)| writer(it).is_some_and(|it| it.1 == Some(process)))
        .map(|(index, _)| index)
}

// How many threads of `process` sleep as SQLite's busy handler does; `None` if it is gone.
fn asleep(proc: &Path, process: ProcessId) -> Option<u32> {
    let folder = ProcessFolder::of(proc, process.pid);
    let asleep = sleeps::count(&folder.thread_states()?, |address| folder.requested_sleep(address));
    (process_start(proc, process.pid) == Some(process.start_ticks)).then_some(asleep)
}

fn possible_waiters(
    watch: &mut WaiterWatch,
    proc: &Path,
    targets: &ActivityTargets,
    now: Instant,
) -> HashMap<usize, Vec<PossibleWaiter>> {
    let mut found = HashMap::new();
    for (index, history) in targets.histories.iter().enumerate() {
        let history = threads::lock(history);
        let lock = match history.current(SampledLock::Write) {
            Some((since, owner)) => WriteLockState::Held { since, pid: owner.pid },
            None => WriteLockState::Free { since: history.last_release() },
        };
        drop(history);
        let openers = targets.openers.iter().filter(|(at, _)| *at == index).map(|(_, process)| *process);
        found.insert(index, watch.sample(proc, (index, lock), openers, now));
    }
    found
}

// The processes that hold a lock, each with the start of its hold as far as that is known.
fn holders(
    targets: &ActivityTargets,
    before: &HashMap<ProcessId, Instant>,
    now: Instant,
) -> HashMap<ProcessId, Instant> {
    let mut held: HashMap<ProcessId, Instant> = HashMap::new();
    for history in &targets.histories {
        let history = threads::lock(history);
        for sampled in SampledLock::ALL {
            if let Some((since, owner)) = history.current(sampled)
                && let (Some(pid), Some(start_ticks)) = (owner.pid, owner.start_ticks)
            {
                held.entry(ProcessId { pid, start_ticks }).or_insert(since);
            }
        }
    }
    for holder in &targets.holders {
        held.entry(*holder).or_insert_with(|| before.get(holder).copied().unwrap_or(now));
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    held.retain(|process, _| process.pid != own);
    let excess: Vec<ProcessId> = held.keys().copied().skip(MOST_HOLDERS).collect();
    for process in excess {
        held.remove(&process);
    }
    held
}

// A sample of a holder.
#[derive(Debug, Clone, Copy)]
struct HoldSample {
    // The number of samples of its current hold.
    counted: usize,
    class: Option<ActivityClass>,
    // How many of its threads sleep as SQLite's busy handler does.
    asleep: Option<u32>,
}

// Takes a sample of `process`.
fn sample(
    shared: &SamplerState,
    proc: &Path,
    process: ProcessId,
    since: Instant,
    files: &[u64],
) -> HoldSample {
    let folder = ProcessFolder::of(proc, process.pid);
    let Some(threads) = folder.thread_states() else {
        return HoldSample { counted: MOST_CLOSE, class: None, asleep: None };
    };
    let asleep = sleeps::count(&threads, |address| folder.requested_sleep(address));
    let mut known = std::mem::take(&mut threads::lock(&shared.samples).entry(process).or_default().known);
    let activity = classify::activity(&threads, &ProcessWaits::new(proc, process.pid, files, &known));
    // The PID may be reused meanwhile.
    let is_it = process_start(proc, process.pid) == Some(process.start_ticks);
    let mut samples = threads::lock(&shared.samples);
    let its = samples.entry(process).or_default();
    if its.since != Some(since) {
        known = KnownSources::default();
    }
    its.known = known;
    let class = is_it.then(|| activity.class());
    if is_it {
        its.add(activity, Instant::now(), since);
    }
    HoldSample { counted: its.of_current_hold().count(), class, asleep: is_it.then_some(asleep) }
}

fn forget_old(shared: &SamplerState, now: Instant) {
    threads::lock(&shared.samples).retain(|_, its| {
        while its.samples.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > KEPT) {
            its.samples.pop_front();
        }
        !its.samples.is_empty()
    });
}

impl HolderSamples {
    fn add(&mut self, activity: Activity, now: Instant, since: Instant) {
        self.since = Some(since);
        let same = self.samples.back().map(|(_, last)| last).filter(|last| ***last == activity);
        let activity = same.map_or_else(|| Arc::new(activity), Arc::clone);
        if self.samples.len() == MOST_KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back((now, activity));
    }

    fn of_current_hold(&self) -> impl Iterator<Item = &(Instant, Arc<Activity>)> + Clone {
        self.samples.iter().filter(|(at, _)| self.since.is_some_and(|since| *at >= since))
    }

    fn activity(&self, now: Instant) -> Option<HolderActivity> {
        let kept = |(at, _): &&(Instant, Arc<Activity>)| now.saturating_duration_since(*at) <= KEPT;
        let current = summary(self.of_current_hold().filter(kept));
        let is_enough = current.as_ref().is_some_and(|current| {
            current.samples >= HolderActivity::FEWEST && current.span_ms >= HolderActivity::SHORTEST_MS
        });
        if is_enough { current } else { summary(self.samples.iter().filter(kept)) }
    }
}

fn summary<'a>(
    samples: impl Iterator<Item = &'a (Instant, Arc<Activity>)> + Clone,
) -> Option<HolderActivity> {
    let first = samples.clone().next()?.0;
    let last = samples.clone().last()?.0;
    let span = units::milliseconds(last.saturating_duration_since(first));
    HolderActivity::of(samples.map(|(_, activity)| activity.as_ref()), span)
}

#[cfg(test)]
mod tests;
