//! The lines of a recording.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    history::{LockOwner, SampledLock},
    snapshot::{ActivityClass, Database, Finding, FindingKind, IngestedBatch, Process, Snapshot},
};

/// The version of the format. A reader accepts any minor version of its major one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatVersion {
    pub major: u32,
    pub minor: u32,
}

impl FormatVersion {
    /// What this program writes.
    pub const CURRENT: Self = Self { major: 1, minor: 0 };
}

/// One line: what happened, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordingLine<E = RecordingEvent> {
    /// Counts the lines of a folder; never used twice.
    pub seq: u64,
    #[serde(flatten)]
    pub stamp: Stamp,
    /// Whether the times are exact. Otherwise something began at this time or earlier and ended at this time or later.
    #[serde(default)]
    pub exact: bool,
    /// The database, as an index into [`RecordingHeader::databases`]; `None` for a line about all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<usize>,
    #[serde(flatten)]
    pub event: E,
}

/// The event [`RecordingEvent::Snapshot`] without a copy of the sample: most of what is written is samples.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "snapshot")]
pub struct SnapshotEvent<'a> {
    pub snapshot: &'a Snapshot,
}

/// The same with nothing but the sizes of the logs.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "snapshot")]
pub struct LogSizesEvent {
    pub snapshot: LogSizes,
}

/// What finding a line takes, so that the rest of it need not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct LineHead {
    pub seq: u64,
    pub at: Timestamp,
    pub boot_ms: f64,
    pub event: LineKind,
}

/// The kinds of lines that say something about the lines around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    Ended,
    #[serde(other)]
    Other,
}

/// What a line with a snapshot says of the logs.
#[derive(Debug, Deserialize)]
pub struct LogLine {
    pub at: Timestamp,
    pub snapshot: LogSizes,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LogSizes {
    pub databases: Vec<LogSize>,
}

/// The log of a database, by the names of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogSize {
    pub path: PathBuf,
    pub files: LogFile,
    pub wal: Option<LogFrames>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LogFile {
    pub wal: Option<LogBytes>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LogBytes {
    pub bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct LogFrames {
    /// Frames that are not checkpointed.
    pub pending: Option<u32>,
}

impl LogLine {
    /// What a line with `snapshot` of the time `at` says of the logs.
    pub fn of(at: Timestamp, snapshot: &Snapshot) -> Self {
        let size = |database: &Database| LogSize {
            path: database.path.clone(),
            files: LogFile { wal: database.files.wal.as_ref().map(|wal| LogBytes { bytes: wal.bytes }) },
            wal: database.wal.as_ref().map(|wal| LogFrames { pending: wal.pending }),
        };
        Self { at, snapshot: LogSizes { databases: snapshot.databases.iter().map(size).collect() } }
    }

    /// The bytes of the log of the database at `path`.
    pub fn bytes(&self, path: &Path) -> Option<u64> {
        let its = self.snapshot.databases.iter().find(|it| it.path == path)?;
        Some(its.files.wal.as_ref()?.bytes)
    }
}

/// A time on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// The wall clock, which may be set.
    pub at: Timestamp,
    /// Milliseconds since boot, with the time of sleep.
    pub boot_ms: f64,
}

/// What a line is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RecordingEvent {
    /// The first line of each frame and of each start.
    Header(RecordingHeader),
    /// Everything in one sample.
    Snapshot {
        snapshot: Box<Snapshot>,
    },
    /// A hold that goes on at the time of a sample. One that ends before the next sample has one line, at its end.
    HoldBegun {
        lock: SampledLock,
        who: RecordedProcess,
    },
    HoldEnded {
        lock: SampledLock,
        who: RecordedProcess,
        began: Timestamp,
        held_ms: f64,
    },
    /// A wait for the write lock, at its end.
    Waited {
        who: RecordedProcess,
        began: Timestamp,
        waited_ms: f64,
        got: bool,
    },
    /// A process that sleeps as a waiting writer does, while another one holds the write lock.
    MayWaitBegun {
        who: RecordedProcess,
    },
    MayWaitEnded {
        who: RecordedProcess,
    },
    /// A reader that keeps frames in the log.
    PinBegun {
        who: RecordedProcess,
        frame: Option<u32>,
    },
    PinEnded {
        who: RecordedProcess,
        pinned_ms: f64,
    },
    /// What the holder of a lock did.
    Activity {
        who: RecordedProcess,
        class: ActivityClass,
    },
    /// A finding, and again when its severity changes.
    FindingOn {
        finding: Box<Finding>,
    },
    FindingOff {
        kind: FindingKind,
        pid: Option<i32>,
        lasted_ms: f64,
    },
    ProcessSeen {
        process: Box<Process>,
    },
    ProcessGone {
        who: RecordedProcess,
    },
    /// Another file is at the path of a database file.
    FileReplaced {
        path: String,
    },
    /// A batch that an ingestion committed.
    Batch {
        run: String,
        pid: i32,
        batch: IngestedBatch,
    },
    /// A time without samples. Nothing is known of it.
    Gap {
        from: Timestamp,
        to: Timestamp,
        reason: GapReason,
    },
    /// The recorder ended by itself.
    Ended,
    /// An event of a later minor version.
    #[serde(other)]
    Unknown,
}

impl RecordingEvent {
    /// Whether its time may lie before the recorder's start: it is the beginning of what went on then.
    pub fn is_beginning(&self) -> bool {
        matches!(self, Self::HoldBegun { .. } | Self::MayWaitBegun { .. } | Self::PinBegun { .. })
    }
}

/// What a reader needs to know of the lines that follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingHeader {
    pub format: FormatVersion,
    /// Version of the program.
    pub waltop: String,
    pub host: String,
    /// The boot of the system: PIDs, start times and `boot_ms` are comparable within one.
    pub boot_id: String,
    /// Inode of the PID namespace in which PIDs are counted; `None` if it is unknown.
    pub pid_namespace: Option<u64>,
    /// Time between two samples in ms.
    pub every_ms: u64,
    /// Time between two samples of the locks in ms; `None` if the kernel's trace shows each request, or if unknown.
    pub lock_interval_ms: Option<f64>,
    /// Absolute paths.
    pub databases: Vec<String>,
}

