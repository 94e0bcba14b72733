//! The processes that have a database open.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    HolderActivity, PairingFacts, ProcessLimits, ProcessOrigin, SqliteLibrary, StaleVerdict, TemporaryFolder,
    label,
};
use crate::paths::FileId;

/// Identifies a process among all of this boot: PIDs alone are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    pub pid: i32,
    /// Start in clock ticks since boot.
    pub start_ticks: u64,
}

/// A process that has the database open.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Its PID in its own PID namespace; `None` if that is the one of waltop.
    #[serde(default)]
    pub inner_pid: Option<i32>,
    /// When it started. A PID alone is reused; PID and start together are not.
    pub started_at: Option<Timestamp>,
    /// Start time in clock ticks since boot, exactly as the kernel keeps it.
    pub start_ticks: Option<u64>,
    /// Short name as the kernel keeps it.
    pub name: String,
    /// What it is called: the name of its daemon rule, else its script, else its program.
    #[serde(default)]
    pub label: String,
    /// Executable and arguments; empty if they cannot be read.
    pub command: Vec<String>,
    /// Name of the user it runs as, or the number if it has no name.
    pub user: Option<String>,
    /// User id it runs as.
    pub uid: Option<u32>,
    pub parent: Option<i32>,
    /// Its current state.
    pub state: ProcessState,
    /// How many threads it has; `None` if that is unknown.
    #[serde(default)]
    pub threads: Option<u64>,
    /// CPU in percent of one core since the previous sample; `None` in the first one.
    pub cpu_percent: Option<f32>,
    pub memory_bytes: Option<u64>,
    /// Bytes per second that it writes to disks, to whatever file. `None` if this user may not know, if it cannot write to
    /// the database, and unless samples are taken for a second or more.
    #[serde(default)]
    pub write_rate: Option<f64>,
    /// Bytes that it has read since its start, from whatever file. `None` if its command line names no copy page by page,
    /// and if this user may not know.
    #[serde(default)]
    pub read_bytes: Option<u64>,
    /// How much room it has left; `None` if its limits cannot be read.
    #[serde(default)]
    pub limits: Option<ProcessLimits>,
    /// Where SQLite in it creates temporary files; `None` if its environment cannot be read.
    #[serde(default)]
    pub temp_folder: Option<TemporaryFolder>,
    /// Descriptors on the database files; `None` if its descriptors cannot be read.
    pub handles: Option<HandleCounts>,
    /// Whether all its descriptors on the main file are read-only.
    pub read_only: Option<bool>,
    /// Whether one of its descriptors on `-shm` is read-only.
    pub index_read_only: Option<bool>,
    /// Whether it maps the main file (`mmap_size` above 0).
    pub maps_database: Option<bool>,
    /// SQLite's temporary files that it has open on disk, for any database; `None` if they are not visible, or if an
    /// unnamed file may be one.
    #[serde(default)]
    pub temp_files: Option<u32>,
    /// Bytes of those of them that are certainly SQLite's; `None` if they are not visible.
    #[serde(default)]
    pub temp_bytes: Option<u64>,
    /// Whether it maps `-shm`.
    pub maps_index: Option<bool>,
    /// Whether it holds a lock on byte 128 of `-shm`.
    pub holds_index: bool,
    /// Files of an older generation that it still has open: deleted or replaced while open.
    pub replaced: Vec<String>,
    /// Those of `replaced` that contain data and have no name left in any folder: the data is lost when the last
    /// process closes them. An index contains none.
    #[serde(default)]
    pub deleted: Vec<String>,
    /// Bytes of the files in `deleted`.
    #[serde(default)]
    pub deleted_bytes: u64,
    /// Current paths of files that were moved away from their paths, as the kernel names them.
    #[serde(default)]
    pub moved_to: Vec<String>,
    /// Its locks beyond those of any idle connection.
    pub holds: Vec<LockHold>,
    /// The log and index that it uses.
    #[serde(default)]
    pub pairing: PairingFacts,
    /// The SQLite library that it has mapped; `None` if that is not known yet, or cannot be known.
    #[serde(default)]
    pub sqlite: Option<SqliteLibrary>,
    /// Further SQLite libraries that it has mapped, as a program with SQLite built in has that loads another one. Which of
    /// them has the database open is not visible.
    #[serde(default)]
    pub other_sqlite: Vec<SqliteLibrary>,
    #[serde(default)]
    pub origin: ProcessOrigin,
    /// Its past activity, and how long it has been idle.
    #[serde(default)]
    pub idleness: ProcessIdleness,
    /// What it did in the last minute while it held a lock or pinned the log; `None` if it was not sampled then.
    #[serde(default)]
    pub activity: Option<HolderActivity>,
    /// Whether it is stale; `None` if that was not judged.
    pub stale: Option<StaleVerdict>,
    /// The program that it ran. Only the code that sends signals compares it, so it is not part of the JSON.
    #[serde(skip)]
    pub program: ProgramSample,
}

/// The program of a process at the time of a sample. An execve(2) changes it, while PID and start stay the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramSample {
    /// The file that runs (`/proc/PID/exe`); `None` if it cannot be read.
    pub executable: Option<FileId>,
    /// The files of the database on which it had descriptors, deleted and replaced ones included; `None` if its
    /// descriptors cannot be read.
    pub files: Option<Vec<FileId>>,
}

