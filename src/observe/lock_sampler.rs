//! The write lock as it is held: a thread that asks the kernel hundreds of times a second.
//!
//! It asks for the three exclusive bytes of each `-shm` with `F_GETLK` on a descriptor that stays open, and
//! takes nothing. Only for a process without a `SQLite` connection: closing that descriptor would drop its locks.

use std::{
    collections::HashMap,
    fs::File,
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    history::{History, Lock, Who},
    observe::{
        cost::{Meter, Tally},
        files::{self, FileId},
        lock_probe::{self, Ask},
        locks, processes,
    },
    snapshot::Sampling,
};

/// Time between two samples while something happens. What a sample costs is its wake-up, about 20 µs of a CPU;
/// at twice this pace the sampling alone costs as much as htop.
const BUSY: Duration = Duration::from_millis(2);
/// For how long nothing has happened, and the time between two samples from then on: while it may soon go on,
/// no hold of 5 ms is missed.
const RESTS: [(Duration, Duration); 2] = [
    (Duration::from_secs(3), Duration::from_millis(20)),
    (Duration::from_millis(200), Duration::from_millis(4)),
];
// A hold begins in the middle between two samples, but no more than this before it was seen: it is said to
// last "at least" so long.
const EDGE: Duration = Duration::from_millis(2);
// How long a name is taken for that of the same PID.
const NAME_KEPT: Duration = Duration::from_secs(1);

/// A `-shm` to sample, and where its holds go.
pub type Target = (PathBuf, Arc<Mutex<History>>);

/// Whether samples become rare while nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// They do.
    WithRests,
    /// They do not.
    Steady,
}

impl Pace {
    fn interval(self, idle: Duration) -> Duration {
        let rest = RESTS.into_iter().find(|(after, _)| self == Self::WithRests && idle >= *after);
        rest.map_or(BUSY, |(_, interval)| interval)
    }
}

/// The thread. It ends with this value.
#[derive(Debug)]
pub struct LockSampler {
    shared: Arc<Shared>,
    meter: Meter,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    pace: Pace,
    is_over: AtomicBool,
    targets: Mutex<Vec<Target>>,
    changed: AtomicBool,
    tally: Tally,
}

impl LockSampler {
    /// Starts to sample `targets`; names of holders come from the `/proc` at `proc`.
    ///
    /// # Errors
    ///
    /// Where the thread cannot be started.
    pub fn start(proc: &Path, targets: Vec<Target>, pace: Pace) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            pace,
            is_over: AtomicBool::new(false),
            targets: Mutex::new(targets),
            changed: AtomicBool::new(true),
            tally: Tally::default(),
        });
        let meter = Meter::start(&shared.tally, Instant::now());
        let (theirs, proc) = (Arc::clone(&shared), proc.to_owned());
        let thread =
            thread::Builder::new().name("waltop-locks".to_owned()).spawn(move || run(&theirs, proc))?;
        Ok(Self { shared, meter, thread: Some(thread) })
    }

    /// Samples `targets` from now on.
    pub fn set_targets(&self, targets: Vec<Target>) {
        *self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
        self.shared.changed.store(true, Ordering::Release);
        self.wake();
    }

    /// What it costs, as of `now`.
    pub fn cost(&mut self, now: Instant) -> Sampling {
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
            // A sampler that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, proc: PathBuf) {
    let mut names = Names { proc, known: HashMap::new() };
    let mut sampled: Vec<Sampled> = Vec::new();
    let mut last_activity = Instant::now();
    let mut due = last_activity;
    while !shared.is_over.load(Ordering::Acquire) {
        if shared.changed.swap(false, Ordering::AcqRel) {
            let targets = shared.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            sampled = retarget(sampled, targets);
        }
        for one in &mut sampled {
            if one.sample(&mut names) {
                last_activity = Instant::now();
            }
        }
        shared.tally.sampled();
        let now = Instant::now();
        let interval = shared.pace.interval(now.duration_since(last_activity));
        // A sample that came late does not make the next one late, nor are any made up for.
        due = (due + interval).max(now + interval / 2);
        thread::park_timeout(due - now);
    }
}

fn retarget(mut sampled: Vec<Sampled>, targets: Vec<Target>) -> Vec<Sampled> {
    let mut next = Vec::with_capacity(targets.len());
    for (path, history) in targets {
        let known = sampled.iter().position(|one| Arc::ptr_eq(&one.history, &history));
        next.push(match known {
            Some(index) => sampled.swap_remove(index),
            None => Sampled::new(path, history),
        });
    }
    next
}

// Who holds a lock; without a PID where that cannot be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder(Option<i32>);

