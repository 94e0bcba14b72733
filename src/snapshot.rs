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
use serde::{Deserialize, Serialize, Serializer};

/// The version of the JSON contract that [`Snapshot`] serialises to.
pub const CONTRACT_VERSION: u32 = 1;

/// Everything that one look saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always [`CONTRACT_VERSION`].
    pub version: u32,
    /// When the look was taken.
    pub taken_at: Timestamp,
    /// Name of the machine.
    pub host: String,
    /// The databases, in the order in which they were asked for.
    pub databases: Vec<Database>,
    /// What could not be seen, and why: a partial look never passes for a whole one.
    pub unseen: Vec<Unseen>,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unseen {
    /// What is missing from the snapshot, as the end of the sentence "could not see …".
    pub what: String,
    /// The reason, as the operating system gave it.
    pub why: String,
}

/// One database and everything around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Database {
    /// Absolute path of the main file.
    #[serde(serialize_with = "lossy_path")]
    pub path: PathBuf,
    /// The three files, by `stat`.
    pub files: Files,
    /// The header of the main file; `None` where it could not be read.
    pub header: Option<Header>,
    /// The write-ahead log; `None` where there is none or it holds no header.
    pub wal: Option<Wal>,
    /// Who holds which lock.
    pub locks: Locks,
    /// The processes that have one of the three files open, by PID.
    pub processes: Vec<Process>,
    /// Pragma compliance.
    pub pragmas: Pragmas,
    /// Live and recent ingestions into this database, newest first.
    pub ingestions: Vec<Ingestion>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}

impl Database {
    /// The file name, for titles.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// The process row of `pid`, if it has the database open.
    #[must_use]
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Whether the main file says that the database is in WAL mode; `None` where it could not be read.
    #[must_use]
    pub fn is_wal(&self) -> Option<bool> {
        self.header.as_ref().map(|header| header.journal_mode == JournalMode::Wal)
    }

    /// What somebody who connects now would find lying beside the main file.
    #[must_use]
    pub fn presence(&self) -> Presence {
        if self.locks.index_held || self.processes.iter().any(Process::has_main_file) {
            Presence::Live
        } else if self.files.wal.is_some() || self.files.shm.is_some() {
            Presence::Leftover
        } else {
            Presence::Clean
        }
    }
}

/// Whether somebody has the database open, and what the last one left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// A process has it open.
    Live,
    /// Nobody has it open, and there are no sidecar files.
    Clean,
    /// Nobody has it open, but `-wal` or `-shm` were left (a crash, or a read-only visitor).
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

/// The main file and its two sidecars.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Files {
    /// The main file.
    pub db: Option<FileFacts>,
    /// The write-ahead log, `-wal`.
    pub wal: Option<FileFacts>,
    /// The wal-index, `-shm`.
    pub shm: Option<FileFacts>,
}

/// What `stat` says of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// Device as `major:minor`, both in hexadecimal, as `/proc/locks` writes it.
    pub device: String,
    /// Inode number.
    pub inode: u64,
    /// Owner's user id.
    pub uid: u32,
    /// Permission bits, as in `0o644`.
    pub mode: u32,
    /// Last modification.
    pub modified_at: Option<Timestamp>,
}

/// The first 100 bytes of the main file: the state as of the last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// WAL or rollback, from the file's read and write version.
    pub journal_mode: JournalMode,
    /// Bytes per page.
    pub page_size: u32,
    /// Pages, as of the last checkpoint; [`Wal::page_count`] is newer where there is one.
    pub page_count: u32,
    /// The application's own schema number.
    pub user_version: i32,
    /// The application's own magic number.
    pub application_id: i32,
    /// `none`, `full` or `incremental`.
    pub auto_vacuum: AutoVacuum,
    /// Counts schema changes.
    pub schema_cookie: u32,
    /// The `SQLite` that last wrote page 1, as in `3.54.1`.
    pub written_by: String,
}

/// How a database keeps its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalMode {
    /// Write-ahead log.
    Wal,
    /// One of the rollback journals (delete, truncate, persist); the file does not say which.
    Rollback,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wal => "wal",
            Self::Rollback => "rollback",
        })
    }
}

/// The file's `auto_vacuum` setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoVacuum {
    /// Free pages stay.
    None,
    /// Free pages are given back at every commit.
    Full,
    /// Free pages are given back on request.
    Incremental,
}

