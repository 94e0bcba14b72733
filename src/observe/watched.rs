//! One watched database: its files and its rows of the lock table in one sample.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use jiff::Timestamp;

use crate::{
    history::{LockHistory, LogSight},
    observe::{
        commit_rate::{CommitCounters, CommitTracker},
        content::{self, ContentReader},
        files::{self, BirthId, FileSighting},
        folder,
        handle_growth::HandleGrowths,
        lock_probe::{self, ProbeScope},
        lock_sampler,
        lock_table::{self, LockTable},
        locks::{self},
        locks_beside::LocksBeside,
        opener::DatabaseOpener,
        proc::{InsidePath, mounts::MountTable},
        timing::SampleTime,
        trace::TraceTarget,
        wal::{self, LogHeader},
        wal_index::WalIndex,
    },
    paths::FileId,
    snapshot::{
        CommitRate, ContentEvidence, HandleGrowth, JournalMode, PathReach, Process, RestartedProcess, Unseen,
        WalSource,
    },
    threads,
};

mod container;
mod log_state;
mod restarts;
mod view;

pub use view::DatabaseView;

use container::ContainerWatch;
use restarts::RestartTracker;

/// A watched database, with the state that is kept between samples.
#[derive(Debug)]
pub struct DatabaseWatch {
    // The path as the user named it.
    named: PathBuf,
    // The container that its name has.
    container: Option<ContainerWatch>,
    // Its place in the files of another process.
    inside: Option<InsidePath>,
    // Since when no process has these files any more.
    ended_at: Option<Timestamp>,
    // Main file, `-wal` and `-shm`, by paths that reach them.
    paths: [PathBuf; 3],
    counter: wal::FrameCounter,
    content: ContentReader,
    history: Arc<Mutex<LockHistory>>,
    handle_growths: HandleGrowths,
    restarts: RestartTracker,
    commits: CommitTracker,
    locks_beside: LocksBeside,
    // The last file seen at each of the paths, and the processes that had any of them open in the previous sample.
    last: [Option<BirthId>; 3],
    users: BTreeSet<i32>,
    // The key of the stored times of the file at the path, while there is one.
    timed: Option<String>,
}

impl DatabaseWatch {
    /// Watches the database at `path`, which may lead through the `/proc` at `proc`, or name a container.
    pub fn new(path: PathBuf, proc: &Path) -> Self {
        let (container, located) = ContainerWatch::of(&path, proc).unzip();
        let located = located.flatten();
        let inside = InsidePath::of(located.as_ref().unwrap_or(&path), proc);
        Self::reached(path, container, inside, Arc::default())
    }

    fn reached(
        named: PathBuf,
        container: Option<ContainerWatch>,
        inside: Option<InsidePath>,
        history: Arc<Mutex<LockHistory>>,
    ) -> Self {
        Self {
            paths: files::with_sidecars(inside.as_ref().map_or(&named, |inside| &inside.access)),
            container,
            inside,
            ended_at: None,
            named,
            counter: wal::FrameCounter::default(),
            content: ContentReader::default(),
            history,
            handle_growths: HandleGrowths::default(),
            restarts: RestartTracker::default(),
            commits: CommitTracker::default(),
            locks_beside: LocksBeside::default(),
            last: [None; 3],
            users: BTreeSet::new(),
            timed: None,
        }
    }

    /// The path of its main file as the user named it.
    pub fn path(&self) -> &Path {
        &self.named
    }

    /// Whether the kernel reports that no process holds a lock on it.
    pub fn is_unlocked(&self) -> bool {
        let [main, _, index] = &self.paths;
        let is_free = |path: &Path, places: &[(ProbeScope, RangeInclusive<u64>)]| match files::open(path) {
            Ok(file) => places
                .iter()
                .all(|(who, bytes)| matches!(lock_probe::ask(&file, *who, bytes.clone()), Ok(None))),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        is_free(index, &locks::INDEX_PLACES) && is_free(main, &locks::MAIN_PLACES)
    }

    /// The files to sample, and the history for their holds.
    pub fn sampled(&self) -> lock_sampler::SampledDatabase {
        let [main, log, index] = self.paths.clone();
        lock_sampler::SampledDatabase { main, index, log, history: Arc::clone(&self.history) }
    }

    /// The files to trace, and the history for their holds.
    pub fn traced(&self) -> TraceTarget {
        let [main, _, index] = self.paths.clone();
        let inner = self.inside.as_ref().map_or(&main, |inside| &inside.inner);
        let [mounted_main, _, mounted_index] = files::with_sidecars(inner);
        let owner = self.inside.as_ref().map(|inside| inside.owner);
        let mounted = [mounted_main, mounted_index];
        TraceTarget { main, index, mounted, owner, history: Arc::clone(&self.history) }
    }

    pub fn history(&self) -> MutexGuard<'_, LockHistory> {
        threads::lock(&self.history)
    }

