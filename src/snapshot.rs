//! One look at the watched databases, as plain data: the JSON contract.
//!
//! Version 1 of this object is a promise to scripts: fields are added, never changed. What is not
//! known is `None` (`null`), never 0. Times are RFC 3339 UTC, durations milliseconds (fractions
//! allowed), sizes bytes. Nothing here does I/O.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

mod checkpoint_mode;
mod content;
mod contract;
mod edge_kind;
mod files;
mod finding;
mod handles;
mod ingestion;
mod locks;
mod origin;
mod pairing;
mod pidfile;
mod pragmas;
mod process;
mod protection;
mod reach;
mod sampling;
mod schedule;
mod stale;
mod suspicion;
mod watcher;

pub use checkpoint_mode::CheckpointMode;
pub use content::{
    ContentEvidence, Contradiction, ContradictionKind, FirstPage, FirstPageState, HotJournal, LogBelongs,
    LogVerdict,
};
pub use contract::{CONTRACT_VERSION, Versioned};
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
pub use locks::{DatabaseLocks, LockHolder, LogReader, ProcessHolds, WriteHolds};
pub use origin::{Executable, ExecutableState, ProcessManager, ProcessOrigin};
pub use pairing::PairingFacts;
pub use pidfile::Pidfile;
pub use pragmas::{PragmaCompliance, PragmaRow, PragmaSource};
pub use process::{HandleCounts, LockHold, Process, ProcessActivity, ProcessId, ProcessState, ProgramSample};
pub use protection::StaleProtection;
pub use reach::{OverlayMount, PathReach};
pub use sampling::SamplingFacts;
pub use schedule::{CheckpointSchedule, LastCheckpoint};
pub use stale::{StaleCause, StaleVerdict};
pub use suspicion::{Suspicion, SuspicionKind};
pub use watcher::IngestWatcher;

pub use crate::paths::FileId;

/// Everything that one look saw.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of the JSON contract.
    #[schemars(extend("const" = CONTRACT_VERSION))]
    pub version: u32,
    /// When the look was taken.
    pub taken_at: Timestamp,
    pub host: String,
    /// The process that looks; `None` where it cannot be told from others.
    #[serde(default)]
    pub looker: Option<SamplingProcess>,
    /// The databases, in the order in which they were asked for.
    pub databases: Vec<Database>,
    /// The pidfiles of the daemon rules, those aside that do not exist.
    #[serde(default)]
    pub pidfiles: Vec<Pidfile>,
    /// What the sampling of locks between the looks costs; `None` where nothing is sampled.
    pub sampling: Option<SamplingFacts>,
    /// What could not be seen, and why: a partial look never passes for a whole one.
    pub unseen: Vec<Unseen>,
}

/// The process that took a look. It and those that it runs under are never offered for a stop.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SamplingProcess {
    pub pid: i32,
    /// User id that it runs as.
    pub uid: u32,
    /// The process that started it, the one that started that, and so on.
    pub ancestors: Vec<i32>,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
pub struct Unseen {
    /// What is missing from the snapshot, as the end of the sentence "could not see …".
    pub what: String,
    /// The reason, as the operating system gave it.
    pub why: String,
}

/// One database and everything around it.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Database {
    /// Absolute path of the main file.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The three files, by `stat`.
    pub files: DatabaseFiles,
    /// The header of the main file; `None` where it could not be read.
    pub header: Option<FileHeader>,
    /// The write-ahead log; `None` where there is none or it holds no header.
    pub wal: Option<WalState>,
    /// What the bytes of the files say about each other.
    #[serde(default)]
    pub content: ContentEvidence,
    /// The file system that the main file is on; `None` where the mounts do not tell.
    pub filesystem: Option<Filesystem>,
    /// The folder that the main file lies in.
    pub folder: Option<FolderFacts>,
    pub locks: DatabaseLocks,
    /// The processes that have one of the three files open, by PID.
    pub processes: Vec<Process>,
    /// Those of them whose descriptors on the main file have risen in the last minute and never fallen.
    #[serde(default)]
    pub handle_growth: Vec<HandleGrowth>,
    pub pragmas: PragmaCompliance,
    /// Live and recent ingestions into this database, newest first.
    pub ingestions: Vec<Ingestion>,
    /// Those who keep it in step with folders, the oldest first.
    #[serde(default)]
    pub watchers: Vec<IngestWatcher>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// What this sample says against processes; each becomes a finding once later samples confirm it.
    #[serde(skip)]
    pub suspicions: Vec<Suspicion>,
    /// Whether the lock table and the processes were seen in full. A partial sample confirms and clears no suspicion.
    #[serde(default = "yes")]
    pub is_complete: bool,
    /// How the path leads to the database.
    #[serde(default)]
    pub reach: PathReach,
    /// The overlay mounts that show it under another path.
    #[serde(default)]
    pub overlays: Vec<OverlayMount>,
    /// Why it cannot be looked at, with what to do; `None` where it can. Of one that does not exist that is the reason.
    #[serde(default)]
    pub unfit: Option<String>,
    /// The checkpoints that its profile asks for at regular times; `None` where it asks for none.
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

    /// Whether `process` has this main file open with a log or an index that was deleted or replaced under it. Closed in
    /// good order it would put its pages over what others have committed since. One whose main file was replaced as
    /// well keeps to that.
    pub fn is_split_from(&self, process: &Process) -> bool {
        let main = self.path.to_string_lossy();
        !process.replaced.is_empty() && process.replaced.iter().all(|path| *path != main)
    }

    /// Whether `process` is an ingestion of ours that runs into it.
    pub fn is_own_ingestion(&self, process: &Process) -> bool {
        let mut running = self.ingestions.iter().filter(|it| it.is_running());
        running.any(|it| it.pid == process.pid && it.start_ticks == process.start_ticks)
    }

    /// Whether the main file says that the database is in WAL mode; `None` where it could not be read.
    pub fn is_wal(&self) -> Option<bool> {
        self.header.as_ref().map(|header| header.journal_mode == JournalMode::Wal)
    }

    /// The worst of what is wrong with it, if anything is.
    pub fn worst(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// What samples have confirmed against `process`, if they have.
    pub fn confirmed(&self, kind: SuspicionKind, process: &Process) -> Option<&Suspicion> {
        self.suspicions.iter().find(|it| it.kind == kind && it.is_against(process) && it.is_confirmed())
    }

    /// Whether there is no main file at its path, though somebody uses it, or its log is still there.
    pub fn is_gone(&self) -> bool {
        self.files.db.is_none()
            && (self.files.wal.is_some() || self.files.shm.is_some() || !self.processes.is_empty())
    }

    /// What somebody who connects now would find lying beside the main file.
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

/// What our own connection answers for the pragmas, as `(name, value)`.
pub type ConnectionFacts = Vec<(String, String)>;

/// Whether somebody has the database open, and what the last one left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// A process has it open.
    Live,
    /// Nobody has it open, and there are no sidecar files.
    Clean,
    /// Nobody has it open, but `-wal`, `-shm` or a hot `-journal` were left (a crash, or a read-only visitor).
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

/// A path as text, since JSON has nothing else; what is not text in it is shown by `\u{fffd}`.
pub(crate) fn lossy_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
