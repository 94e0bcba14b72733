//! Folders of documents into rows: `discover` → `parse` → `batch` → `store`, with a journal of each step. Where
//! embedding is asked for, `embed` then turns the documents into vectors.
//!
//! The write lock is the scarce resource. Other threads do everything that needs no lock before it is taken. Under the
//! lock there are prepared statements and nothing else. Between two batches other processes can have it.
//!
//! The rows mirror the folder as the walk sees it. The run removes documents that the walk no longer finds (deleted,
//! renamed, or ignored) in batches at its end. Where a path could not be read, the rows below it stay.

pub mod batch;
mod changes;
pub mod discover;
pub mod embed;
mod journal;
mod names;
mod neighbours;
pub mod parse;
pub mod progress;
pub mod query;
mod readers;
mod reported_failures;
mod run;
pub mod stop;
pub(crate) mod store;
mod summary;
pub mod watch;
pub mod words;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

pub use self::{
    batch::BatchSetting,
    embed::EmbeddingSummary,
    progress::RunProgress,
    reported_failures::ReportedFailures,
    stop::{StopFlag, stop_on_signals},
    store::{
        StoreError, document, hybrid, links,
        nearest::{QueryMeaning, nearest},
        search,
    },
    summary::RunSummary,
};
use self::{
    discover::{IngestFolder, WalkOptions},
    journal::RunJournal,
    run::IngestRun,
};
use crate::{
    config::profile::Profile,
    database::factory,
    observe::{journals, process_start, sidecar},
    paths,
    snapshot::CarriesOn,
    state::{
        journal::{JournalEvent, RunOutcome},
        places::Places,
        run_lock::{ExclusiveJob, RunLock, RunLockRefusal},
    },
    text::{Advised, display_as_line},
};

/// How long a run tries to get the write lock before it gives up.
pub const BUSY_BUDGET: Duration = Duration::from_secs(30);

/// What to ingest, and into which database.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    pub folders: Vec<PathBuf>,
    /// The database; it may not exist yet.
    pub database: PathBuf,
    /// Whether a missing folder of the database is created.
    pub make_folder: bool,
    /// How many files go into a transaction.
    pub batch: BatchSetting,
    /// How long a batch of `auto` may hold the write lock; a few batches take longer.
    pub hold: Duration,
    /// Folder of the journals and of the locks against a second run.
    pub runs: PathBuf,
    /// Where the kernel shows processes and locks.
    pub proc: PathBuf,
    /// Prefix of document names; replaces the folder's path.
    pub root: Option<String>,
    /// Whether hidden files and folders are ingested too.
    pub hidden: bool,
    /// Largest file that is ingested, in bytes.
    pub max_file_size: u64,
    /// How long to try for the write lock.
    pub busy_budget: Duration,
    /// How to embed documents after they are ingested; `None` skips embedding.
    pub embed: Option<embed::EmbedOptions>,
    /// What earlier runs reported. If it is set, a run that has nothing to add leaves no journal.
    pub told: Option<ReportedFailures>,
    /// Settings of its connections.
    pub profile: Profile,
}

impl IngestRequest {
    /// Ingests `folders` into `database` with the default settings and the `hardened` profile. Creates the folder of
    /// the default database if it is missing.
    pub fn new(folders: Vec<PathBuf>, database: PathBuf, places: &Places) -> Self {
        // The console uses the real name of the database, though the given path may contain symbolic links.
        let settled = |path: &Path| paths::canonical_or_future(path).unwrap_or_else(|_| path.to_owned());
        Self {
            folders,
            make_folder: settled(&database) == settled(&places.default_database),
            database,
            batch: BatchSetting::Auto,
            hold: batch::HOLD,
            runs: places.runs.clone(),
            proc: places.proc.clone(),
            root: None,
            hidden: false,
            max_file_size: parse::LARGEST,
            busy_budget: BUSY_BUDGET,
            embed: None,
            told: None,
            profile: Profile::hardened(),
        }
    }

