//! Problems, and their remedies.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// A problem, with its evidence.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Finding {
    #[serde(rename = "name")]
    pub kind: FindingKind,
    pub severity: Severity,
    /// The process that it is about, if there is one.
    pub pid: Option<i32>,
    /// The label of that process.
    #[serde(default)]
    pub label: Option<String>,
    /// One sentence for the user.
    pub message: String,
    /// The figures behind the sentence.
    pub evidence: serde_json::Map<String, serde_json::Value>,
    pub remedy: Remedy,
}

impl Finding {
    /// `pinned-wal 4826 (report)`: the kind and the process.
    pub fn title(&self) -> String {
        let kind = self.kind;
        match (self.pid, &self.label) {
            (Some(pid), Some(label)) => format!("{kind} {pid} ({label})"),
            (Some(pid), None) => format!("{kind} {pid}"),
            (None, _) => kind.to_string(),
        }
    }
}

macro_rules! finding_kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// The kinds of problems. Among findings of equal severity, those of an earlier kind come first, and the
        /// documents list them in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
        pub enum FindingKind {
            $(#[serde(rename = $name)] $kind,)*
        }

        impl FindingKind {
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name in JSON, text and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The page that explains it, Markdown in lines of at most 78 columns.
            pub const fn page(self) -> &'static str {
                match self { $(Self::$kind => include_str!(concat!("../../assets/findings/", $name, ".md")),)* }
            }
        }
    };
}

finding_kinds! {
    SplitWal = "split-wal",
    LostLocks = "lost-locks",
    ForkedConnection = "forked-connection",
    OtherLog = "other-log",
    OverlayUpper = "overlay-upper",
    MismatchedFiles = "mismatched-files",
    DamagedHeader = "damaged-header",
    StoppedHolder = "stopped-holder",
    CrossedLocks = "crossed-locks",
    LongWriteLock = "long-write-lock",
    BusyLock = "busy-lock",
    LongCheckpoint = "long-checkpoint",
    ContendedPool = "contended-pool",
    SlowDisk = "slow-disk",
    ExclusiveMode = "exclusive-mode",
    LockBeside = "lock-beside",
    RefusedWriters = "refused-writers",
    DiskLow = "disk-low",
    UnsafeFilesystem = "unsafe-filesystem",
    PinnedWal = "pinned-wal",
    WalStarved = "wal-starved",
    LargeWal = "large-wal",
    CommitStorm = "commit-storm",
    DoubtfulLog = "doubtful-log",
    HotJournal = "hot-journal",
    ForeignOwner = "foreign-owner",
    RollbackJournal = "rollback-journal",
    PragmaMismatch = "pragma-mismatch",
    MappedDatabase = "mapped-database",
    ManyHandles = "many-handles",
    ProcessLimit = "process-limit",
    RestartedCopy = "restarted-copy",
    RestartLoop = "restart-loop",
    CrashedIngestion = "crashed-ingestion",
    StalledIngestion = "stalled-ingestion",
    SlowBatch = "slow-batch",
    FailedFiles = "failed-files",
    ReadonlyTrap = "readonly-trap",
    OldSnapshot = "old-snapshot",
    OutdatedReader = "outdated-reader",
    UnreadLog = "unread-log",
    StaleDaemon = "stale-daemon",
    DuplicateDaemon = "duplicate-daemon",
    OutlivedSession = "outlived-session",
    DeadPidfile = "dead-pidfile",
    WalResetBug = "wal-reset-bug",
    BareClient = "bare-client",
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding {name}; the nearest is {nearest}, and waltop explain lists them all")]
pub struct UnknownFinding {
    pub name: String,
    pub nearest: &'static str,
}

impl FromStr for FindingKind {
    type Err = UnknownFinding;

    fn from_str(name: &str) -> Result<Self, UnknownFinding> {
        let kind = Self::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
        kind.copied().ok_or_else(|| {
            let nearest = text::nearest(name, Self::ALL.iter().map(|kind| kind.as_str())).unwrap_or_default();
            UnknownFinding { name: name.to_owned(), nearest }
        })
    }
}

/// The severity of a finding; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
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

/// What the console can do about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemedyAction {
    StopProcess,
    /// Send SIGCONT to a stopped process.
    ContinueProcess,
    Checkpoint,
    /// Change what the file keeps.
    Fix,
    /// Run the ingestion again.
    Ingest,
    /// Stop the ingestion after its current batch.
    StopIngestion,
}

/// What resolves a finding.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Remedy {
    /// The console's action, if it has one.
    pub action: Option<RemedyAction>,
    /// The command for it.
    pub command: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_in_json_and_text() {
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
            assert_eq!(serde_json::from_value::<FindingKind>(kind.as_str().into()).expect("a kind"), *kind);
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert_eq!("Pinned-WAL".parse(), Ok(FindingKind::PinnedWal));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        for (wrong, nearest) in
            [("pined-wal", "pinned-wal"), ("stale", "stale-daemon"), ("lostlocks", "lost-locks")]
        {
            let error = wrong.parse::<FindingKind>().expect_err("no such finding");
            assert_eq!(error, UnknownFinding { name: wrong.to_owned(), nearest });
        }
    }
}