/// The state of the write-ahead log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wal {
    /// Committed frames.
    pub frames: Option<u32>,
    /// Frames that a checkpoint has moved into the main file.
    pub backfilled: Option<u32>,
    /// Committed frames that wait to be moved.
    pub pending: Option<u32>,
    /// The checkpoint sequence in the header of `-wal`. Not a counter that can be compared between looks.
    pub checkpoint_sequence: Option<u32>,
    /// Where the figures come from.
    pub source: WalSource,
    /// Database size in pages as of the newest commit.
    pub page_count: Option<u32>,
    /// Frames for which the file has room; it keeps its peak size until it is truncated.
    pub slots: Option<u32>,
    /// Commit counter of the wal-index; it wraps and restarts at recovery.
    pub commits: Option<u32>,
    /// Read marks 0 to 4; `None` is an unused one. A mark without a lock on its byte is no reader.
    pub read_marks: Option<[Option<u32>; 5]>,
}

/// Where [`Wal`]'s figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalSource {
    /// The wal-index, `-shm`, while somebody holds byte 128.
    Index,
    /// Parsed from `-wal` itself, since nobody vouches for the index; `backfilled` is unknown.
    Log,
}

/// Who holds which lock of a database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Locks {
    /// Holder of the write lock (byte 120; in rollback mode RESERVED or more; with `locking_mode=EXCLUSIVE` its holder).
    pub writer: Option<Holder>,
    /// Holder of the checkpoint lock (byte 121).
    pub checkpointer: Option<Holder>,
    /// Holder of the recovery lock (byte 122).
    pub recoverer: Option<Holder>,
    /// Holder of the whole main file (`locking_mode=EXCLUSIVE`, or a rollback commit).
    pub exclusive: Option<Holder>,
    /// The live readers, slot 0 included.
    pub readers: Vec<Reader>,
    /// Whether anybody holds byte 128 of `-shm`, which every process with the index open does.
    pub index_held: bool,
    /// How far back [`Locks::write_holds`] reaches, in ms; `None` where nothing was sampled.
    pub window_ms: Option<f64>,
    /// The holds of the write lock in the window.
    pub write_holds: Option<WriteHolds>,
}

/// Somebody who holds a lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// `None`: held by a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// For how long it was observed, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// A reader: a lock on a read slot, and the mark in that slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reader {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// Slot 0 to 4; `None` in rollback mode.
    pub slot: Option<u8>,
    /// The frame it is pinned at (0 for slot 0: it ignores the log). Where several share a slot it is a lower bound.
    pub frame: Option<u32>,
    /// For how long it was observed at this slot and frame, in ms: at least that long.
    pub held_ms: Option<f64>,
}

/// The holds of the write lock that were sampled in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteHolds {
    /// How many there were, the current one included.
    pub count: u64,
    /// Median length in ms.
    pub p50_ms: f64,
    /// 99th percentile in ms.
    pub p99_ms: f64,
    /// The longest in ms.
    pub max_ms: f64,
    /// Share of the window in which the lock was held, 0 to 1.
    pub held_ratio: f64,
    /// The same by process, most time first.
    pub by_process: Vec<ProcessHolds>,
}

/// One process's part of [`WriteHolds`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessHolds {
    /// `None`: a process that cannot be seen from here.
    pub pid: Option<i32>,
    /// How many holds.
    pub count: u64,
    /// The longest in ms.
    pub max_ms: f64,
    /// All of them together in ms.
    pub total_ms: f64,
}

