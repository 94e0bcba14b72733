//! One database's locks, sample by sample: who holds them, since when and until when.

use std::{
    collections::HashMap,
    fs::File,
    io,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    file_format::{RECOVER_BYTE, WRITE_BYTE},
    history::{LockOwner, SampledLock},
    observe::{
        commit_watcher::{CommitWatcher, WatchedLog},
        files,
        lock_probe::{self, ProbeScope},
        proc,
    },
    paths::FileId,
};

use super::{LockActivity, SampledDatabase};

// A hold begins in the middle between two samples, but no more than this before it was seen: it is said to
// last "at least" so long.
const EDGE: Duration = Duration::from_millis(2);
// How long a name is taken for that of the same PID.
const NAME_KEPT: Duration = Duration::from_secs(1);

// From what age on a hold is a long one.
const LONG: Duration = Duration::from_millis(20);
// How long after its commit was heard a hold may go on. Past that it wrote without committing, as a transaction
// does that is too large for the page cache.
const ENDS_WITHIN: Duration = Duration::from_millis(5);
// The longest time that nothing is heard of a hold that has written without committing.
const DEAF: Duration = Duration::from_millis(500);

/// A database whose locks are sampled.
pub struct LockSamples {
    target: SampledDatabase,
    file: Option<(File, FileId)>,
    last: Option<Instant>,
    commits: u32,
    // What the history has as held: it is asked for, and its users waited for, only when something changes.
    holders: SampledHolders,
    hold: Option<SampledLongHold>,
}

impl LockSamples {
    /// Nothing has been sampled yet.
    pub fn new(target: SampledDatabase) -> Self {
        Self { target, file: None, last: None, commits: 0, holders: [None; 3], hold: None }
    }

    /// Whether it is the database of `target`.
    pub fn is_of(&self, target: &SampledDatabase) -> bool {
        Arc::ptr_eq(&self.target.history, &target.history)
    }

    /// Asks who holds the locks now, and tells the history: what happens to them.
    pub fn sample(&mut self, names: &mut HolderNames, ear: Option<&CommitWatcher>) -> LockActivity {
        let now = Instant::now();
        let before = self.last.replace(now);
        if before.is_none() {
            self.target.history.lock().unwrap_or_else(PoisonError::into_inner).sampling_began(now);
        }
        let known = self.file.as_ref().map(|(_, id)| *id);
        let Some((holders, commits)) = self.reopen().and_then(|file| read(file).ok()) else {
            self.file = None;
            self.note([None; 3], now, before, false, names);
            self.watch_commits(true, now, ear);
            return if known.is_some() { LockActivity::Some } else { LockActivity::None };
        };
        let is_another = known != self.file.as_ref().map(|(_, id)| *id);
        let committed = commits != self.commits;
        self.commits = commits;
        self.note(holders, now, before, committed, names);
        self.watch_commits(is_another || committed, now, ear);
        if self.hold.as_ref().is_some_and(|hold| hold.is_ending(now)) {
            LockActivity::Ending
        } else if holders.iter().any(Option::is_some) {
            LockActivity::Held
        } else if is_another || committed {
            LockActivity::Some
        } else {
            LockActivity::None
        }
    }

    // Listens for the commit of a hold of the write lock that has become a long one. After a change, what is held
    // is another hold.
    fn watch_commits(&mut self, has_changed: bool, now: Instant, ear: Option<&CommitWatcher>) {
        let Some(ear) = ear else { return };
        if (has_changed || self.holders[0].is_none())
            && let Some(watch) = self.hold.take().and_then(|hold| hold.watch)
        {
            ear.forget(watch);
        }
        if self.holders[0].is_some() {
            let hold = self.hold.get_or_insert_with(|| SampledLongHold::started(now));
            if hold.watch.is_none() && now >= hold.deaf_until {
                hold.watch = ear.listen(&self.target.log);
                if hold.watch.is_none() {
                    hold.back_off(now);
                }
            }
        }
    }

