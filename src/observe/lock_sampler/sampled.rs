//! The locks of one database across samples: which process holds them, since when and until when.

use std::{
    fs::{File, Metadata},
    io,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    file_format::{READ_BYTES, READ0_BYTE, RECOVER_BYTE, RESERVED_BYTE, SHARED_BYTES, WRITE_BYTE},
    history::{ReaderTally, SampledLock},
    observe::{
        commit_watcher::{CommitWatcher, WatchedLog},
        files,
        lock_probe::{self, ProbeScope},
    },
    paths::FileId,
    threads,
};

use super::{HolderNames, LockActivity, SampledDatabase};

// A hold starts in the middle between two samples, but at most this long before it was seen: its duration is a lower
// bound.
const EDGE: Duration = Duration::from_millis(2);

// How long an index counts as the file at its path if its inode does not change.
const FOUND_KEPT: Duration = Duration::from_millis(50);
// A file that changed so long ago has another time of change when it changes again.
const SETTLED: Duration = Duration::from_millis(100);

// The age from which on a hold is long.
const LONG: Duration = Duration::from_millis(20);
// How long a hold may continue after its commit was seen. A longer one wrote without committing, as a transaction does
// that is too large for the page cache.
const ENDS_WITHIN: Duration = Duration::from_millis(5);
// The maximum time without a watch on a hold that has written without committing.
const DEAF: Duration = Duration::from_millis(500);

// The frames from which on the readers of a log are sampled: those after which a commit checkpoints by itself.
const DEEP: u32 = 1000;
// How often what was sampled of the readers is recorded.
const TELL: Duration = Duration::from_millis(100);

// Where a main file has its write version (2: WAL mode), and counts its commits, in bytes
// (https://sqlite.org/fileformat2.html).
const WRITE_VERSION: u64 = 18;
const CHANGE_COUNTER: u64 = 24;

/// A database whose locks are sampled.
pub struct LockSamples {
    target: SampledDatabase,
    file: Option<SampledFile>,
    // A main file that is in WAL mode, and its last change: its own locks say nothing then.
    in_wal_mode: Option<(FileId, i64, i64)>,
    last: Option<Instant>,
    commits: u32,
    // The holders in the history. The history is locked, which may wait for its users, only when something changes.
    holders: SampledHolders,
    hold: Option<SampledLongHold>,
    readers: ReaderTally,
    told: Option<Instant>,
}

impl LockSamples {
    /// A state without a sample.
    pub fn new(target: SampledDatabase) -> Self {
        Self {
            target,
            file: None,
            in_wal_mode: None,
            last: None,
            commits: 0,
            holders: [None; 3],
            hold: None,
            readers: ReaderTally::default(),
            told: None,
        }
    }

    /// Whether it samples the database of `target`.
    pub fn is_of(&self, target: &SampledDatabase) -> bool {
        Arc::ptr_eq(&self.target.history, &target.history)
    }

    /// Samples the files of `target` from now on, which may have other paths: its container was started again.
    pub fn move_to(&mut self, target: SampledDatabase) {
        if (&self.target.main, &self.target.index) != (&target.main, &target.index) {
            (self.file, self.in_wal_mode, self.commits) = (None, None, 0);
        }
        self.target = target;
    }

