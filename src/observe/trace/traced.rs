//! One traced database: its files, the state of its locks, and the waits for them.

use std::{path::Path, sync::PoisonError, time::Duration};

use super::{
    TraceClock, TraceTarget,
    event::LockRequest,
    lock_state::{FileLocks, LockEdge, LockedFile, TracedLock},
    tracefs::TracedFile,
    wait_log::WaitLog,
    waits::{EndedWait, WaitTracker},
};
use crate::{
    file_format::{INDEX_LOCKS, MAIN_LOCKS},
    history::{LockHistory, SampledLock},
    observe::{
        lock_sampler::HolderNames,
        lock_table,
        proc::mounts::{DeviceNumber, MountTable},
    },
    paths::FileId,
    snapshot::WriterRefusals,
};

/// A database with what the trace has shown of it.
#[derive(Debug)]
pub struct TracedDatabase {
    target: TraceTarget,
    main: FileTrace,
    index: FileTrace,
    waits: WaitLog,
    /// Whether its files were found anew, so that the present holders have to be read from the lock table.
    is_new: bool,
    is_first: bool,
}

#[derive(Debug, Default)]
struct FileTrace {
    file: Option<(DeviceNumber, u64)>,
    locks: FileLocks,
    waits: WaitTracker,
}

impl TracedDatabase {
    pub fn new(target: TraceTarget) -> Self {
        let (main, index, waits) = Default::default();
        Self { target, main, index, waits, is_new: false, is_first: true }
    }

    /// Whether `request` is on one of its files.
    pub fn is_of(&self, request: &LockRequest) -> bool {
        self.file_of(request).is_some()
    }

    fn file_of(&self, request: &LockRequest) -> Option<LockedFile> {
        let its = Some((request.device, request.inode));
        let files = [(LockedFile::Index, &self.index), (LockedFile::Main, &self.main)];
        files.into_iter().find(|(_, trace)| trace.file == its).map(|(file, _)| file)
    }

    /// Takes a request in.
    pub fn apply(&mut self, request: &LockRequest, clock: &TraceClock, names: &mut HolderNames) {
        let Some(file) = self.file_of(request) else { return };
        let trace = self.trace(file);
        let given_up = trace.waits.request(file, request, &trace.locks);
        let before = trace.locks.clone();
        let edges = trace.locks.apply(file, request);
        let ended = trace.waits.applied(file, request, &edges, (&before, &trace.locks));
        let at = clock.instant_of(request.at);
        let mut history = self.target.history.lock().unwrap_or_else(PoisonError::into_inner);
        for LockEdge { lock, is_taken } in edges {
            if is_taken {
                history.open(sampled(lock), at, names.of(Some(request.pid), at));
            } else {
                history.close(sampled(lock), at);
            }
        }
        drop(history);
        for ended in given_up.into_iter().chain(ended) {
            self.end(ended, clock, names);
        }
    }

    /// Ends the waits that have been silent for long.
    pub fn end_silent_waits(&mut self, clock: &TraceClock, names: &mut HolderNames) {
        let mut silent = self.index.waits.silent(clock.at);
        silent.extend(self.main.waits.silent(clock.at));
        for ended in silent {
            self.end(ended, clock, names);
        }
    }

    fn end(&mut self, ended: EndedWait, clock: &TraceClock, names: &mut HolderNames) {
        let end = clock.instant_of(ended.to);
        let wait = ended.to.saturating_sub(ended.from);
        let mut history = self.target.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.waited(end, wait, names.of(Some(ended.pid), end));
        drop(history);
        self.waits.add(ended);
    }

    /// The refused writers of the window that a snapshot covers.
    pub fn refusals(&mut self, now: Duration) -> WriterRefusals {
        self.waits.refusals(now, LockHistory::WINDOW)
    }

    /// Finds its files, which a process that opens the database alone creates anew; returns whether one has changed.
    pub fn find_files(&mut self, mounts: &MountTable) -> bool {
        let find = |path: &Path| {
            let id = FileId::of(&path.metadata().ok()?);
            Some((mounts.device_of(path).unwrap_or_else(|| id.numbers()), id.inode))
        };
        let found = [find(&self.target.main), find(&self.target.index)];
        let has_changed = found != [self.main.file, self.index.file];
        if has_changed {
            self.forget();
            [self.main.file, self.index.file] = found;
            self.is_new = true;
        }
        has_changed
    }

    /// Forgets the locks: requests are missing.
    pub fn forget(&mut self) {
        for trace in [&mut self.main, &mut self.index] {
            trace.locks.clear();
            trace.waits.clear();
        }
        self.is_new = true;
    }

    /// The files and bytes to trace.
    pub fn files(&self) -> impl Iterator<Item = TracedFile> {
        let files = [(&self.main, MAIN_LOCKS), (&self.index, INDEX_LOCKS)];
        files.into_iter().filter_map(|(trace, bytes)| {
            let (device, inode) = trace.file?;
            Some(TracedFile { device, inode, first: *bytes.start(), last: *bytes.end() })
        })
    }

    /// After its files were found anew: reads the present holders from the lock table, which hold for longer than from
    /// now on. Returns whether requests in between may be missing.
    pub fn seed(&mut self, proc: &Path, clock: &TraceClock, names: &mut HolderNames) -> bool {
        if !std::mem::take(&mut self.is_new) {
            return false;
        }
        self.main.waits.armed(clock.at);
        self.index.waits.armed(clock.at);
        let inodes: Vec<u64> = self.files().map(|file| file.inode).collect();
        let table = lock_table::read(proc, &inodes).unwrap_or_default();
        for row in table.rows {
            let Some(pid) = row.pid else { continue };
            for (file, trace) in [(LockedFile::Main, &mut self.main), (LockedFile::Index, &mut self.index)] {
                if trace.file.is_some_and(|(_, inode)| inode == row.inode) {
                    trace.locks.seed(file, pid, row.bytes.clone(), row.is_write, clock.at);
                }
            }
        }
        let mut history = self.target.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.sampling_began(clock.instant);
        for lock in [TracedLock::Write, TracedLock::Checkpoint, TracedLock::Recover] {
            let holder = [(LockedFile::Index, &self.index), (LockedFile::Main, &self.main)]
                .into_iter()
                .find_map(|(file, trace)| trace.locks.holder(file, lock));
            let known = history.current(sampled(lock)).and_then(|(_, owner)| owner.pid);
            match holder {
                // The sampler has seen it before: it is one hold.
                Some(holder) if known == Some(holder.pid) => {}
                Some(holder) => {
                    history.open(sampled(lock), clock.instant, names.of(Some(holder.pid), clock.instant));
                }
                None => history.close(sampled(lock), clock.instant),
            }
        }
        !std::mem::take(&mut self.is_first)
    }

    fn trace(&mut self, file: LockedFile) -> &mut FileTrace {
        match file {
            LockedFile::Main => &mut self.main,
            LockedFile::Index => &mut self.index,
        }
    }
}

fn sampled(lock: TracedLock) -> SampledLock {
    match lock {
        TracedLock::Write => SampledLock::Write,
        TracedLock::Checkpoint => SampledLock::Checkpoint,
        TracedLock::Recover => SampledLock::Recover,
    }
}