    /// Whether a commit is listened for.
    pub fn is_listening(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.watch.is_some())
    }

    /// Takes in that logs were written to: who writes to one holds its lock, so that it was held until `now`. Whether this
    /// one was written to.
    pub fn commits_seen(&mut self, heard: &[WatchedLog], now: Instant) -> bool {
        let hold = self.hold.as_mut();
        let Some(hold) = hold.filter(|hold| hold.watch.is_some_and(|watch| heard.contains(&watch))) else {
            return false;
        };
        hold.watch = None;
        hold.ends_until = Some(now + ENDS_WITHIN);
        hold.back_off(now);
        self.last = Some(now);
        true
    }

    // The descriptor on what lies at the path now: whoever opens a database alone makes `-shm` anew. While the
    // inode there is ours, ours has a link, since an inode that is open is not given to another file.
    fn reopen(&mut self) -> Option<&File> {
        let there = FileId::of(&self.target.index.metadata().ok()?);
        if self.file.as_ref().is_none_or(|(_, id)| *id != there) {
            let file = files::open(&self.target.index).ok()?;
            let id = FileId::of(&file.metadata().ok()?);
            self.file = Some((file, id));
        }
        self.file.as_ref().map(|(file, _)| file)
    }

    fn note(
        &mut self,
        holders: SampledHolders,
        now: Instant,
        before: Option<Instant>,
        committed: bool,
        names: &mut HolderNames,
    ) {
        let half = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before)) / 2;
        for ((lock, holder), current) in SampledLock::ALL.into_iter().zip(holders).zip(&mut self.holders) {
            // A commit between two samples ended one hold, even if the same process has the lock again.
            let is_another = committed && lock == SampledLock::Write && holder.is_some();
            if *current == holder && !is_another {
                continue;
            }
            let who = holder.map(|SampledHolder(pid)| names.of(pid, now));
            let mut history = self.target.history.lock().unwrap_or_else(PoisonError::into_inner);
            match who {
                Some(who) => history.open(lock, now.checked_sub(half.min(EDGE)).unwrap_or(now), who),
                None => history.close(lock, now.checked_sub(half).unwrap_or(now)),
            }
            *current = holder;
        }
    }
}

// Who holds a lock; without a PID where that cannot be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SampledHolder(Option<i32>);

// Those of the three exclusive bytes.
type SampledHolders = [Option<SampledHolder>; 3];

// The holders of the exclusive bytes, and the commit counter of the index.
fn read(file: &File) -> io::Result<(SampledHolders, u32)> {
    let mut counter = [0; 4];
    files::read_at(file, &mut counter, 8)?;
    let mut holders = [None; 3];
    find(file, WRITE_BYTE..=RECOVER_BYTE, &mut holders)?;
    Ok((holders, u32::from_ne_bytes(counter)))
}

// One question where `bytes` are free, and two where one process holds one end of them.
fn find(file: &File, bytes: RangeInclusive<u64>, holders: &mut SampledHolders) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let Some(obstacle) = lock_probe::ask(file, ProbeScope::Writers, bytes.clone())? else { return Ok(()) };
    let (first, last) = (bytes.start().max(obstacle.bytes.start()), bytes.end().min(obstacle.bytes.end()));
    for (holder, byte) in holders.iter_mut().zip(WRITE_BYTE..) {
        if (*first..=*last).contains(&byte) {
            *holder = Some(SampledHolder(obstacle.pid));
        }
    }
    find(file, *bytes.start()..=first - 1, holders)?;
    find(file, last + 1..=*bytes.end(), holders)
}

// A hold of the write lock, and whether its commit is listened for.
#[derive(Debug)]
struct SampledLongHold {
    watch: Option<WatchedLog>,
    ends_until: Option<Instant>,
    deaf_until: Instant,
    deafness: Duration,
}

impl SampledLongHold {
    fn started(now: Instant) -> Self {
        Self { watch: None, ends_until: None, deaf_until: now + LONG, deafness: LONG }
    }

    fn is_ending(&self, now: Instant) -> bool {
        self.ends_until.is_some_and(|until| now < until)
    }

    // Every time for longer, so that one that writes all the time costs no more than others.
    fn back_off(&mut self, now: Instant) {
        self.deafness = (self.deafness * 2).min(DEAF);
        self.deaf_until = now + self.deafness;
    }
}

/// The names of the holders.
pub struct HolderNames {
    proc: PathBuf,
    known: HashMap<i32, (Instant, Arc<LockOwner>)>,
}

impl From<PathBuf> for HolderNames {
    fn from(proc: PathBuf) -> Self {
        Self { proc, known: HashMap::new() }
    }
}

impl HolderNames {
    fn of(&mut self, pid: Option<i32>, now: Instant) -> Arc<LockOwner> {
        let Some(pid) = pid else { return Arc::default() };
        if let Some((_, who)) = self.known.get(&pid).filter(|(at, _)| now.duration_since(*at) < NAME_KEPT) {
            return Arc::clone(who);
        }
        // A process that is gone keeps no name: what is forgotten can be asked for again.
        self.known.retain(|_, (at, _)| now.duration_since(*at) < NAME_KEPT);
        let who = Arc::new(proc::owner_of_lock(&self.proc, pid));
        self.known.insert(pid, (now, Arc::clone(&who)));
        who
    }
}