/// The activity of a process, and how long it has been idle: measured from sample to sample, so "at least".
#[derive(Debug, Clone, Copy, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessIdleness {
    /// CPU time that it has used, without its children's, in clock ticks.
    pub cpu_ticks: Option<u64>,
    /// How long it has used no tick of CPU time, in ms; `None` if no two samples can be compared.
    pub cpu_idle_ms: Option<f64>,
    /// How long, in ms, it has also held no transaction lock in any sample, and its children with a database open have
    /// been idle too.
    pub idle_ms: Option<f64>,
    /// How long this waltop's samples have covered it, in ms.
    pub watched_ms: Option<f64>,
}

impl Process {
    /// The process `pid`, of which nothing but its name is known yet.
    pub fn unknown(pid: i32, name: String) -> Self {
        Self {
            pid,
            inner_pid: None,
            started_at: None,
            start_ticks: None,
            label: label::label(&name, &[]),
            name,
            command: Vec::new(),
            user: None,
            uid: None,
            parent: None,
            state: ProcessState::Unknown,
            threads: None,
            cpu_percent: None,
            memory_bytes: None,
            write_rate: None,
            read_bytes: None,
            limits: None,
            temp_folder: None,
            handles: None,
            read_only: None,
            index_read_only: None,
            maps_database: None,
            temp_files: None,
            temp_bytes: None,
            maps_index: None,
            holds_index: false,
            replaced: Vec::new(),
            deleted: Vec::new(),
            deleted_bytes: 0,
            moved_to: Vec::new(),
            holds: Vec::new(),
            pairing: PairingFacts::default(),
            sqlite: None,
            other_sqlite: Vec::new(),
            origin: ProcessOrigin::default(),
            idleness: ProcessIdleness::default(),
            activity: None,
            stale: None,
            program: ProgramSample::default(),
        }
    }

    /// Whether it has the main file open, or must have, because it holds locks on it.
    pub fn has_main_file(&self) -> bool {
        self.handles.as_ref().is_none_or(|handles| handles.db > 0)
    }

    /// Whether it uses the database: it has the main file open, and does more than read files.
    pub fn is_client(&self) -> bool {
        self.has_main_file() && !self.only_reads_files()
    }

    /// Whether it is a program that reads the files, as a backup does, and not a visible SQLite client.
    pub fn only_reads_files(&self) -> bool {
        self.pairing.only_reads_files == Some(true)
    }

    /// All SQLite libraries that it has mapped, as far as they are known.
    pub fn sqlite_libraries(&self) -> impl Iterator<Item = &SqliteLibrary> {
        self.sqlite.iter().chain(&self.other_sqlite)
    }

    /// Whether its command line asks the sqlite3 shell for a copy page by page.
    pub fn copies_by_page(&self) -> bool {
        let is_copy = |word: &String| [".backup", ".save"].iter().any(|it| word.trim_start().starts_with(it));
        label::is_shell_of_databases(&self.name) && self.command.iter().skip(1).any(is_copy)
    }

    /// Its PID and label, as sentences name it: `71168 (holder.py)`.
    pub fn who(&self) -> String {
        format!("{} ({})", self.pid, self.label)
    }

    /// The command line in one string, or the short name in brackets if it has none.
    pub fn command_line(&self) -> String {
        label::command_line(&self.name, &self.command)
    }

    /// `None` if its start is unknown.
    pub fn identity(&self) -> Option<ProcessId> {
        self.start_ticks.map(|start_ticks| ProcessId { pid: self.pid, start_ticks })
    }

    /// Whether it was judged to be stale, and nothing protects it.
    pub fn is_stale(&self) -> bool {
        self.stale.as_ref().is_some_and(|stale| stale.is_stale)
    }

    /// Whether a signal or a tracer has stopped it, or its control group is frozen, so that it cannot release a lock.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ProcessState::Stopped | ProcessState::Traced | ProcessState::Frozen)
    }
}

/// Scheduler state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// On a processor, or waiting for one.
    Running,
    Sleeping,
    DiskSleep,
    /// Stopped by a signal (state T).
    Stopped,
    /// Stopped by a tracer (state t).
    Traced,
    /// Frozen with its control group. Of processes that hold no lock this is not known.
    Frozen,
    Zombie,
    Idle,
    Dead,
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
            Self::Frozen => "frozen",
            Self::Zombie => "zombie",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        })
    }
}

/// Descriptors of a process on each of the database files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HandleCounts {
    pub db: u32,
    /// On `-wal`.
    pub wal: u32,
    /// On `-shm`.
    pub shm: u32,
}

/// A lock that shows what a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum LockHold {
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
    /// Main file: a writer that has not started to commit.
    Reserved,
    /// Main file: a commit that waits for readers.
    Pending,
    Exclusive,
}

impl fmt::Display for LockHold {
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

impl From<LockHold> for String {
    fn from(hold: LockHold) -> Self {
        hold.to_string()
    }
}

impl TryFrom<String> for LockHold {
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
