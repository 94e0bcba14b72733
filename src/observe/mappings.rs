//! Which processes have mapped which of the three files, remembered for a while: the table of a process's mappings
//! is long, and reading it for each one was half of what a look costs.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    observe::{files::FileSighting, proc},
    paths::FileId,
    snapshot::{HandleCounts, Process},
};

/// How long what a process has mapped is taken to stay as it is, while its descriptors do.
const KEPT: Duration = Duration::from_secs(10);

/// What processes were seen to have mapped.
#[derive(Debug)]
pub struct MappedFiles {
    proc: PathBuf,
    known: HashMap<MappingKey, KnownMapping>,
}

// A process, and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MappingKey {
    pid: i32,
    start_ticks: Option<u64>,
    main: Option<FileId>,
}

#[derive(Debug)]
struct KnownMapping {
    at: Instant,
    // What has to be the same for `mapped` to be taken as it was.
    of: (Option<HandleCounts>, [Option<FileId>; 3]),
    mapped: Option<[Option<u64>; 3]>,
}

/// Whether what is remembered will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingFreshness {
    OfLate,
    /// A finding hangs on it.
    OfNow,
}

impl MappedFiles {
    /// Of processes of the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), known: HashMap::new() }
    }

    /// Where `process`, which has `handles` on them, maps the files of `sights` (main file, `-wal`, `-shm`); `None` where that
    /// cannot be read.
    pub fn of(
        &mut self,
        process: &Process,
        handles: Option<HandleCounts>,
        sights: [Option<&FileSighting>; 3],
        freshness: MappingFreshness,
        now: Instant,
    ) -> Option<[Option<u64>; 3]> {
        let files = sights.map(|sight| sight.map(|sight| sight.id));
        let key = MappingKey { pid: process.pid, start_ticks: process.start_ticks, main: files[0] };
        let of = (handles, files);
        let known = self.known.get(&key).filter(|known| {
            freshness == MappingFreshness::OfLate && known.of == of && now.duration_since(known.at) < KEPT
        });
        if let Some(known) = known {
            return known.mapped;
        }
        let mapped = proc::maps(&self.proc, process.pid, sights);
        self.known.insert(key, KnownMapping { at: now, of, mapped });
        mapped
    }

    /// Forgets the processes that are not among `pids`.
    pub fn retain_pids(&mut self, pids: &[i32]) {
        self.known.retain(|key, _| pids.contains(&key.pid));
    }
}
