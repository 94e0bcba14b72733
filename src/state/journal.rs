//! The lines of an ingestion's journal: one JSON object a line, written by `ingest`, read by `observe`.
//!
//! A journal lives in the user's state directory with mode 0600, named after its run. It is the
//! only thing that the console knows of an ingestion: it follows journals, never the database.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{BatchDecision, CarriesOn};

/// File name extension of a journal.
pub const EXTENSION: &str = "jsonl";

/// What the file of a watch ends with: its PID, and a line of JSON behind it.
pub const WATCH_EXTENSION: &str = "watch";

/// Whether `run` is the name of a run of process `pid`: a name is the time and the PID, and a number where it was taken.
pub fn is_of(run: &str, pid: i32) -> bool {
    run.split('-').nth(1) == Some(&*pid.to_string())
}

/// One line: what happened, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JournalLine {
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: JournalEvent,
}

/// What can happen in a run. A reader passes over events that it does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JournalEvent {
    Started {
        /// Name of the run, that of the file too.
        run: String,
        /// The process that runs it.
        pid: i32,
        /// Its start in clock ticks since boot, so that a reused PID is not taken for it.
        start_ticks: Option<u64>,
        /// What names that boot, so that a PID of another one is not taken for it either.
        boot: Option<String>,
        /// Absolute path of the database.
        database: String,
        /// The folders, absolute.
        folders: Vec<String>,
        /// `auto`, or files per batch.
        batch: String,
        /// What the documents' names begin with instead of the folder's path, where it is not that.
        #[serde(default)]
        root: Option<String>,
        /// Whether hidden files were taken in too; `None` in journals of older versions.
        #[serde(default)]
        hidden: Option<bool>,
        /// The run before, where that died.
        #[serde(default)]
        carries_on: Option<CarriesOn>,
    },
    /// The tables could be brought up to date only after the write lock was refused.
    SetUp {
        /// How often BUSY was retried.
        retries: u64,
    },
    /// The folders have been walked.
    Discovered {
        /// Files to take in, and what could not be looked at.
        files: u64,
        /// Files of those that have not changed since they were taken in, by size and time.
        unchanged: u64,
    },
    Batch {
        files: u64,
        bytes: u64,
        #[serde(flatten)]
        cost: RecordedCost,
        /// What was decided for it and for the time after it; a journal of before has none.
        #[serde(default)]
        decided: Option<BatchDecision>,
    },
    /// Documents whose files are gone were taken out, in a transaction of their own.
    Removed {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Parts of the full-text index were merged, in a transaction of their own.
    Merged {
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// What has no vector yet begins to be embedded.
    Embedding { model: String, files: u64 },
    /// Vectors were written, in a transaction of their own.
    Embedded {
        files: u64,
        bytes: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Edges between near documents were written, in a transaction of their own.
    Related {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Embedding came to an early end, since the embedder is of no use.
    EmbeddingEnded { reason: String },
    /// Files with a new time of change turned out to hold what the database has.
    Unchanged {
        /// How many since the line of this kind before.
        files: u64,
    },
    /// Their new times were noted, in a transaction of its own, so that the next run need not read them.
    Restamped {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Files that the walk had found were gone when they were to be read: they are no files to take in any more.
    Vanished {
        /// How many since the line of this kind before.
        files: u64,
    },
    /// The log is as large as it may be, and readers keep it from beginning anew: they are waited for.
    LogPinned {
        /// Its bytes.
        bytes: u64,
        /// Process of one of them, where it is known.
        pid: Option<i32>,
    },
    /// A file was left out.
    FileFailed { path: String, reason: String },
    /// A file was taken in, but something in it was left out.
    FileWarned {
        path: String,
        /// What was left out, and why.
        reason: String,
    },
    /// The last line of a run that came to an end by itself.
    Finished {
        outcome: RunOutcome,
        /// Why, where it failed. That somebody asked it to stop is no error.
        error: Option<String>,
    },
    /// A line of a newer version.
    #[serde(other)]
    Unknown,
}

/// What a transaction cost, as its line has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedCost {
    /// Wait for the write lock in ms.
    pub wait_ms: f64,
    /// From having the write lock to having committed, in ms.
    pub hold_ms: f64,
    /// How often BUSY was retried.
    pub retries: u64,
}

/// What a watch says of itself, in a line behind its PID in its file beside the journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherRecord {
    pub pid: i32,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    pub boot: Option<String>,
    /// Absolute path of the database.
    pub database: String,
    /// The folder, absolute.
    pub folder: String,
    pub since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Everything is in, failed files aside.
    Completed,
    /// A signal or the console asked it to end.
    Stopped,
    Failed,
}
