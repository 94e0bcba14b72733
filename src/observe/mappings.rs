//! The processes that have mapped one of the three files, cached for a while. The mapping table of a process is long,
//! and reading it for each process was half of the cost of a sample.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    observe::{
        files::FileSighting,
        proc::{self, MappedLibrary},
    },
    paths::FileId,
    snapshot::{HandleCounts, Process, ProcessId},
};

/// How long the mappings of a process are assumed unchanged while its descriptors are.
const KEPT: Duration = Duration::from_secs(10);

/// The mappings seen so far.
#[derive(Debug)]
pub struct MappedFiles {
    proc: PathBuf,
    known: HashMap<MappingKey, KnownMapping>,
    // Those read since they were taken last.
    libraries: Vec<(ProcessId, Vec<MappedLibrary>)>,
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
        Self { proc: proc.to_owned(), known: HashMap::new(), libraries: Vec::new() }
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
        let table = proc::maps(&self.proc, process.pid, sights);
        self.known.insert(key, KnownMapping { at: now, of, mapped: table.files });
        self.libraries.extend(process.identity().zip(table.libraries));
        table.files
    }

    /// The libraries of the processes whose mappings were read since the last call.
    pub fn take_libraries(&mut self) -> Vec<(ProcessId, Vec<MappedLibrary>)> {
        std::mem::take(&mut self.libraries)
    }

    /// Forgets the processes that are not among `pids`.
    pub fn retain_pids(&mut self, pids: &[i32]) {
        self.known.retain(|key, _| pids.contains(&key.pid));
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture,
        observe::{
            proc::fake::map_row,
            tests::{Scene, USER},
        },
    };

    #[test]
    fn mappings_are_read_again_after_ten_seconds_with_other_descriptors_or_where_a_finding_needs_them() {
        let mut scene = Scene::with_user(["", ""]);
        let view = scene.view();
        let mut mapped = MappedFiles::new(scene.proc.path());
        let process = fixture::process(USER, "bun");
        let start = Instant::now();
        let handles = |shm| Some(HandleCounts { db: 1, wal: 1, shm });
        let mut index_at = |address: Option<u64>, shm, freshness, ms: u64| {
            let rows = address.map(|address| map_row(address, &scene.paths[2])).unwrap_or_default();
            scene.proc.write("70/maps", &rows);
            let sights = view.sights.each_ref().map(Option::as_ref);
            let now = start + Duration::from_millis(ms);
            let found = mapped.of(&process, handles(shm), sights, freshness, now).expect("readable");
            mapped.retain_pids(&[USER]);
            found[2]
        };
        let (late, now) = (MappingFreshness::OfLate, MappingFreshness::OfNow);
        assert_eq!(index_at(Some(0x1000), 1, late, 0), Some(0x1000));
        assert_eq!(index_at(Some(0x2000), 1, late, 9_999), Some(0x1000));
        assert_eq!(index_at(Some(0x2000), 1, late, 10_000), Some(0x2000));
        assert_eq!(index_at(Some(0x3000), 2, late, 10_001), Some(0x3000), "another descriptor");
        assert_eq!(index_at(None, 2, late, 10_002), Some(0x3000));
        assert_eq!(index_at(None, 2, now, 10_003), None);
        assert_eq!(index_at(Some(0x4000), 2, late, 10_004), None);
        mapped.retain_pids(&[71]);
        assert!(mapped.known.is_empty(), "it has ended");
    }
}