    /// Its commits of the last seconds.
    pub fn commit_rate(&self) -> Option<CommitRate> {
        self.commits.rate()
    }

    /// The growth of the descriptors of `processes`, a sample at `now`, and those that were started again.
    pub fn note_processes(
        &mut self,
        processes: &[Process],
        now: SampleTime,
    ) -> (Vec<HandleGrowth>, Vec<RestartedProcess>) {
        let descriptors = processes.iter().filter_map(|it| Some((it.pid, it.start_ticks, it.handles?.db)));
        let growth = self.handle_growths.add_sample(descriptors, now.instant);
        (growth, self.restarts.add_sample(processes, now.timestamp))
    }

    /// The inodes of the files whose rows in the lock table [`DatabaseWatch::view`] needs.
    pub fn locked_inodes(&self) -> impl Iterator<Item = u64> {
        let [main, _, index] = &self.paths;
        [main, index].into_iter().filter_map(|path| Some(path.metadata().ok()?.ino()))
    }

    /// Reads the files, and selects their rows from `table`.
    pub fn view(
        &mut self,
        table: &LockTable,
        (mounts, proc): (&MountTable, &Path),
        now: Instant,
        unseen: &mut Vec<Unseen>,
    ) -> DatabaseView {
        let mut reach = self.inside.as_mut().map_or(PathReach::Direct, |inside| inside.follow(proc, now));
        let theirs = self.inside.as_ref().map(|inside| inside.mounts(proc));
        if let PathReach::ThroughProcess { pid, has_ended: true, ended_at } = &mut reach {
            *ended_at = self.ended_at;
            unseen.push(self.unreached(*pid));
        }
        let main = self.inside.as_ref().map_or(&self.paths[0], |inside| &inside.inner).clone();
        let texts = files::with_sidecars(&main);
        let mounts = theirs.as_ref().unwrap_or(mounts);
        let sights = std::array::from_fn(|at| {
            let path = &self.paths[at];
            let sight = files::read_files(path, &texts[at], mounts);
            sight.map_err(|error| note(unseen, "the file", path, &error)).unwrap_or_default()
        });
        let path = files::sidecar(&self.paths[0], "-journal");
        let journal = files::read_files(&path, &files::sidecar(&main, "-journal"), mounts);
        let journal = journal.map_err(|error| note(unseen, "the file", &path, &error)).unwrap_or_default();
        let former = self.former(&sights);
        let rows_of = |sight: &Option<FileSighting>| {
            sight
                .as_ref()
                .map(|sight| lock_table::of(&table.rows, sight).cloned().collect())
                .unwrap_or_default()
        };
        let locks_beside = self.locks_beside.find(&table.others, &self.paths[0], sights[0].as_ref(), now);
        let mut view = DatabaseView {
            locks_beside,
            main_rows: rows_of(&sights[0]),
            index_rows: rows_of(&sights[2]),
            is_cut: table.cut.is_some(),
            filesystem: mounts.filesystem(&main, &self.paths[0]),
            folder: folder::read_folder(&self.paths[0], sights[0].as_ref().map(|sight| &sight.facts)),
            named: self.named.clone(),
            paths: self.paths.clone(),
            namespace: self.inside.as_ref().and_then(|inside| inside.namespace.clone()),
            texts,
            sights,
            reach,
            overlays: Vec::new(),
            is_steady: true,
            journal,
            former,
            users: std::mem::take(&mut self.users),
            header: None,
            index: None,
            wal: None,
            holders: BTreeSet::new(),
        };
        view.read_main(unseen);
        view.read_index(unseen);
        match &view.sights[1] {
            Some(wal) => self.history().wal_is(now, wal.facts.inode, wal.facts.bytes),
            None => self.history().wal_removed(),
        }
        if let Some((index, log)) = view.index.as_ref().zip(view.sights[1].as_ref()) {
            let (bytes, WalIndex { frames, backfilled, salts, .. }) = (log.facts.bytes, *index);
            self.history().log_is(now, LogSight { bytes, frames, backfilled, salts });
        }
        view.wal = self.wal(&view, unseen);
        if let Some(wal) = view.wal.as_mut().filter(|_| view.index.is_some()) {
            wal.progress = self.history().log_progress(now);
        }
        self.note_commits(&view, now);
        view.holders = view.main_rows.iter().chain(&view.index_rows).filter_map(|row| row.pid).collect();
        self.note_moved(&view, now);
        view
    }

