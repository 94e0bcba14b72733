//! The only place that reads the operating system and the watched files.
//!
//! It opens no SQLite connection and takes no lock. It must not run in a process that has a connection: the
//! files are opened and closed raw here, and any such close drops that connection's locks.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    clock,
    config::TraceMode,
    history::{DatabaseTrend, LockHistory, LockOwner},
    snapshot::{Database, Ingestion, LabelRules, PragmaCompliance, SamplingProcess, Snapshot, Unseen},
    state::{first_seen::FirstSeen, places::Places},
};

mod activity;
mod arguments;
mod checksum;
mod commit_rate;
mod commit_watcher;
mod completeness;
mod content;
mod cost;
mod deleted_holders;
mod disk_wait;
pub(crate) mod files;
mod folder;
mod handle_growth;
pub(crate) mod header;
mod idleness;
pub mod journals;
mod liveness;
pub(crate) mod lock_probe;
mod lock_sampler;
pub(crate) mod lock_table;
mod lock_watch;
pub(crate) mod locks;
mod locks_beside;
mod machine;
mod mappings;
mod open_databases;
mod opener;
mod overlays;
mod pidfiles;
mod preflight;
#[cfg_attr(
    not(target_os = "linux"),
    expect(
        dead_code,
        unused_imports,
        reason = "outside Linux there is no /proc, and some readers have no caller"
    )
)]
pub(crate) mod proc;
#[cfg_attr(not(target_os = "linux"), path = "observe/elsewhere.rs")]
mod processes;
mod rows;
mod sqlite_libraries;
mod timing;
mod trace;
pub(crate) mod wal;
pub(crate) mod wal_index;
mod watched;
mod watchers;
mod write_rates;

pub use arguments::{
    ContainerPathError, FolderDepth, NamedDatabases, PROC, database_path, is_container_path, named_databases,
    path_of_process,
};
pub use deleted_holders::{DeletedHolders, holders_of_deleted};
pub use files::{sidecar, with_sidecars};
pub use machine::machine;
pub use open_databases::{OpenDatabase, OpenDatabases};
pub use preflight::{UnfitPath, inspect, inspect_from_outside, inspect_to_sample};
pub use proc::{
    boot_id, command as process_command, directory as process_directory, is_own_proc, pid_namespace,
    process_ancestors, process_name, process_owner, process_start,
};

use idleness::IdleTracker;
use journals::{Journals, Transaction};
use lock_sampler::SamplingPace;
use lock_watch::LockWatch;
use mappings::MappedFiles;
use opener::{DatabaseOpener, OpenerTarget};
use overlays::OverlayUppers;
use pidfiles::PidfileReader;
use proc::mounts::MountTable;
use processes::{OpenerFinder, ProcessDescriber};
use sqlite_libraries::SqliteLibraries;
use timing::{LockTimes, SampleTime};
use watched::{DatabaseView, DatabaseWatch};
use write_rates::WriteRates;

/// Looks at databases from outside.
#[derive(Debug)]
pub struct Observer {
    proc: PathBuf,
    // What the kernel answers of a file's locks is then all that its table could tell.
    is_own_proc: bool,
    watched: Vec<DatabaseWatch>,
    processes: OpenerFinder,
    describer: ProcessDescriber,
    mappings: MappedFiles,
    /// `None`: they are not wanted.
    sqlite: Option<SqliteLibraries>,
    overlays: OverlayUppers,
    first_seen: FirstSeen,
    idleness: IdleTracker,
    looker: SamplingProcess,
    pidfiles: PidfileReader,
    // `None`: they are not asked for.
    journals: Option<Journals>,
    lock_watch: LockWatch,
    write_rates: WriteRates,
    // What this sample could not see of the lock table; `None`: it saw all of it.
    unseen_locks: Option<Unseen>,
    // The databases of the last look, by the names under which their times are kept.
    timed: Vec<String>,
}

