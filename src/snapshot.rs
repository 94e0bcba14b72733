//! One sample of the watched databases, as plain data: the JSON contract.
//!
//! Version 1 of this object is a promise to scripts: fields are added, never changed. Unknown values are `None`
//! (`null`), never 0. Times are RFC 3339 UTC, durations milliseconds (fractions allowed), sizes bytes. This module does
//! no I/O.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

mod activity;
mod activity_class;
mod availability;
mod checkpoint_mode;
mod content;
mod contract;
mod disk_wait;
mod edge_kind;
mod files;
mod finding;
mod handles;
mod ingestion;
mod label;
mod lock_cycle;
mod locks;
mod locks_beside;
mod log_progress;
mod machine;
mod origin;
mod pairing;
mod pidfile;
mod pragmas;
mod process;
mod process_group;
mod process_limits;
mod protection;
mod reach;
mod refusals;
mod restarts;
mod sampling;
mod schedule;
mod space;
mod sqlite_library;
mod stale;
mod suspicion;
mod trace;
mod waiters;
mod watcher;
mod writing;

pub use activity::{Activity, ActivityCount, ActivityVerdict, HolderActivity, PeerProcess, WaitSource};
pub use activity_class::ActivityClass;
pub use availability::LockAvailability;
pub use checkpoint_mode::CheckpointMode;
pub use content::{
    ContentEvidence, Contradiction, ContradictionKind, FirstPage, FirstPageState, HotJournal, LogBelongs,
    LogVerdict,
};
pub use contract::{CONTRACT_VERSION, Versioned};
pub use disk_wait::{DiskPressure, DiskWait};
pub use edge_kind::EdgeKind;
pub use files::{
    AutoVacuum, DatabaseFiles, FileFacts, FileHeader, Filesystem, FolderFacts, JournalMode, WalSource,
    WalState,
};
pub use finding::{Finding, FindingKind, Remedy, RemedyAction, Severity, UnknownFinding};
pub use handles::HandleGrowth;
pub use ingestion::{
    BatchDecision, CarriesOn, DurationSpread, EmbeddingProgress, FailedFile, IngestedBatch, Ingestion,
    IngestionState, LockSharing, percentile,
};
pub use label::{LabelRules, command_label, is_shell_of_databases, program_word};
pub use lock_cycle::{CycleWait, LockCycle, WaitBasis};
pub use locks::{
    DatabaseLocks, HolderWait, HolderWaitCause, LockHolder, LockWait, LogReader, ProcessHolds, WriteHolds,
};
pub use locks_beside::{FileLockKind, LockBeside, LockParty};
pub use log_progress::{LogProgress, LogReading};
pub use machine::{
    DAC_READ_SEARCH, DatabasePlace, InotifyUse, MachineFacts, NamespaceFacts, ProcMount, ProcessSight,
    SYS_PTRACE, SettingsState, StateAccess, SystemCallAccess, TerminalFacts, TraceAccess,
};
pub use origin::{
    Executable, ExecutableState, LostInput, ProcessManager, ProcessOrigin, is_started_by_manager,
};
pub use pairing::PairingFacts;
pub use pidfile::Pidfile;
pub use pragmas::{PragmaCompliance, PragmaRow, PragmaSource};
pub use process::{HandleCounts, LockHold, Process, ProcessId, ProcessIdleness, ProcessState, ProgramSample};
pub use process_group::{GroupKind, ProcessGroup};
pub use process_limits::{ProcessLimit, ProcessLimits, TemporaryFolder};
pub use protection::StaleProtection;
pub use reach::{OverlayMount, PathReach, ReachChange};
pub use refusals::{RefusalReason, RefusedWriter, WriterRefusals};
pub use restarts::RestartedProcess;
pub use sampling::SamplingFacts;
pub use schedule::{CheckpointSchedule, LastCheckpoint};
pub use space::{SpaceKind, SpaceRelease, SpaceUse};
pub use sqlite_library::{SqliteCarrier, SqliteLibrary};
pub use stale::{NotIdle, PastMaxAge, StaleCause, StaleVerdict};
pub use suspicion::{Suspicion, SuspicionKind};
pub use trace::TraceFacts;
pub use waiters::{OwnWaiters, PossibleWaiter, WaiterEvidence};
pub use watcher::IngestWatcher;
pub use writing::{CommitRate, CommittedFrames};