    /// Attributes the rows of `view` to their processes, now that the openers are known. If only the holder of another
    /// file vouched for the index, the log itself is counted.
    pub fn assign_locks(
        &mut self,
        view: &mut DatabaseView,
        openers: &BTreeMap<i32, DatabaseOpener>,
        unseen: &mut Vec<Unseen>,
    ) {
        view.settle(openers, unseen);
        view.is_steady = view.paths.iter().zip(&view.sights).all(|(path, sight)| {
            let now = path.metadata().ok().map(|it| FileId::of(&it));
            now == sight.as_ref().map(|sight| sight.id)
        });
        self.users.extend(openers.keys());
        let is_believed = view.wal.as_ref().is_some_and(|wal| wal.source == WalSource::Index);
        if (view.index.is_some() || is_believed) && !view.is_index_in_use() {
            view.index = None;
            view.wal = self.wal(view, unseen);
        }
    }

    /// The evidence from the bytes of the files of `view`, now that the openers are known.
    pub fn content(
        &mut self,
        view: &DatabaseView,
        openers: &BTreeMap<i32, DatabaseOpener>,
        unseen: &mut Vec<Unseen>,
    ) -> ContentEvidence {
        let has_open = |it: &DatabaseOpener| it.handles.is_none_or(|it| it.db + it.wal + it.shm > 0);
        let counted = view.wal.as_ref().filter(|wal| wal.source == WalSource::Log);
        let input = content::ContentInput {
            paths: &view.paths,
            sights: &view.sights,
            journal: view.journal.as_ref().map(|_| files::sidecar(&self.paths[0], "-journal")),
            page_size: view.header.as_ref().map(|header| header.page_size),
            header_count: view.header.as_ref().map_or(0, |header| header.page_count),
            is_used: !view.main_rows.is_empty()
                || !view.index_rows.is_empty()
                || openers.values().any(has_open),
            is_vouched_for: view.is_index_in_use(),
            committed: counted.and_then(|wal| wal.frames),
        };
        let mut content = self.content.read(&input, unseen);
        if let Some(journal) = &mut content.hot_journal {
            journal.path = files::sidecar(&self.named, "-journal");
        }
        content
    }

    // Records the files that exist, and returns the last known files of the missing ones. A file that is not visible
    // may still exist.
    fn former(&mut self, sights: &[Option<FileSighting>; 3]) -> [Option<BirthId>; 3] {
        for (last, sight) in self.last.iter_mut().zip(sights) {
            *last = sight.as_ref().map_or(*last, |sight| sight.birth);
        }
        let mut former = self.last;
        for ((former, sight), path) in former.iter_mut().zip(sights).zip(&self.paths) {
            former.take_if(|_| sight.is_some() || !matches!(path.try_exists(), Ok(false)));
        }
        former
    }

    /// The key of the stored times of a file that `view` finds gone or replaced.
    pub fn outdated(&mut self, view: &DatabaseView) -> Option<String> {
        let name = view.name();
        // A file that is not visible may still exist.
        let is_hidden = || !matches!(self.paths[0].try_exists(), Ok(false));
        if name == self.timed || name.is_none() && is_hidden() {
            return None;
        }
        std::mem::replace(&mut self.timed, name)
    }

    // A count made while no process vouches for the index is not recorded: a crash may have lost it.
    fn note_moved(&self, view: &DatabaseView, now: Instant) {
        let known = view
            .wal
            .as_ref()
            .filter(|wal| wal.source == WalSource::Index)
            .and_then(|wal| Some((wal.checkpoint_sequence?, wal.frames?, wal.backfilled?)));
        let mut history = self.history();
        match known {
            Some((sequence, frames, backfilled)) => history.moved().is(now, sequence, frames, backfilled),
            None => history.moved().is_unknown(),
        }
    }

    // In WAL mode the header of the main file counts checkpoints.
    fn note_commits(&mut self, view: &DatabaseView, now: Instant) {
        let counters = match view.mode() {
            JournalMode::Wal | JournalMode::Wal2 => {
                view.index.zip(view.sights[2].as_ref()).map(|(index, sight)| {
                    let [salt @ .., _, _, _, _] = index.salts;
                    let salt = Some(u32::from_be_bytes(salt));
                    CommitCounters { commits: index.commits, salt, inode: sight.id.inode }
                })
            }
            JournalMode::Rollback => {
                view.header.as_ref().zip(view.sights[0].as_ref()).and_then(|(header, sight)| {
                    let commits = header.change_counter?;
                    Some(CommitCounters { commits, salt: None, inode: sight.id.inode })
                })
            }
        };
        self.commits.add(now, counters);
        if let Some(index) = view.index.filter(|_| self.commits.is_frequent())
            && let Ok(file) = files::open(&self.paths[1])
            && let Ok(Some(header)) = LogHeader::read(&file)
            && let Ok(frames) = header.newest_frames(&file, index.frames)
        {
            self.commits.frames_are(now, frames);
        }
    }
}

fn note(unseen: &mut Vec<Unseen>, what: &str, path: &Path, error: &io::Error) {
    if error.kind() != io::ErrorKind::NotFound {
        unseen.push(Unseen { what: format!("{what} {}", path.display()), why: error.to_string() });
    }
}

#[cfg(test)]
mod tests;
