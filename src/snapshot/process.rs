//! The processes that have a database open.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PairingFacts, ProcessOrigin, StaleVerdict};
use crate::paths::FileId;

/// A process, named so that no other of this boot can be mistaken for it: a PID alone is reused.
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
    pub parent: Option<i32>,
    /// What it does at the moment.
    pub state: ProcessState,
    /// CPU in percent of one core since the look before; `None` at the first look.
    pub cpu_percent: Option<f32>,
    pub memory_bytes: Option<u64>,
    /// Descriptors on the three files; `None` where its descriptors cannot be read.
    pub handles: Option<HandleCounts>,
    /// Whether every descriptor it has on the main file is read-only.
    pub read_only: Option<bool>,
    /// Whether a descriptor it has on `-shm` is read-only.
    pub index_read_only: Option<bool>,
    /// Whether it maps the main file (`mmap_size` above 0).
    pub maps_database: Option<bool>,
    /// Temporary files of SQLite that it has open on disk, of whichever database; `None` where they cannot be seen, or
    /// where a file without a name may be one.
    #[serde(default)]
    pub temp_files: Option<u32>,
    /// Whether it maps `-shm`.
    pub maps_index: Option<bool>,
    /// Whether it holds a lock on byte 128 of `-shm`.
    pub holds_index: bool,
    /// Files of an older generation that it still has open: deleted or replaced under it.
    pub replaced: Vec<String>,
    /// Those of `replaced` that hold data and have no name left in any folder: the data ends with the last process that
    /// has them open. An index holds none.
    #[serde(default)]
    pub deleted: Vec<String>,
    /// Where those files lie now that were moved away from their paths, as the kernel names them.
    #[serde(default)]
    pub moved_to: Vec<String>,
    /// The locks it holds beyond what any idle connection holds.
    pub holds: Vec<LockHold>,
    /// Which log and index it uses.
    #[serde(default)]
    pub pairing: PairingFacts,
    #[serde(default)]
    pub origin: ProcessOrigin,
    /// What it has done, and for how long nothing.
    #[serde(default)]
    pub activity: ProcessActivity,
    /// Whether it is stale; `None` where that was not judged.
    pub stale: Option<StaleVerdict>,
    /// The program that ran in it. Only a process that signals compares it, so it is not part of the JSON.
    #[serde(skip)]
    pub program: ProgramSample,
}

/// The program that a sample found in a process. An execve(2) changes it, while PID and start stay the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramSample {
    /// The file that runs (`/proc/PID/exe`); `None` where it cannot be read.
    pub executable: Option<FileId>,
    /// The files of the database on which it had descriptors, deleted and replaced ones included; `None` where its
    /// descriptors cannot be read.
    pub files: Option<Vec<FileId>>,
}

/// What a process has done, and for how long it has done nothing: measured from look to look, so "at least".
#[derive(Debug, Clone, Copy, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessActivity {
    /// CPU time that it has used, its children's aside, in clock ticks.
    pub cpu_ticks: Option<u64>,
    /// For how long it has used no tick of CPU time, in ms; `None` where no two looks can be compared.
    pub cpu_idle_ms: Option<f64>,
    /// For how long it has also held no lock of a transaction when looks or samples saw the locks, and its children
    /// with a database open have done nothing either, in ms.
    pub idle_ms: Option<f64>,
    /// For how long the looks of this waltop have covered it, in ms.
    pub watched_ms: Option<f64>,
}

impl Process {
    /// The process `pid`, of which nothing but its name is known yet.
    pub fn unknown(pid: i32, name: String) -> Self {
        Self {
            pid,
            started_at: None,
            start_ticks: None,
            name,
            command: Vec::new(),
            user: None,
            uid: None,
            parent: None,
            state: ProcessState::Unknown,
            cpu_percent: None,
            memory_bytes: None,
            handles: None,
            read_only: None,
            index_read_only: None,
            maps_database: None,
            temp_files: None,
            maps_index: None,
            holds_index: false,
            replaced: Vec::new(),
            deleted: Vec::new(),
            moved_to: Vec::new(),
            holds: Vec::new(),
            pairing: PairingFacts::default(),
            origin: ProcessOrigin::default(),
            activity: ProcessActivity::default(),
            stale: None,
            program: ProgramSample::default(),
        }
    }

    /// Whether it has the main file open, or must have, since it holds locks on it.
    pub fn has_main_file(&self) -> bool {
        self.handles.as_ref().is_none_or(|handles| handles.db > 0)
    }

    /// Whether it uses the database: it has the main file open, and does more than read files.
    pub fn is_client(&self) -> bool {
        self.has_main_file() && !self.only_reads_files()
    }

    /// Whether it is a program that reads the files, as a backup does, and no SQLite client that can be seen.
    pub fn only_reads_files(&self) -> bool {
        self.pairing.only_reads_files == Some(true)
    }

    /// The command line in one string, or the short name in brackets where it has none.
    pub fn command_line(&self) -> String {
        if self.command.is_empty() { format!("[{}]", self.name) } else { self.command.join(" ") }
    }

    /// `None` where its start is not known.
    pub fn identity(&self) -> Option<ProcessId> {
        self.start_ticks.map(|start_ticks| ProcessId { pid: self.pid, start_ticks })
    }

    /// Whether it was judged to be stale, and nothing protects it.
    pub fn is_stale(&self) -> bool {
        self.stale.as_ref().is_some_and(|stale| stale.is_stale)
    }

    /// Whether a signal or a tracer has stopped it, so that it cannot give a lock back.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ProcessState::Stopped | ProcessState::Traced)
    }
}

/// Scheduler state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// On a processor, or about to be.
    Running,
    Sleeping,
    DiskSleep,
    /// Stopped by a signal (state T).
    Stopped,
    /// Stopped by a tracer (state t).
    Traced,
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
            Self::Zombie => "zombie",
            Self::Idle => "idle",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        })
    }
}

/// How many descriptors a process has on each of the three files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HandleCounts {
    pub db: u32,
    /// On `-wal`.
    pub wal: u32,
    /// On `-shm`.
    pub shm: u32,
}

/// A lock that says something about what a process does.
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
    /// Main file: a writer that has not begun to commit.
    Reserved,
    /// Main file: a committer that waits for readers.
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