pub use crate::paths::FileId;

/// Everything in one sample.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Snapshot {
    /// Time of the sample.
    pub taken_at: Timestamp,
    pub host: String,
    /// The process that took the sample; `None` if its start time is unknown.
    #[serde(default)]
    pub looker: Option<SamplingProcess>,
    /// The databases, in the order of the command line.
    pub databases: Vec<Database>,
    /// The existing pidfiles of the daemon rules.
    #[serde(default)]
    pub pidfiles: Vec<Pidfile>,
    /// How complete the kernel's trace of lock requests is; `None` if nothing is traced.
    #[serde(default)]
    pub trace: Option<TraceFacts>,
    /// Cost of lock sampling between snapshots; `None` if nothing is sampled.
    pub sampling: Option<SamplingFacts>,
    /// What could not be read, and why: a partial snapshot is never presented as a complete one.
    pub unseen: Vec<Unseen>,
}

/// The process that took a sample. waltop never offers to stop it or its ancestors.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SamplingProcess {
    pub pid: i32,
    /// User id that it runs as.
    pub uid: u32,
    /// Its parent, that process's parent, and so on.
    pub ancestors: Vec<i32>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Unseen {
    /// What is missing from the snapshot, as the end of the sentence "could not see …".
    pub what: String,
    /// The reason from the operating system.
    pub why: String,
}

/// One database, and everything related to it.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Database {
    /// Absolute path of the main file.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The database files, by `stat`.
    pub files: DatabaseFiles,
    /// The header of the main file; `None` if it could not be read.
    pub header: Option<FileHeader>,
    /// The write-ahead log; `None` if there is none, or it has no header.
    pub wal: Option<WalState>,
    /// Its commits of the last seconds; `None` until two samples are a second apart, and without a trusted index.
    #[serde(default)]
    pub commits: Option<CommitRate>,
    /// What the content of the files proves about each other.
    #[serde(default)]
    pub content: ContentEvidence,
    /// What the disk space is used for, and what gives it back.
    #[serde(default)]
    pub space: Vec<SpaceUse>,
    /// The file system of the main file; `None` if the mounts do not show it.
    pub filesystem: Option<Filesystem>,
    /// The folder of the main file.
    pub folder: Option<FolderFacts>,
    pub locks: DatabaseLocks,
    /// The processes that have one of the database files open, by PID.
    pub processes: Vec<Process>,
    /// Those of them whose descriptors on the main file have increased in the last minute and never decreased.
    #[serde(default)]
    pub handle_growth: Vec<HandleGrowth>,
    /// Those of the last half minute that the same parent has started before with the same arguments.
    #[serde(default)]
    pub restarts: Vec<RestartedProcess>,
    pub pragmas: PragmaCompliance,
    /// Active and recent ingestions into this database, newest first.
    pub ingestions: Vec<Ingestion>,
    /// The watches that keep it in step with folders, the oldest first.
    #[serde(default)]
    pub watchers: Vec<IngestWatcher>,
    /// Problems, worst first.
    pub findings: Vec<Finding>,
    /// Suspicions of this sample against processes; each becomes a finding once later samples confirm it.
    #[serde(skip)]
    pub suspicions: Vec<Suspicion>,
    /// Whether the lock table and the processes were read completely. A partial sample confirms and clears no
    /// suspicion.
    #[serde(default = "yes")]
    pub is_complete: bool,
    /// Locks on other files of its folder, which are none of SQLite's: a lock file of its program, for example. They are
    /// looked for while a process holds a lock on the database, as every connection in WAL mode does.
    #[serde(default)]
    pub locks_beside: Vec<LockBeside>,
    /// How the path leads to the database.
    #[serde(default)]
    pub reach: PathReach,
    /// The overlay mounts that show it under another path.
    #[serde(default)]
    pub overlays: Vec<OverlayMount>,
    /// Why it cannot be sampled, with the fix; `None` if it can. For a missing database it says that.
    #[serde(default)]
    pub unfit: Option<String>,
    /// The profile's scheduled checkpoints; `None` if it has no schedule.
    #[serde(default)]
    pub schedule: Option<CheckpointSchedule>,
}

