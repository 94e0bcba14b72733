//! The processes that have mapped one of the three files, cached for a while. The mapping table of a process is long,
//! and reading it for each process was half of the cost of a sample.

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

/// How long the mappings of a process are assumed unchanged while its descriptors are.
const KEPT: Duration = Duration::from_secs(10);

/// The mappings seen so far.
#[derive(Debug)]
pub struct MappedFiles {
    proc: PathBuf,
    known: HashMap<MappingKey, KnownMapping>,
}

// A process and a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MappingKey {
    pid: i32,
    start_ticks: Option<u64>,
    main: Option<FileId>,
}

#[derive(Debug)]
struct KnownMapping {
    at: Instant,
    // What must be unchanged for `mapped` to be reused.
    of: (Option<HandleCounts>, [Option<FileId>; 3]),
    mapped: Option<[Option<u64>; 3]>,
}

/// Whether a cached value is sufficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingFreshness {
    OfLate,
    /// A finding depends on it.
    OfNow,
}

impl MappedFiles {
    /// For processes of the `/proc` at `proc`.
    pub fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), known: HashMap::new() }
    }

    /// Where `process`, which has `handles` on them, maps the files of `sights` (main file, `-wal`, `-shm`); `None` if
    /// that cannot be read.
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