    /// Queries the current holders of the locks and records them in the history; returns the activity.
    pub fn sample(&mut self, names: &mut HolderNames, ear: Option<&CommitWatcher>) -> LockActivity {
        let now = Instant::now();
        let before = self.last.replace(now);
        if before.is_none() {
            threads::lock(&self.target.history).sampling_began(now);
        }
        let known = self.file.as_ref().map(|file| file.id);
        let before_commits = self.commits;
        let Some((holders, commits, frames)) =
            self.reopen(now).and_then(|file| file.read(before_commits).ok())
        else {
            self.file = None;
            self.note([None; 3], now, before, false, names);
            self.watch_commits(true, now, ear);
            return if known.is_some() { LockActivity::Some } else { LockActivity::None };
        };
        let is_another = known != self.file.as_ref().map(|file| file.id);
        let committed = commits != self.commits;
        self.commits = commits;
        self.note_readers(frames, holders[0], now);
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

    // Asks who reads the log, if it is deep. A writer restarts it when it begins, and has a read lock of its own then.
    // The history is locked, which may wait for its users, only now and then.
    fn note_readers(&mut self, frames: u32, writer: Option<SampledHolder>, now: Instant) {
        let file = self.file.as_ref().filter(|_| frames >= DEEP && writer.is_none());
        let Some(readers) = file.and_then(|file| file.readers().ok()) else { return };
        self.readers.add(now, readers.into_iter().flatten().map(|SampledHolder(pid)| pid));
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL) {
            self.told = Some(now);
            threads::lock(&self.target.history).log_read(now, &self.readers.take());
        }
    }

    // Watches for the commit of a long hold of the write lock. After a change the lock is held by another hold.
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
                let written = if self.file.as_ref().is_some_and(|file| file.is_main) {
                    &self.target.main
                } else {
                    &self.target.log
                };
                hold.watch = ear.listen(written);
                if hold.watch.is_none() {
                    hold.back_off(now);
                }
            }
        }
    }

    /// Whether it watches for a commit.
    pub fn is_listening(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.watch.is_some())
    }

    /// Records writes to logs: a process that writes to one holds its lock, so the lock was held until `now`. Returns
    /// whether this log was written to.
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

    // The descriptor on the current file at the path: a process that opens a database alone recreates `-shm`. While the
    // inode there is the same, the descriptor's file has a link, because the inode of an open file is not reused.
    fn reopen(&mut self, now: Instant) -> Option<&SampledFile> {
        if self.file.as_ref().is_some_and(|file| file.is_still_at_path(now)) {
            return self.file.as_ref();
        }
        let (path, is_main, facts) = match self.target.index.metadata() {
            Ok(facts) => (&self.target.index, false, facts),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (&self.target.main, true, self.target.main.metadata().ok()?)
            }
            Err(_) => return None,
        };
        let there = FileId::of(&facts);
        let state = (there, facts.mtime(), facts.mtime_nsec());
        if is_main && self.in_wal_mode == Some(state) {
            return None;
        }
        if self.file.as_ref().is_none_or(|file| file.id != there) {
            let file = files::open(path).ok()?;
            let id = FileId::of(&file.metadata().ok()?);
            self.file = Some(SampledFile { file, id, is_main, found: None });
        }
        if let Some(file) = self.file.as_mut().filter(|_| !is_main) {
            file.found = is_settled(&facts).then(|| (now, last_change(&facts)));
        }
        if is_main && self.file.as_ref().is_some_and(SampledFile::is_in_wal_mode) {
            self.in_wal_mode = Some(state);
            self.file = None;
        }
        self.file.as_ref()
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
            // A commit between two samples ended one hold, even if the same process holds the lock again.
            let is_another = committed && lock == SampledLock::Write && holder.is_some();
            if *current == holder && !is_another {
                continue;
            }
            let who = holder.map(|SampledHolder(pid)| names.of(pid, now));
            let mut history = threads::lock(&self.target.history);
            match who {
                Some(who) => history.open(lock, now.checked_sub(half.min(EDGE)).unwrap_or(now), who),
                None => history.close(lock, now.checked_sub(half).unwrap_or(now)),
            }
            *current = holder;
        }
    }
}

// The process that holds a lock; without a PID if it is not visible from this namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SampledHolder(Option<i32>);

// The holders of the three exclusive bytes.
type SampledHolders = [Option<SampledHolder>; 3];

// The file whose locks are sampled.
struct SampledFile {
    file: File,
    id: FileId,
    is_main: bool,
    // When an index was last found at its path, and its last change before that; `None` if that was just then.
    found: Option<(Instant, (i64, i64))>,
}