impl Database {
    /// The file name, for titles.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// The process row of `pid`, if it has the database open.
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Whether `process` has this main file open with a log or an index that was deleted or replaced while open. Its
    /// clean close would overwrite other processes' later commits. If its main file was replaced as well, it only uses
    /// that one.
    pub fn is_split_from(&self, process: &Process) -> bool {
        let main = self.path.to_string_lossy();
        !process.replaced.is_empty() && process.replaced.iter().all(|path| *path != main)
    }

    /// Whether `process` is one of waltop's ingestions that is writing to it.
    pub fn is_own_ingestion(&self, process: &Process) -> bool {
        let mut running = self.ingestions.iter().filter(|it| it.is_running());
        running.any(|it| it.pid == process.pid && it.start_ticks == process.start_ticks)
    }

    /// Whether the main file says that the database is in WAL mode; `None` if it could not be read, and in the WAL2 mode
    /// of a branch of SQLite.
    pub fn is_wal(&self) -> Option<bool> {
        match self.header.as_ref()?.journal_mode {
            JournalMode::Wal => Some(true),
            JournalMode::Rollback => Some(false),
            JournalMode::Wal2 => None,
        }
    }

    /// Its journal mode, as a sentence names it.
    pub fn mode(&self) -> &'static str {
        let is_encrypted = self.content.is_encrypted();
        match self.header.as_ref().map(|header| header.journal_mode) {
            Some(JournalMode::Wal) => "WAL",
            Some(JournalMode::Rollback) => "rollback journal",
            Some(JournalMode::Wal2) => "WAL2, which only a branch of SQLite can open",
            None if is_encrypted => "encrypted, so its mode and its pages are unknown",
            None => "unknown",
        }
    }

    /// Whether a connection of waltop's SQLite could read it, as far as page 1 shows.
    pub fn is_readable_by_sqlite(&self) -> bool {
        let is_wal2 = self.header.as_ref().is_some_and(|header| header.journal_mode == JournalMode::Wal2);
        !is_wal2 && !self.content.is_encrypted()
    }

    /// The worst finding.
    pub fn worst(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// The confirmed suspicion of `kind` against `process`.
    pub fn confirmed(&self, kind: SuspicionKind, process: &Process) -> Option<&Suspicion> {
        self.suspicions.iter().find(|it| it.kind == kind && it.is_against(process) && it.is_confirmed())
    }

    /// Whether there is no main file at its path, although a process uses it, or its log is still there.
    pub fn is_gone(&self) -> bool {
        self.files.db.is_none()
            && (self.files.wal.is_some() || self.files.shm.is_some() || !self.processes.is_empty())
    }

    /// Whether it is gone and processes have it open: they are known, and there is nothing else to report.
    pub fn is_gone_in_use(&self) -> bool {
        self.is_gone() && !self.processes.is_empty()
    }

    /// What a new client would find beside the main file.
    pub fn presence(&self) -> Presence {
        if self.locks.index_held || self.locks.main_held || self.processes.iter().any(Process::has_main_file)
        {
            Presence::Live
        } else if self.files.wal.is_some() || self.files.shm.is_some() || self.content.hot_journal.is_some() {
            Presence::Leftover
        } else {
            Presence::Clean
        }
    }
}

/// The pragma values of waltop's own connection, as `(name, value)`.
pub type ConnectionFacts = Vec<(String, String)>;

/// Whether a process has the database open, and what the last one left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// A process has it open.
    Live,
    /// No process has it open, and there are no sidecar files.
    Clean,
    /// No process has it open, but a `-wal`, `-shm` or hot `-journal` was left (a crash, or a read-only client).
    Leftover,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Clean => "clean",
            Self::Leftover => "leftover",
        })
    }
}

impl std::str::FromStr for Presence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "live" => Ok(Self::Live),
            "clean" => Ok(Self::Clean),
            "leftover" => Ok(Self::Leftover),
            _ => Err("not one of live, clean, leftover".to_owned()),
        }
    }
}

fn yes() -> bool {
    true
}

/// A path as text, because JSON has no bytes; invalid UTF-8 becomes `\u{fffd}`.
pub(crate) fn lossy_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