/// A process that has the database open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// When it started. A PID alone is reused; PID and start are not.
    pub started_at: Option<Timestamp>,
    /// Start time in clock ticks since boot, exactly as the kernel keeps it.
    pub start_ticks: Option<u64>,
    /// Short name as the kernel keeps it.
    pub name: String,
    /// Executable and arguments; empty where they cannot be read.
    pub command: Vec<String>,
    /// Name of the user it runs as, or the number where it has no name.
    pub user: Option<String>,
    /// User id it runs as.
    pub uid: Option<u32>,
    /// Parent's process id.
    pub parent: Option<i32>,
    /// What it does at the moment.
    pub state: ProcessState,
    /// CPU in percent of one core since the look before; `None` at the first look.
    pub cpu_percent: Option<f32>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Descriptors on the three files; `None` where its descriptors cannot be read.
    pub handles: Option<Handles>,
    /// Whether every descriptor it has on the main file is read-only.
    pub read_only: Option<bool>,
    /// Whether a descriptor it has on `-shm` is read-only.
    pub index_read_only: Option<bool>,
    /// Whether it maps the main file (`mmap_size` above 0).
    pub maps_database: Option<bool>,
    /// Whether it maps `-shm`.
    pub maps_index: Option<bool>,
    /// Whether it holds a lock on byte 128 of `-shm`.
    pub holds_index: bool,
    /// Files of an older generation that it still has open: deleted or replaced under it.
    pub replaced: Vec<String>,
    /// The locks it holds beyond what any idle connection holds.
    pub holds: Vec<Hold>,
    /// Whether it is stale; `None` where that was not judged.
    pub stale: Option<Stale>,
}

impl Process {
    /// Whether it has the main file open, or must have, since it holds locks on it.
    #[must_use]
    pub fn has_main_file(&self) -> bool {
        self.handles.as_ref().is_none_or(|handles| handles.db > 0)
    }

    /// The command line in one string, or the short name in brackets where it has none.
    #[must_use]
    pub fn command_line(&self) -> String {
        if self.command.is_empty() { format!("[{}]", self.name) } else { self.command.join(" ") }
    }

    /// Whether a signal or a tracer has stopped it, so that it cannot give a lock back.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ProcessState::Stopped | ProcessState::Traced)
    }
}

/// Scheduler state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// On a processor, or about to be.
    Running,
    /// Waiting for an event.
    Sleeping,
    /// Waiting for the disk.
    DiskSleep,
    /// Stopped by a signal (state T).
    Stopped,
    /// Stopped by a tracer (state t).
    Traced,
    /// Ended, not yet collected.
    Zombie,
    /// An idle kernel thread.
    Idle,
    /// Ending.
    Dead,
    /// Not known here.
    Unknown,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::DiskSleep => "disk sleep",
            Self::Stopped => "stopped",
            Self::Traced => "traced",
            Self::Zombie => "zombie",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        })
    }
}

/// How many descriptors a process has on each of the three files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handles {
    /// On the main file.
    pub db: u32,
    /// On `-wal`.
    pub wal: u32,
    /// On `-shm`.
    pub shm: u32,
}

/// A lock that says something about what a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Hold {
    /// Byte 120: a write transaction (or a checkpoint that blocks writers).
    Write,
    /// Byte 121: a checkpoint.
    Checkpoint,
    /// Byte 122: recovery of the wal-index.
    Recover,
    /// Bytes 123 to 127: a reader in slot 0 to 4.
    Read(u8),
    /// Main file, rollback mode: a read transaction.
    Shared,
    /// Main file: a writer that has not begun to commit.
    Reserved,
    /// Main file: a committer that waits for readers.
    Pending,
    /// Main file: exclusive.
    Exclusive,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write => f.write_str("write"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Recover => f.write_str("recover"),
            Self::Read(slot) => write!(f, "read:{slot}"),
            Self::Shared => f.write_str("shared"),
            Self::Reserved => f.write_str("reserved"),
            Self::Pending => f.write_str("pending"),
            Self::Exclusive => f.write_str("exclusive"),
        }
    }
}

impl From<Hold> for String {
    fn from(hold: Hold) -> Self {
        hold.to_string()
    }
}

impl TryFrom<String> for Hold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(match text.as_str() {
            "write" => Self::Write,
            "checkpoint" => Self::Checkpoint,
            "recover" => Self::Recover,
            "shared" => Self::Shared,
            "reserved" => Self::Reserved,
            "pending" => Self::Pending,
            "exclusive" => Self::Exclusive,
            other => {
                let slot = other.strip_prefix("read:").and_then(|slot| slot.parse().ok());
                Self::Read(slot.ok_or_else(|| format!("no such lock: {other}"))?)
            }
        })
    }
}

/// The verdict on a process that nobody seems to need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// At least one cause holds, and nothing protects it.
    pub is_stale: bool,
    /// The causes, each with its evidence.
    pub causes: Vec<Cause>,
    /// Why it is left alone all the same.
    pub protected: Option<String>,
}

