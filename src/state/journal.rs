//! The lines of an ingestion's journal: one JSON object per line, written by `ingest`, read by `observe`.
//!
//! A journal is in the user's state directory with mode 0600, and has the name of its run. It is the console's only
//! source about an ingestion: the console follows journals, never the database.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{BatchDecision, CarriesOn};

pub const EXTENSION: &str = "jsonl";

/// Extension of a watch's file, which contains its PID, and then a line of JSON.
pub const WATCH_EXTENSION: &str = "watch";

/// Whether `run` is the name of a run of process `pid`: a name is the time and the PID, and a number if it was taken.
pub fn is_of(run: &str, pid: i32) -> bool {
    run.split('-').nth(1) == Some(&*pid.to_string())
}

/// One line: an event, and its time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JournalLine {
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: JournalEvent,
}

/// Events of a run. A reader skips events that it does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JournalEvent {
    Started {
        /// Name of the run and of the file.
        run: String,
        /// The process that runs it.
        pid: i32,
        /// Its start in clock ticks since boot, so that a reused PID does not match.
        start_ticks: Option<u64>,
        /// Identifies that boot, so that a PID of another one does not match either.
        boot: Option<String>,
        /// Absolute path of the database.
        database: String,
        /// The folders, absolute.
        folders: Vec<String>,
        /// `auto`, or files per batch.
        batch: String,
        /// Prefix of document names, if it is not the folder's path.
        #[serde(default)]
        root: Option<String>,
        /// Whether hidden files were ingested too; `None` in journals of older versions.
        #[serde(default)]
        hidden: Option<bool>,
        /// The previous run, if that crashed.
        #[serde(default)]
        carries_on: Option<CarriesOn>,
        /// When it began to look for files, which is before this line; `None` in journals of older versions.
        #[serde(default)]
        began_at: Option<Timestamp>,
    },
    /// The tables could be migrated only after the write lock was refused.
    SetUp {
        /// How often BUSY was retried.
        retries: u64,
        /// The time until the lock was available, in ms; 0 in journals of older versions.
        #[serde(default)]
        wait_ms: f64,
    },
    /// The walk is done.
    Discovered {
        /// Files to ingest, and paths that could not be read.
        files: u64,
        /// Those files that have not changed since their ingestion, by size and time.
        unchanged: u64,
        /// Other files, which git tracks and an ignore file excludes; `None` if unknown, as in journals of older versions.
        #[serde(default)]
        ignored_tracked: Option<u64>,
    },
    Batch {
        files: u64,
        bytes: u64,
        #[serde(flatten)]
        cost: RecordedCost,
        /// What was decided for it and for the time after it; older journals have none.
        #[serde(default)]
        decided: Option<BatchDecision>,
    },
    /// Documents whose files are gone were deleted, in a separate transaction.
    Removed {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Parts of the full-text index were merged, in a separate transaction.
    Merged {
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Embedding of documents without a vector starts.
    Embedding { model: String, files: u64 },
    /// Vectors were written, in a separate transaction.
    Embedded {
        files: u64,
        bytes: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Edges of documents that were in already were written, in a separate transaction: those to near documents, and
    /// those of links that lead to a document by its name alone.
    Related {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Embedding ended early, because the embedder is unusable.
    EmbeddingEnded { reason: String },
    /// Files with a new time of change have the same content as in the database.
    Unchanged {
        /// How many since the previous line of this kind.
        files: u64,
    },
    /// Their new times were recorded, in a separate transaction, so that the next run need not read them.
    Restamped {
        files: u64,
        #[serde(flatten)]
        cost: RecordedCost,
    },
    /// Files that the walk had found were deleted before they were read: they no longer count as files to ingest.
    Vanished {
        /// How many since the previous line of this kind.
        files: u64,
    },
    /// The log has its maximum size, and readers keep it from restarting: the run waits for them.
    LogPinned {
        /// Its size in bytes.
        bytes: u64,
        /// The process of one of them, if known.
        pid: Option<i32>,
    },
    /// A file was left out.
    FileFailed { path: String, reason: String },
    /// A file was ingested, but a part of it was left out.
    FileWarned {
        path: String,
        /// What was left out, and why.
        reason: String,
    },
    /// The last line of a run that was not killed.
    Finished {
        outcome: RunOutcome,
        /// Why it failed; `None` if it did not. A request to stop is no failure.
        error: Option<String>,
    },
    /// A line of a newer version.
    #[serde(other)]
    Unknown,
}

/// What a transaction cost, as recorded in its line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedCost {
    /// Wait for the write lock in ms.
    pub wait_ms: f64,
    /// From getting the write lock to the end of the commit, in ms.
    pub hold_ms: f64,
    /// How often BUSY was retried.
    pub retries: u64,
}

/// A watch's record of itself, in a line after its PID in its file beside the journals.
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
    /// Everything is in, except failed files.
    Completed,
    /// A signal or the console asked it to stop.
    Stopped,
    Failed,
}