// Those of the three exclusive bytes.
type Holders = [Option<Holder>; 3];

struct Sampled {
    path: PathBuf,
    history: Arc<Mutex<History>>,
    file: Option<(File, FileId)>,
    last: Option<Instant>,
    commits: u32,
    // What the history has as held: it is asked for, and its users waited for, only when something changes.
    holders: Holders,
}

impl Sampled {
    fn new(path: PathBuf, history: Arc<Mutex<History>>) -> Self {
        Self { path, history, file: None, last: None, commits: 0, holders: [None; 3] }
    }

    // Whether anything happens: somebody holds a lock, commits, or has made or removed the file.
    fn sample(&mut self, names: &mut Names) -> bool {
        let now = Instant::now();
        let before = self.last.replace(now);
        if before.is_none() {
            self.history.lock().unwrap_or_else(PoisonError::into_inner).sampling_began(now);
        }
        let known = self.file.as_ref().map(|(_, id)| *id);
        let Some((holders, commits)) = self.reopen().and_then(|file| read(file).ok()) else {
            self.file = None;
            self.note([None; 3], now, before, false, names);
            return known.is_some();
        };
        let is_another = known != self.file.as_ref().map(|(_, id)| *id);
        let committed = commits != self.commits;
        self.commits = commits;
        self.note(holders, now, before, committed, names);
        is_another || committed || holders.iter().any(Option::is_some)
    }

    // The descriptor on what lies at the path now: whoever opens a database alone makes `-shm` anew. While the
    // inode there is ours, ours has a link, since an inode that is open is not given to another file.
    fn reopen(&mut self) -> Option<&File> {
        let there = FileId::of(&self.path.metadata().ok()?);
        if self.file.as_ref().is_none_or(|(_, id)| *id != there) {
            let file = files::open(&self.path).ok()?;
            let id = FileId::of(&file.metadata().ok()?);
            self.file = Some((file, id));
        }
        self.file.as_ref().map(|(file, _)| file)
    }

    fn note(
        &mut self,
        holders: Holders,
        now: Instant,
        before: Option<Instant>,
        committed: bool,
        names: &mut Names,
    ) {
        let half = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before)) / 2;
        for ((lock, holder), current) in Lock::ALL.into_iter().zip(holders).zip(&mut self.holders) {
            // A commit between two samples ended one hold, even if the same process has the lock again.
            let is_another = committed && lock == Lock::Write && holder.is_some();
            if *current == holder && !is_another {
                continue;
            }
            let who = holder.map(|Holder(pid)| names.of(pid, now));
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            match who {
                Some(who) => history.open(lock, now.checked_sub(half.min(EDGE)).unwrap_or(now), who),
                None => history.close(lock, now.checked_sub(half).unwrap_or(now)),
            }
            *current = holder;
        }
    }
}

// The holders of the exclusive bytes, and the commit counter of the index.
fn read(file: &File) -> io::Result<(Holders, u32)> {
    let mut counter = [0; 4];
    files::read_at(file, &mut counter, 8)?;
    let mut holders = [None; 3];
    find(file, locks::WRITE..=locks::RECOVER, &mut holders)?;
    Ok((holders, u32::from_ne_bytes(counter)))
}

// One question where `bytes` are free, and two where one process holds one end of them.
fn find(file: &File, bytes: RangeInclusive<u64>, holders: &mut Holders) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let Some(obstacle) = lock_probe::ask(file, Ask::Writers, bytes.clone())? else { return Ok(()) };
    let (first, last) = (bytes.start().max(obstacle.bytes.start()), bytes.end().min(obstacle.bytes.end()));
    for (holder, byte) in holders.iter_mut().zip(locks::WRITE..) {
        if (*first..=*last).contains(&byte) {
            *holder = Some(Holder(obstacle.pid));
        }
    }
    find(file, *bytes.start()..=first - 1, holders)?;
    find(file, last + 1..=*bytes.end(), holders)
}

struct Names {
    proc: PathBuf,
    known: HashMap<i32, (Instant, Arc<Who>)>,
}

impl Names {
    fn of(&mut self, pid: Option<i32>, now: Instant) -> Arc<Who> {
        let Some(pid) = pid else { return Arc::default() };
        if let Some((_, who)) = self.known.get(&pid).filter(|(at, _)| now.duration_since(*at) < NAME_KEPT) {
            return Arc::clone(who);
        }
        // A process that is gone keeps no name: what is forgotten can be asked for again.
        self.known.retain(|_, (at, _)| now.duration_since(*at) < NAME_KEPT);
        let who = Arc::new(processes::who(&self.proc, pid));
        self.known.insert(pid, (now, Arc::clone(&who)));
        who
    }
}