/// One cause of staleness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Its name.
    pub cause: String,
    /// What was seen.
    pub evidence: String,
}

/// Pragma compliance with a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pragmas {
    /// The profile's name.
    pub profile: String,
    /// One row for each value and its owner.
    pub rows: Vec<PragmaRow>,
}

/// One pragma's value, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PragmaRow {
    /// The pragma.
    pub name: String,
    /// What the profile asks for; `None` where it does not care.
    pub expected: Option<String>,
    /// What it is; `None` where nobody can know.
    pub actual: Option<String>,
    /// Whose value it is.
    pub source: PragmaSource,
    /// Whether it complies; `None` where that cannot be told.
    pub ok: Option<bool>,
    /// A word more: who was seen doing it, or why it is unknown.
    pub note: Option<String>,
}

/// Whose value a [`PragmaRow`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PragmaSource {
    /// Kept in the file, read from its header.
    File,
    /// What our own factory's connection reports.
    Connection,
    /// What a client that sets nothing gets, as documented by `SQLite`.
    NewClient,
    /// Seen of other processes from outside.
    Observed,
}

impl fmt::Display for PragmaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Connection => "our client",
            Self::NewClient => "new client",
            Self::Observed => "seen",
        })
    }
}

/// An ingestion, folded from its journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ingestion {
    /// The run's name: that of its journal.
    pub run: String,
    /// The process that runs or ran it.
    pub pid: i32,
    /// Start of that process in clock ticks since boot; with the PID it names the process.
    pub start_ticks: Option<u64>,
    /// How it stands.
    pub state: IngestionState,
    /// The folders it takes in.
    pub folders: Vec<String>,
    /// Files to take in; `None` until they are counted.
    pub files_total: Option<u64>,
    /// Files that are in, or were unchanged.
    pub files_done: u64,
    /// Files of [`Ingestion::files_done`] that needed no write.
    pub files_unchanged: u64,
    /// Files that could not be taken in.
    pub files_failed: u64,
    /// Batches committed.
    pub batches: u64,
    /// Files in the newest batch.
    pub batch_size: Option<u64>,
    /// Lock holds of the batches.
    pub hold_ms: Option<Spread>,
    /// Waits for the lock.
    pub wait_ms: Option<Spread>,
    /// How often `SQLITE_BUSY` was retried.
    pub busy_retries: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The newest batches' holds in ms, oldest first, at most [`Ingestion::RECENT`].
    pub recent_holds_ms: Vec<f64>,
    /// The first failures, at most [`Ingestion::RECENT`].
    pub failures: Vec<FailedFile>,
    /// Why it ended early, where it did.
    pub error: Option<String>,
}

impl Ingestion {
    /// How many batches and failures an ingestion carries along.
    pub const RECENT: usize = 64;

    /// Whether its process is at work.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == IngestionState::Running
    }
}

/// A file that an ingestion could not take in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// How an ingestion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestionState {
    /// Its process lives and it has not ended.
    Running,
    /// Everything is in, failed files aside.
    Completed,
    /// Somebody asked it to end after a batch.
    Stopped,
    /// It ended with an error.
    Failed,
    /// It has no end, and its process is gone.
    Crashed,
}

impl fmt::Display for IngestionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        })
    }
}

/// Median, 99th percentile and maximum of a set of durations, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99th percentile (nearest rank).
    pub p99: f64,
    /// Longest.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, which need not be sorted; `None` where there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { p50: percentile(&sorted, 50)?, p99: percentile(&sorted, 99)?, max: *sorted.last()? })
    }
}

/// The nearest-rank percentile of `sorted`; `None` where it is empty.
#[must_use]
pub fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Something that is wrong, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the rule.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The process that it is about, where there is one.
    pub pid: Option<i32>,
    /// One sentence for a person.
    pub message: String,
    /// The figures behind the sentence.
    pub evidence: serde_json::Map<String, serde_json::Value>,
    /// What to do.
    pub remedy: Remedy,
}

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will hurt.
    Warning,
    /// Hurts.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What puts a finding right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The console's key, where one does it.
    pub key: Option<String>,
    /// The command that does it.
    pub command: Option<String>,
}

/// A path as text, since JSON has nothing else; what is not text in it is shown by `\u{fffd}`.
pub(crate) fn lossy_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
