//! The write lock as it is held: a thread that asks the kernel hundreds of times a second.
//!
//! It asks for the three exclusive bytes of each `-shm` with `F_GETLK` on a descriptor that stays open, and
//! takes nothing. Only for a process without a `SQLite` connection: closing that descriptor would drop its locks.

use std::{
    collections::HashMap,
    fs::File,
    io,
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
        files::{self, FileId},
        lock_probe::{self, Ask, Obstacle},
        locks, processes,
    },
};

/// Time between two samples while something happens.
const BUSY: Duration = Duration::from_millis(2);
/// The same when nothing happened for [`CALM_AFTER`].
const CALM: Duration = Duration::from_millis(20);
/// The same while there is no `-shm` at all, and so nobody to hold a lock.
const NOTHING_THERE: Duration = Duration::from_millis(50);
const CALM_AFTER: Duration = Duration::from_secs(3);
// A change between two samples lies in their middle, but an edge is moved no further than this.
const EDGE: Duration = Duration::from_millis(1);
// How long a name is taken for that of the same PID.
const NAME_KEPT: Duration = Duration::from_secs(1);

/// A `-shm` to sample, and where its holds go.
pub type Target = (PathBuf, Arc<Mutex<History>>);

/// The thread. It ends with this value.
#[derive(Debug)]
pub struct LockSampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    is_over: AtomicBool,
    targets: Mutex<Vec<Target>>,
    changed: AtomicBool,
}

impl LockSampler {
    /// Starts to sample `targets`; names of holders come from the `/proc` at `proc`.
    ///
    /// # Errors
    ///
    /// Where the thread cannot be started.
    pub fn start(proc: &Path, targets: Vec<Target>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            targets: Mutex::new(targets),
            changed: AtomicBool::new(true),
        });
        let (theirs, proc) = (Arc::clone(&shared), proc.to_owned());
        let thread =
            thread::Builder::new().name("waltop-locks".to_owned()).spawn(move || run(&theirs, proc))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Samples `targets` from now on.
    pub fn set_targets(&self, targets: Vec<Target>) {
        *self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
        self.shared.changed.store(true, Ordering::Release);
        self.wake();
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
    while !shared.is_over.load(Ordering::Acquire) {
        if shared.changed.swap(false, Ordering::AcqRel) {
            let targets = shared.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            sampled = retarget(sampled, targets);
        }
        let now = Instant::now();
        let mut is_anything_there = false;
        for one in &mut sampled {
            let seen = one.sample(now, &mut names);
            is_anything_there |= seen != Seen::Nothing;
            if seen == Seen::Activity {
                last_activity = now;
            }
        }
        thread::park_timeout(match () {
            () if now.duration_since(last_activity) < CALM_AFTER => BUSY,
            () if is_anything_there => CALM,
            () => NOTHING_THERE,
        });
    }
}

fn retarget(mut sampled: Vec<Sampled>, targets: Vec<Target>) -> Vec<Sampled> {
    let mut next = Vec::with_capacity(targets.len());
    for (path, history) in targets {
        let known = sampled.iter().position(|one| Arc::ptr_eq(&one.history, &history));
        next.push(match known {
            Some(index) => sampled.swap_remove(index),
            None => Sampled { path, history, file: None, last: None, commits: 0 },
        });
    }
    next
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Calm,
    Activity,
}

struct Sampled {
    path: PathBuf,
    history: Arc<Mutex<History>>,
    file: Option<(File, FileId)>,
    last: Option<Instant>,
    commits: u32,
}

impl Sampled {
    fn sample(&mut self, now: Instant, names: &mut Names) -> Seen {
        let before = self.last.replace(now);
        self.history.lock().unwrap_or_else(PoisonError::into_inner).sampling_began(now);
        let Some((holders, commits)) = self.reopen().and_then(|file| read(file).ok()) else {
            self.note(&[const { None }; 3], now, before, false, names);
            self.file = None;
            return Seen::Nothing;
        };
        let committed = commits != self.commits;
        self.commits = commits;
        self.note(&holders, now, before, committed, names);
        if committed || holders.iter().any(Option::is_some) { Seen::Activity } else { Seen::Calm }
    }

    // The descriptor on what lies at the path now: whoever opens a database alone makes `-shm` anew.
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
        &self,
        holders: &[Option<Obstacle>; 3],
        now: Instant,
        before: Option<Instant>,
        committed: bool,
        names: &mut Names,
    ) {
        let gap = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        let edge = now.checked_sub((gap / 2).min(EDGE)).unwrap_or(now);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        for (lock, holder) in Lock::ALL.into_iter().zip(holders) {
            let current = history.current(lock).map(|(_, who)| who.pid);
            match holder.as_ref().map(|obstacle| obstacle.pid) {
                // A commit between two samples ended one hold, even if the same process has the lock again.
                Some(pid) if current != Some(pid) || (committed && lock == Lock::Write) => {
                    history.open(lock, edge, names.of(pid, now));
                }
                None if current.is_some() => history.close(lock, edge),
                _ => {}
            }
        }
    }
}

// For each exclusive byte its holder, if any, and the commit counter of the index.
fn read(file: &File) -> io::Result<([Option<Obstacle>; 3], u32)> {
    let mut counter = [0; 4];
    files::read_at(file, &mut counter, 8)?;
    let mut holders = [const { None }; 3];
    if lock_probe::ask(file, Ask::Writers, locks::WRITE..=locks::RECOVER)?.is_some() {
        for (holder, byte) in holders.iter_mut().zip(locks::WRITE..=locks::RECOVER) {
            *holder = lock_probe::ask(file, Ask::Writers, byte..=byte)?;
        }
    }
    Ok((holders, u32::from_ne_bytes(counter)))
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