impl Observer {
    /// An observer of `databases`: absolute paths as [`inspect`] gives them. One may not exist yet.
    pub fn new(places: &Places, databases: Vec<PathBuf>) -> Self {
        let mut observer = Self {
            proc: places.proc.clone(),
            is_own_proc: is_own_proc(&places.proc),
            watched: Vec::new(),
            processes: OpenerFinder::new(&places.proc),
            describer: ProcessDescriber::new(&places.proc),
            mappings: MappedFiles::new(&places.proc),
            sqlite: Some(SqliteLibraries::new(&places.proc, places.state())),
            overlays: OverlayUppers::new(&places.proc),
            first_seen: FirstSeen::load(&places.first_seen, processes::boot(&places.proc)),
            idleness: IdleTracker::default(),
            looker: proc::sampling_process(&places.proc),
            pidfiles: PidfileReader::default(),
            journals: Some(Journals::new(places.runs.clone(), places.proc.clone())),
            lock_watch: LockWatch::default(),
            write_rates: WriteRates::default(),
            unseen_locks: None,
            timed: Vec::new(),
        };
        observer.set_databases(databases);
        observer
    }

    /// Leaves the ingestions out, for a look at nothing but the database and its processes.
    pub fn without_ingestions(mut self) -> Self {
        self.journals = None;
        self
    }

    /// Looks at `databases` from now on. What is known of those that stay is kept.
    pub fn set_databases(&mut self, databases: Vec<PathBuf>) {
        let mut known = std::mem::take(&mut self.watched);
        for path in databases {
            let index = known.iter().position(|watched| watched.path() == path);
            self.watched.push(
                index.map_or_else(|| DatabaseWatch::new(path, &self.proc), |index| known.swap_remove(index)),
            );
        }
        self.lock_watch.set_databases(&self.proc, &self.watched, self.describer.label_rules());
    }

    /// Reads the pidfiles at `paths`, too, from now on.
    pub fn set_pidfiles(&mut self, paths: Vec<PathBuf>) {
        self.pidfiles.set(paths);
    }

    /// Names processes by `rules` from now on.
    pub fn set_label_rules(&mut self, rules: LabelRules) {
        self.lock_watch.set_label_rules(&rules);
        self.describer.set_label_rules(rules);
    }

    /// Samples the write lock between the looks, every 4 ms while something happens to it and less
    /// often while nothing does, on a thread that ends with the observer. Without this nothing is sampled.
    pub fn watch_locks(&mut self) {
        self.start_lock_watch(SamplingPace::WithRests);
    }

    /// The same every millisecond whatever happens, for a short while of watching.
    pub fn watch_locks_steadily(&mut self) {
        self.start_lock_watch(SamplingPace::Steady);
    }

    /// Reads every lock request from the kernel's trace, on a thread that ends with the observer. Where the kernel does
    /// not allow it, the locks are sampled; the reason is returned, and in each snapshot if the trace was asked for.
    pub fn trace_locks(&mut self, mode: TraceMode) -> Option<String> {
        self.lock_watch.trace(&self.proc, &self.watched, self.describer.label_rules(), mode)
    }

    fn start_lock_watch(&mut self, pace: SamplingPace) {
        self.lock_watch.start(&self.proc, &self.watched, self.describer.label_rules(), pace);
    }

