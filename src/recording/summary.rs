//! What a recording says of a longer time: the output of `waltop report`.

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::builder::SummaryBuilder;
use super::{
    line::GapReason,
    reader::{Recording, RecordingError},
    redaction::Redaction,
    strip::HeldStrips,
    who::PastHold,
};
use crate::{
    snapshot::{FindingKind, Severity},
    units,
};

mod builder;

/// The output of `waltop report`.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct RecordingSummary {
    pub from: Timestamp,
    pub to: Timestamp,
    /// The first and the last line in that time; `None` if there is none.
    pub recorded: Option<(Timestamp, Timestamp)>,
    pub databases: Vec<DatabaseSummary>,
    /// The times that were not watched, the oldest first.
    pub gaps: Vec<PastGap>,
}

/// A time that was not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PastGap {
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: GapReason,
}

/// One database in that time.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct DatabaseSummary {
    pub path: String,
    /// Holds of the write lock.
    pub holds: u64,
    /// Their sum within the recorded time in ms.
    pub held_ms: f64,
    /// The longest, the longest first.
    pub longest: Vec<PastHold>,
    /// The same by process name, most time first.
    pub by_process: Vec<ProcessSummary>,
    pub checkpoints: u64,
    /// The longest checkpoint in ms.
    pub longest_checkpoint_ms: f64,
    /// Waits for the write lock by victim and holder, most time first.
    pub waits: Vec<WaitSummary>,
    pub log: LogSummary,
    /// The findings, the worst and longest first.
    pub findings: Vec<FindingSummary>,
    pub ingestion: IngestionSummary,
    /// For drawing.
    #[serde(skip)]
    pub strips: HeldStrips,
}

/// The holds of the processes with one name.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessSummary {
    pub name: String,
    /// How many processes had it.
    pub processes: u64,
    pub holds: u64,
    pub held_ms: f64,
    pub longest_ms: f64,
}

/// The waits of the processes with one name for those with another one.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct WaitSummary {
    pub victim: String,
    /// `None` if no recorded hold overlaps the waits.
    pub holder: Option<String>,
    pub waits: u64,
    pub waited_ms: f64,
    pub longest_ms: f64,
    /// Waits that ended without the lock.
    pub gave_up: u64,
}

/// The size of the log, from a sample a minute.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LogSummary {
    pub first_bytes: Option<u64>,
    pub last_bytes: Option<u64>,
    pub largest_bytes: Option<u64>,
    pub largest_at: Option<Timestamp>,
    /// For drawing.
    #[serde(skip)]
    pub sizes: Vec<(Timestamp, u64)>,
}

/// The findings of one kind.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct FindingSummary {
    pub kind: FindingKind,
    /// The worst.
    pub severity: Severity,
    pub times: u64,
    /// How long it was there in all within the recorded time, in ms.
    pub total_ms: f64,
    /// The longest in ms, and its message.
    pub longest_ms: f64,
    pub message: String,
}

/// What waltop's ingestions committed.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct IngestionSummary {
    pub runs: u64,
    pub batches: u64,
    pub files: u64,
    pub longest_hold_ms: f64,
}

impl RecordingSummary {
    /// What `recording` says of the time between `from` and `to`, of each of `databases` or of all if there are none.
    ///
    /// # Errors
    ///
    /// The recording cannot be read.
    pub fn new(
        recording: &Recording,
        from: Timestamp,
        to: Timestamp,
        databases: &[&Path],
        redaction: Redaction,
    ) -> Result<Self, RecordingError> {
        let mut builder = SummaryBuilder::new(from, to, redaction);
        recording.for_each(from, to, |frame| {
            builder.add_frame(frame);
            Ok::<_, RecordingError>(())
        })?;
        let is_asked = |path: &str| databases.is_empty() || databases.contains(&Path::new(path));
        Ok(builder.finish(is_asked))
    }

    /// How much of its time was watched, in ms.
    pub fn watched_ms(&self) -> f64 {
        let Some((first, last)) = self.recorded else { return 0.0 };
        let length = |from: Timestamp, to: Timestamp| {
            let (from, to) = (from.max(first), to.min(last));
            units::milliseconds(to.duration_since(from).try_into().unwrap_or_default())
        };
        length(first, last) - self.gaps.iter().map(|gap| length(gap.from, gap.to)).sum::<f64>()
    }
}
