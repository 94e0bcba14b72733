//! One traced database: its files, the state of its locks, and the waits for them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use super::{
    TraceClock, TraceTarget,
    event::LockRequest,
    lock_state::{FileLocks, LockEdge, LockedFile},
    tracefs::TracedFile,
    wait_log::WaitLog,
    waits::{EndedWait, WaitTracker},
};
use crate::{
    file_format::{INDEX_LOCKS, MAIN_LOCKS},
    history::SampledLock,
    observe::{
        files::{self, FileSighting},
        lock_sampler::HolderNames,
        lock_table,
        proc::{ProcessFolder, mounts::MountTable},
    },
    paths::FileId,
    threads,
};

/// A database with what the trace has shown of it.
#[derive(Debug)]
pub struct TracedDatabase {
    target: TraceTarget,
    main: FileTrace,
    index: FileTrace,
    /// Main file and `-shm`, as they were last found.
    found: [Option<FileId>; 2],
    waits: Arc<Mutex<WaitLog>>,
    /// Whether requests are missing, so that the present holders have to be read from the lock table.
    is_new: bool,
    is_first: bool,
}

#[derive(Debug, Default)]
struct FileTrace {
    file: Option<FileSighting>,
    locks: FileLocks,
    waits: WaitTracker,
}

impl TracedDatabase {
    pub fn new(target: TraceTarget) -> Self {
        let (main, index) = Default::default();
        Self { target, main, index, found: [None; 2], waits: Arc::default(), is_new: false, is_first: true }
    }

    /// Whether `request` is on one of its files.
    pub fn is_of(&self, request: &LockRequest) -> bool {
        self.file_of(request).is_some()
    }

    fn file_of(&self, request: &LockRequest) -> Option<LockedFile> {
        let files = [(LockedFile::Index, &self.index), (LockedFile::Main, &self.main)];
        let is_its = |trace: &FileTrace| {
            trace
                .file
                .as_ref()
                .is_some_and(|file| (file.lock_device, file.id.inode) == (request.device, request.inode))
        };
        files.into_iter().find(|(_, trace)| is_its(trace)).map(|(file, _)| file)
    }

    /// Takes a request in.
    pub fn apply(&mut self, request: &LockRequest, clock: &TraceClock, names: &mut HolderNames) {
        let Some(file) = self.file_of(request) else { return };
        let trace = self.trace(file);
        let given_up = trace.waits.request(file, request, &trace.locks);
        let before = trace.locks.owner(request.owner);
        let edges = trace.locks.apply(file, request);
        let after = trace.locks.owner(request.owner);
        let ended = trace.waits.applied(file, request, &edges, (before, after));
        let at = clock.instant_of(request.at);
        let mut history = threads::lock(&self.target.history);
        for LockEdge { lock, is_taken } in edges {
            if is_taken {
                history.open(lock, at, names.of(Some(request.pid), at));
            } else {
                history.close(lock, at);
            }
        }
        drop(history);
        for ended in given_up.into_iter().chain(ended) {
            self.end(ended, clock, names);
        }
    }

    /// Ends the waits that have been silent for long, and records those under way.
    pub fn end_silent_waits(&mut self, clock: &TraceClock, names: &mut HolderNames) {
        let mut silent = self.index.waits.silent(clock.at);
        silent.extend(self.main.waits.silent(clock.at));
        for ended in silent {
            self.end(ended, clock, names);
        }
        let trackers = [&self.index.waits, &self.main.waits];
        let open: Vec<EndedWait> = trackers.into_iter().flat_map(|waits| waits.under_way(clock.at)).collect();
        let mut waits = threads::lock(&self.waits);
        if open.is_empty() && waits.under_way.is_empty() {
            return;
        }
        waits.under_way.clone_from(&open);
        drop(waits);
        let started = open.iter().map(|wait| {
            let start = clock.instant_of(wait.from);
            (start, names.of(Some(wait.pid), start))
        });
        let started = started.collect();
        threads::lock(&self.target.history).waiting_are(started);
    }

    fn end(&mut self, ended: EndedWait, clock: &TraceClock, names: &mut HolderNames) {
        let end = clock.instant_of(ended.to);
        let wait = ended.to.saturating_sub(ended.from);
        let mut history = threads::lock(&self.target.history);
        let who = names.of(Some(ended.pid), end);
        if ended.got_it {
            history.waited(end, wait, who);
        } else {
            history.waited_in_vain(end, wait, who);
        }
        drop(history);
        threads::lock(&self.waits).add(ended);
    }

    /// Its waits that have ended.
    pub fn waits(&self) -> Arc<Mutex<WaitLog>> {
        Arc::clone(&self.waits)
    }

    /// Whether one of its files is another than was last found.
    pub fn has_other_files(&self) -> bool {
        self.files_at_paths() != self.found
    }

    fn files_at_paths(&self) -> [Option<FileId>; 2] {
        let find = |path: &Path| Some(FileId::of(&path.metadata().ok()?));
        [find(&self.target.main), find(&self.target.index)]
    }

    /// Finds its files, since a process that opens the database alone recreates `-shm`; returns whether one has changed.
    /// The mounts of its process are read only then: the kernel traces the device of the superblock, which `stat` does
    /// not show on every file system.
    pub fn find_files(&mut self, proc: &Path) -> bool {
        let found = self.files_at_paths();
        if found == self.found {
            return false;
        }
        self.found = found;
        self.forget();
        let mounts = match self.target.owner {
            Some(pid) => MountTable::of_process(&ProcessFolder::of(proc, pid)),
            None => MountTable::read(proc),
        };
        let [main, index] = &self.target.mounted;
        let sight = |path: &Path, mounted: &Path| files::read_files(path, mounted, &mounts).ok().flatten();
        self.main.file = sight(&self.target.main, main);
        self.index.file = sight(&self.target.index, index);
        true
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
            let FileSighting { lock_device: device, id, .. } = trace.file.as_ref()?;
            let (device, inode) = (*device, id.inode);
            Some(TracedFile { device, inode, first: *bytes.start(), last: *bytes.end() })
        })
    }

    /// After requests were missed: reads the present holders from the lock table, which hold for longer than from
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
                if trace.file.as_ref().is_some_and(|file| file.is(row.device, row.inode)) {
                    trace.locks.seed(file, pid, row.bytes.clone(), row.is_write, clock.at);
                }
            }
        }
        let mut history = threads::lock(&self.target.history);
        history.sampling_began(clock.instant);
        for lock in SampledLock::ALL {
            let holder = [(LockedFile::Index, &self.index), (LockedFile::Main, &self.main)]
                .into_iter()
                .find_map(|(file, trace)| trace.locks.holder(file, lock));
            let known = history.current(lock).and_then(|(_, owner)| owner.pid);
            match holder {
                // The sampler has seen it before: it is one hold.
                Some(holder) if known == Some(holder.pid) => {}
                Some(holder) => {
                    history.open(lock, clock.instant, names.of(Some(holder.pid), clock.instant));
                }
                None => history.close(lock, clock.instant),
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

#[cfg(test)]
mod blocked;
#[cfg(test)]
mod kernels;
#[cfg(test)]
mod tests;