    /// One look. Findings, pragma rows and staleness are for others to fill in.
    pub fn sample(&mut self) -> Snapshot {
        let now = SampleTime { timestamp: Timestamp::now(), instant: Instant::now() };
        let mut unseen = Vec::new();
        self.follow_containers(now);
        let mut views = self.views(now, &mut unseen);
        let targets: Vec<OpenerTarget> = views.iter().map(DatabaseView::target).collect();
        let openers = self.processes.find(&targets, now.instant);
        let pids: Vec<i32> = openers.iter().flat_map(BTreeMap::keys).copied().collect();
        self.describer.start_sample(&pids);
        for ((watched, view), openers) in self.watched.iter_mut().zip(&mut views).zip(&openers) {
            watched.assign_locks(view, openers, &mut unseen);
            if let Some(database) = watched.outdated(view) {
                self.first_seen.forget(&database);
            }
        }
        self.timed = views.iter().filter_map(DatabaseView::name).collect();
        unseen.extend(self.first_seen.problem());
        let ingestions = self.ingestions(now, &mut unseen);
        let watchers = self.journals.as_ref().map(Journals::watchers).unwrap_or_default();
        self.note_waits(now);
        let mut databases: Vec<Database> = views
            .into_iter()
            .zip(&openers)
            .enumerate()
            .map(|(index, (view, openers))| self.database(index, view, openers, now, &mut unseen))
            .collect();
        for database in &mut databases {
            let path = database.path.to_string_lossy();
            let of_it = ingestions.iter().filter(|(database, _)| *database == path);
            database.ingestions = of_it.map(|(_, ingestion)| ingestion.clone()).collect();
            let of_it = watchers.iter().filter(|(database, _)| *database == path);
            database.watchers = of_it.map(|(_, watcher)| watcher.clone()).collect();
        }
        unseen.extend(databases.iter().filter_map(locks::hidden_holder));
        self.lock_watch.fill_in_activities(&mut databases, &self.watched, now.instant);
        // One look gives no rate.
        if self.lock_watch.is_watching() {
            self.write_rates.fill_in(&mut databases, &self.proc, now.instant);
        }
        self.note_disk_waits(&mut databases);
        let trace = self.lock_watch.fill_in_refusals(&mut databases, &self.watched);
        self.note_idleness(&mut databases, now);
        self.note_libraries(&mut databases, &pids);
        self.describer.retain_pids(&pids);
        self.mappings.retain_pids(&pids);
        let lives = |pid, start_ticks| process_start(&self.proc, pid) == start_ticks;
        self.first_seen.end_sample(&self.timed, &lives);
        unseen.extend(self.first_seen.problem());
        unseen.extend(self.processes.unseen());
        unseen.extend_from_slice(self.lock_watch.unseen());
        let pidfiles = self.pidfiles.read(&self.proc, now.instant, &mut unseen);
        unseen.sort();
        unseen.dedup();
        Snapshot {
            taken_at: now.timestamp,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            looker: Some(self.looker.clone()),
            databases,
            pidfiles,
            trace,
            sampling: self.lock_watch.cost(now.instant),
            unseen,
        }
    }

    /// What happened lately to the database at `index`.
    pub fn trend(&self, index: usize) -> DatabaseTrend {
        let Some(watched) = self.watched.get(index) else { return DatabaseTrend::default() };
        watched.history().trend(Instant::now())
    }

    /// The histories of the databases, in their order: what a timeline is made from, at any time and in any thread.
    pub fn histories(&self) -> Vec<Arc<Mutex<LockHistory>>> {
        self.watched.iter().map(|watched| watched.sampled().history).collect()
    }

    // For how long each process has done nothing. What was sampled since the look before counts as well as what
    // this look sees.
    fn note_idleness(&mut self, databases: &mut [Database], now: SampleTime) {
        let mut writers = vec![Vec::new(); databases.len()];
        if let Some(before) = self.idleness.sampled_at() {
            let window = now.instant.saturating_duration_since(before);
            for (watched, writers) in self.watched.iter().zip(&mut writers) {
                let holds = watched.history().write_holds(now.instant, window);
                let by_process = holds.into_iter().flat_map(|holds| holds.by_process);
                *writers = by_process.filter_map(|holds| holds.pid).collect();
            }
        }
        let now = idleness::IdleClock::at(now.instant);
        let below = || proc::ticks_below(&self.proc);
        self.idleness.fill_in(databases, &writers, &mut self.first_seen, &below, now);
    }

    // With the paths of their databases.
    fn ingestions(&mut self, now: SampleTime, unseen: &mut Vec<Unseen>) -> Vec<(String, Ingestion)> {
        let Some(journals) = &mut self.journals else { return Vec::new() };
        let (mut ingestions, untold) = journals.look();
        journals.fill_in_silence(&mut ingestions, now, clock::slept());
        unseen.extend(untold);
        ingestions
    }