    fn open_folders(&self) -> Result<Vec<IngestFolder>, IngestError> {
        let root = self.root.as_deref().map(|root| root.trim_end_matches('/'));
        if let Some(root) = root {
            let sound = |part: &str| !matches!(part, "" | "." | "..");
            if !root.split('/').all(sound) || root.chars().any(char::is_control) {
                return Err(IngestError::Root(root.to_owned()));
            }
            if self.folders.len() > 1 {
                return Err(IngestError::RootOfMany);
            }
        }
        let mut folders: Vec<IngestFolder> = Vec::new();
        for path in &self.folders {
            let folder = IngestFolder::open(path, root)?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        if folders.is_empty() { Err(discover::DiscoverError::NoFolder.into()) } else { Ok(folders) }
    }

    /// The path where the database is or will be, without symbolic links, so that all runs use one name for it.
    fn resolve(&self) -> Result<PathBuf, IngestError> {
        if !self.make_folder {
            return Ok(factory::resolve(&self.database, true).map_err(StoreError::from)?);
        }
        paths::canonical_or_future(&self.database).map_err(|source| self.no_folder(source))
    }

    fn make_folder(&self) -> Result<(), IngestError> {
        match self.database.parent().filter(|_| self.make_folder) {
            Some(folder) => fs::create_dir_all(folder).map_err(|source| self.no_folder(source)),
            None => Ok(()),
        }
    }

    fn no_folder(&self, source: io::Error) -> IngestError {
        IngestError::MakeFolder { database: self.database.display().to_string(), source }
    }

    /// The main file and its sidecars, which are never documents.
    fn own_files(&self) -> Vec<PathBuf> {
        ["", "-wal", "-shm", "-journal"].map(|suffix| sidecar(&self.database, suffix)).into()
    }
}

/// Why a run could not start, or ended early. What it committed before stays.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    Folder(#[from] discover::DiscoverError),
    /// The name is not usable as a root.
    Root(String),
    /// One root name for several folders.
    RootOfMany,
    /// The database's folder cannot be made.
    MakeFolder {
        database: String,
        source: io::Error,
    },
    /// Another run is ingesting the same folder into the same database.
    Running {
        folder: String,
        pid: Option<i32>,
    },
    /// Another watch keeps the same database in step with the same folder.
    Watched {
        folder: String,
        pid: Option<i32>,
    },
    /// A connection could lose the commits of other processes; the reason.
    Unfit(String),
    /// The journal cannot be written.
    Journal {
        runs: String,
        source: io::Error,
    },
    /// The database failed.
    Store(#[from] StoreError),
}

impl Advised for IngestError {
    fn fact(&self) -> String {
        let process = |pid: &Option<i32>| pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string());
        match self {
            Self::Folder(error) => error.fact(),
            Self::Root(name) => format!("`{name}` cannot stand in front of names"),
            Self::RootOfMany => "--root names one folder".to_owned(),
            Self::MakeFolder { database, source } => {
                format!("cannot make the folder of {database}: {source}")
            }
            Self::Running { folder, pid } => {
                format!("{folder} is being ingested by process {}", process(pid))
            }
            Self::Watched { folder, pid } => format!("{folder} is being watched by process {}", process(pid)),
            Self::Unfit(why) => why.clone(),
            Self::Journal { runs, source } => format!("cannot write the journal in {runs}: {source}"),
            Self::Store(error) => error.fact(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Folder(error) => return error.advice(),
            Self::Root(_) => "give --root a name like notes, without . and ..",
            Self::RootOfMany => "give one folder, or leave --root out",
            Self::MakeFolder { .. } => "make it yourself, or name another database with --db",
            Self::Running { .. } => "wait for it, or stop it",
            Self::Watched { .. } => "stop that one first",
            Self::Unfit(_) => return None,
            Self::Journal { .. } => "make the folder writable, and room on its disk",
            Self::Store(error) => return error.advice(),
        };
        Some(advice.to_owned())
    }

    fn is_resumable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_resumable())
    }
}

display_as_line!(IngestError);