impl SampledFile {
    // The holders of the exclusive bytes, the commit counter, and the frames in the log; `known`: the counter as it was
    // before.
    fn read(&self, known: u32) -> io::Result<(SampledHolders, u32, u32)> {
        if self.is_main { self.read_main(known) } else { self.read_index() }
    }

    // A process that removes or renames a file changes its inode, which the open file shows for a fifth of what a look at
    // the path costs. A folder above it may be renamed as well, so the path counts after a while.
    fn is_still_at_path(&self, now: Instant) -> bool {
        self.found.is_some_and(|(at, change)| {
            let is_same = |facts: Metadata| facts.nlink() > 0 && last_change(&facts) == change;
            now.duration_since(at) < FOUND_KEPT && self.file.metadata().is_ok_and(is_same)
        })
    }

    // What the header of a main file says; a switch of the mode writes it.
    fn is_in_wal_mode(&self) -> bool {
        let mut version = [0];
        matches!(files::read_at(&self.file, &mut version, WRITE_VERSION), Ok(1)) && version == [2]
    }

    fn read_index(&self) -> io::Result<(SampledHolders, u32, u32)> {
        // The commit counter, four bytes of flags, and the frames.
        let mut header = [[0; 4]; 3];
        files::read_at(&self.file, header.as_flattened_mut(), 8)?;
        let mut holders = [None; 3];
        find(&self.file, WRITE_BYTE..=RECOVER_BYTE, &mut holders)?;
        Ok((holders, u32::from_ne_bytes(header[0]), u32::from_ne_bytes(header[2])))
    }

    // A process in each slot of the log that is locked, slots 1 to 4. Who locks all of them restarts the log.
    fn readers(&self) -> io::Result<[Option<SampledHolder>; 4]> {
        const SLOTS: RangeInclusive<u64> = READ0_BYTE + 1..=*READ_BYTES.end();
        let (mut readers, mut next) = ([None; 4], *SLOTS.start());
        for reader in &mut readers {
            if next > *SLOTS.end() {
                break;
            }
            let found = lock_probe::ask(&self.file, ProbeScope::Anybody, next..=*SLOTS.end())?;
            let Some(obstacle) = found.filter(|it| !(it.is_write && it.bytes.contains(SLOTS.end()))) else {
                break;
            };
            *reader = Some(SampledHolder(obstacle.pid));
            // A lock to the end of the file ends at the greatest number.
            next = obstacle.bytes.end().saturating_add(1);
        }
        Ok(readers)
    }

    // A commit writes its change counter while it has the whole file, and releases that later: until then it is one hold.
    fn read_main(&self, known: u32) -> io::Result<(SampledHolders, u32, u32)> {
        let obstacle = lock_probe::ask(&self.file, ProbeScope::Writers, RESERVED_BYTE..=RESERVED_BYTE)?;
        let holders = [obstacle.as_ref().map(|obstacle| SampledHolder(obstacle.pid)), None, None];
        if obstacle.is_some_and(|obstacle| obstacle.bytes.contains(SHARED_BYTES.start())) {
            return Ok((holders, known, 0));
        }
        let mut counter = [0; 4];
        files::read_at(&self.file, &mut counter, CHANGE_COUNTER)?;
        Ok((holders, u32::from_be_bytes(counter), 0))
    }
}

fn last_change(facts: &Metadata) -> (i64, i64) {
    (facts.ctime(), facts.ctime_nsec())
}

// Whether another change would have another time: the kernel's clock of files has steps of some milliseconds.
fn is_settled(facts: &Metadata) -> bool {
    let (seconds, nanoseconds) = last_change(facts);
    let since = Duration::new(seconds.unsigned_abs(), u32::try_from(nanoseconds).unwrap_or(0));
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|now| now > since + SETTLED)
}

// One query if `bytes` are free, two if one process holds one end of them.
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

// A hold of the write lock, and the watch for its commit.
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

    // Each time for longer, so that a constant writer costs no more than others.
    fn back_off(&mut self, now: Instant) {
        self.deafness = (self.deafness * 2).min(DEAF);
        self.deaf_until = now + self.deafness;
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