    // What our own ingestions waited for the write lock. A line is written when all is committed. The trace has shown
    // these waits already.
    fn note_waits(&mut self, now: SampleTime) {
        let milliseconds = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
        let mut told = self.journals.as_mut().map(Journals::take_transactions).unwrap_or_default();
        told.retain(|_| !self.lock_watch.is_tracing());
        told.sort_by_key(|it| it.at);
        for Transaction { database, pid, start_ticks, at, wait_ms, hold_ms } in told {
            let watched = self.watched.iter().find(|watched| watched.path().to_string_lossy() == database);
            let ago = Duration::try_from(now.timestamp.duration_since(at)).unwrap_or_default();
            if let (Some(watched), Some(end)) =
                (watched, now.instant.checked_sub(ago + milliseconds(hold_ms)))
            {
                let (name, program) = ("waltop".to_owned(), "waltop".into());
                let who = LockOwner { pid: Some(pid), start_ticks, name, program };
                watched.history().waited(end, milliseconds(wait_ms), Arc::new(who));
            }
        }
    }

    // Databases in containers that were started again are watched there.
    fn follow_containers(&mut self, now: SampleTime) {
        let mut has_moved = false;
        for watched in &mut self.watched {
            has_moved |= watched.follow_container(&self.proc, now);
        }
        if has_moved {
            self.lock_watch.set_databases(&self.proc, &self.watched, self.describer.label_rules());
        }
    }

    fn views(&mut self, now: SampleTime, unseen: &mut Vec<Unseen>) -> Vec<DatabaseView> {
        let table = self.lock_table();
        unseen.extend(self.unseen_locks.clone());
        let mounts = MountTable::read(&self.proc);
        let (proc, overlays) = (&self.proc, &mut self.overlays);
        let view = |watched: &mut DatabaseWatch| {
            let mut view = watched.view(&table, (&mounts, proc), now.instant, unseen);
            view.overlays = overlays.above(&view.paths[0], now.instant);
            view
        };
        self.watched.iter_mut().map(view).collect()
    }

    fn database(
        &mut self,
        index: usize,
        mut view: DatabaseView,
        openers: &BTreeMap<i32, DatabaseOpener>,
        now: SampleTime,
        unseen: &mut Vec<Unseen>,
    ) -> Database {
        let mut decoded = view.decode();
        let processes = self.rows(&view, openers, &decoded, now.instant, unseen);
        let (handle_growth, restarts) = self.watched[index].note_processes(&processes, now);
        let content = self.watched[index].content(&view, openers, unseen);
        let locks_beside = self.labelled(std::mem::take(&mut view.locks_beside));
        let mut history = self.watched[index].history();
        let locks = &mut decoded.locks;
        let runs = |pid| proc::times_scheduled(&self.proc, pid);
        let known = LockTimes { processes: &processes, history: &history, runs: &runs, now };
        timing::fill_in(locks, &view, &known, &mut self.first_seen);
        timing::lengthen_holds(&mut history, locks, now.instant);
        timing::note_readers(&mut history, locks, &view, &processes, now.instant);
        if self.lock_watch.is_tracing() || view.is_sampled(locks) {
            locks.window_ms = history.reach(now.instant).map(crate::units::milliseconds);
            locks.write_holds = history.write_holds(now.instant, LockHistory::WINDOW);
        }
        decoded.locks.holder_wait = decoded.holder_wait(view.wal.as_ref());
        decoded.locks.fill_in_labels(&processes);
        let unfit = if view.header.is_some() { None } else { inspect_from_outside(&view.paths[0]).err() };
        Database {
            files: view.files(),
            path: view.named,
            header: view.header,
            wal: view.wal,
            content,
            space: Vec::new(),
            commits: self.watched[index].commit_rate(),
            filesystem: view.filesystem,
            folder: view.folder,
            locks: decoded.locks,
            processes,
            handle_growth,
            restarts,
            pragmas: PragmaCompliance::default(),
            ingestions: Vec::new(),
            watchers: Vec::new(),
            findings: Vec::new(),
            suspicions: Vec::new(),
            is_complete: self.unseen_locks.is_none() && view.is_steady,
            locks_beside,
            reach: view.reach,
            overlays: view.overlays,
            unfit: unfit.map(|why| why.to_string()),
            schedule: None,
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.first_seen.flush(&self.timed);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