/// Ingests the folders of `request`, until all documents are in or `stop` is raised. If `stop` is raised during the
/// walk, the run creates and changes nothing.
///
/// # Errors
///
/// Before anything is created or changed: a folder cannot be ingested, the database has no place, or only its log is
/// left. Before the database is touched: another run is active, or the journal cannot be written. Later, and recorded
/// in the journal: the database fails. What was committed stays, and the next run resumes.
pub fn run(
    request: &IngestRequest,
    stop: &StopFlag,
    progress: &mut dyn RunProgress,
) -> Result<RunSummary, IngestError> {
    let (begun, began_at) = (Instant::now(), Timestamp::now());
    let folders = request.open_folders()?;
    let ours = request.own_files();
    let options = WalkOptions { hidden: request.hidden, largest: request.max_file_size, ours: &ours };
    let Some(discovery) = discover::walk(&folders, &options, stop)? else {
        let elapsed_ms = begun.elapsed().as_secs_f64() * 1000.0;
        return Ok(RunSummary { elapsed_ms, ..RunSummary::of_nothing(None, RunOutcome::Stopped) });
    };
    let database = request.resolve()?;
    factory::refuse_strays(&database).map_err(StoreError::from)?;
    let mut locks = lock_folders(request, &database, &folders)?;
    let left = left_off(request, &database, &folders, &locks);
    if let Some(left) = &left {
        progress.resumed(left);
    }
    let started = |run| started(run, request, &database, &folders, left, began_at);
    let journal = match request.told.clone() {
        Some(told) => RunJournal::held(&request.runs, &request.proc, told, started),
        None => RunJournal::create(&request.runs, &request.proc, started),
    }
    .map_err(|source| journal_error(&request.runs, source))?;
    let ended = IngestRun::new(request, stop, progress, journal)
        .ingest_documents(&database, &folders, &discovery, began_at);
    // After an error the journal may lack the run's end.
    locks.iter_mut().for_each(if ended.is_ok() { RunLock::ended_well } else { RunLock::ended_badly });
    drop(locks);
    ended
}

fn lock_folders(
    request: &IngestRequest,
    database: &Path,
    folders: &[IngestFolder],
) -> Result<Vec<RunLock>, IngestError> {
    let lock = |folder: &IngestFolder| match RunLock::acquire(
        ExclusiveJob::Run,
        &request.runs,
        database,
        &folder.path,
    ) {
        Ok(mut lock) => {
            // If an earlier run left work undone, this run has to finish before that is cleared.
            if !lock.left_by().is_empty() {
                lock.ended_badly();
            }
            Ok(lock)
        }
        Err(RunLockRefusal::Taken(pid)) => {
            Err(IngestError::Running { folder: folder.path.display().to_string(), pid })
        }
        Err(RunLockRefusal::Io(source)) => Err(journal_error(&request.runs, source)),
    };
    folders.iter().map(lock).collect()
}

/// The run that this one resumes. This process holds the locks of the folders, so no other run is active on them.
fn left_off(
    request: &IngestRequest,
    database: &Path,
    folders: &[IngestFolder],
    locks: &[RunLock],
) -> Option<CarriesOn> {
    let pids: Vec<i32> = locks.iter().flat_map(RunLock::left_by).copied().collect();
    let (database, folders) = (database.display().to_string(), paths_of(folders));
    journals::left_off(&request.runs, &request.proc, &database, &folders, &pids)
}

fn paths_of(folders: &[IngestFolder]) -> Vec<String> {
    folders.iter().map(|folder| folder.path.display().to_string()).collect()
}

fn started(
    run: String,
    request: &IngestRequest,
    database: &Path,
    folders: &[IngestFolder],
    carries_on: Option<CarriesOn>,
    began_at: Timestamp,
) -> JournalEvent {
    let pid = std::process::id().cast_signed();
    JournalEvent::Started {
        run,
        pid,
        start_ticks: process_start(&request.proc, pid),
        boot: journals::boot(&request.proc),
        database: database.display().to_string(),
        folders: paths_of(folders),
        batch: request.batch.to_string(),
        root: request.root.clone(),
        hidden: Some(request.hidden),
        carries_on,
        began_at: Some(began_at),
    }
}

fn journal_error(runs: &Path, source: io::Error) -> IngestError {
    IngestError::Journal { runs: runs.display().to_string(), source }
}