/// A process, as a line names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
pub struct RecordedProcess {
    /// `None`: it is not visible.
    pub pid: Option<i32>,
    /// Its start in clock ticks since boot.
    pub start: Option<u64>,
    /// Its label.
    pub name: String,
}

impl RecordedProcess {
    /// The process `pid` of `database`; one that is not among its processes is called `label`.
    pub fn of(database: &Database, pid: Option<i32>, label: Option<&str>) -> Self {
        let process = pid.and_then(|pid| database.process(pid));
        let unknown = || Self { pid, start: None, name: label.unwrap_or_default().to_owned() };
        process.map_or_else(unknown, Self::from)
    }
}

impl From<&LockOwner> for RecordedProcess {
    fn from(owner: &LockOwner) -> Self {
        Self { pid: owner.pid, start: owner.start_ticks, name: owner.name.clone() }
    }
}

impl From<&Process> for RecordedProcess {
    fn from(process: &Process) -> Self {
        Self { pid: Some(process.pid), start: process.start_ticks, name: process.label.clone() }
    }
}

impl From<&RecordedProcess> for LockOwner {
    fn from(process: &RecordedProcess) -> Self {
        Self { pid: process.pid, start_ticks: process.start, name: process.name.clone(), ..Self::default() }
    }
}

/// Why a time was not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The recorder had ended by itself.
    NotRunning,
    /// The recorder was killed, or the machine lost power.
    Killed,
    /// The machine slept.
    Suspended,
    /// The recorder got no processor: it was stopped, or the machine was overloaded.
    NotScheduled,
    /// There was no room on the disk, or a write failed.
    DiskFull,
    /// The kernel overwrote requests before they were read, or a file was recreated.
    TraceOverrun,
    /// There were more events than can wait for the next sample.
    TooManyEvents,
    /// The connection to the host was lost or too slow.
    Link,
    /// Of a later minor version.
    #[serde(other)]
    Unknown,
}

impl RecordingHeader {
    /// The index of the database at `path`.
    pub fn database(&self, path: &Path) -> Option<usize> {
        self.databases.iter().position(|it| Path::new(it) == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::fixture, json};

    fn line<E>(event: E) -> RecordingLine<E> {
        let at = "2026-11-30T03:12:07Z".parse().expect("a time");
        RecordingLine { seq: 7, stamp: Stamp { at, boot_ms: 2.5 }, exact: true, db: None, event }
    }

    #[test]
    fn a_sample_is_written_as_the_event_that_a_reader_expects() {
        let snapshot = fixture::snapshot(vec![fixture::live()]);
        let borrowed = json::line(&line(SnapshotEvent { snapshot: &snapshot })).expect("JSON");
        let event = RecordingEvent::Snapshot { snapshot: Box::new(snapshot) };
        assert_eq!(borrowed, json::line(&line(event)).expect("JSON"));
        let log: LogLine = serde_json::from_str(&borrowed).expect("a line");
        let (read, live) = (&log.snapshot.databases[0], fixture::live());
        assert_eq!(read.path, live.path);
        assert_eq!(read.files.wal.as_ref().map(|it| it.bytes), live.files.wal.map(|it| it.bytes));
        assert_eq!(read.wal.as_ref().map(|it| it.pending), live.wal.map(|it| it.pending));
        let read: RecordingLine = serde_json::from_str(&borrowed).expect("a line");
        assert!(matches!(read.event, RecordingEvent::Snapshot { .. }));
    }

    #[test]
    fn the_head_of_a_line_is_that_of_the_whole_line() {
        for (event, kind) in
            [(RecordingEvent::Ended, LineKind::Ended), (RecordingEvent::Unknown, LineKind::Other)]
        {
            let whole = line(event);
            let text = json::line(&whole).expect("JSON");
            let head: LineHead = serde_json::from_str(&text).expect("a head");
            assert_eq!(head, LineHead { seq: whole.seq, at: whole.stamp.at, boot_ms: 2.5, event: kind });
        }
    }
}
