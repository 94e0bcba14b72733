//! Ingestions, as their journals record them.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// An ingestion, computed from its journal.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Ingestion {
    /// The run's name, which is also the journal's.
    pub run: String,
    /// The process that runs or ran it.
    pub pid: i32,
    /// Start of that process in clock ticks since boot; PID and start identify the process.
    pub start_ticks: Option<u64>,
    pub state: IngestionState,
    /// The folders that it ingests.
    pub folders: Vec<String>,
    /// Files to ingest; `None` until they are counted.
    pub files_total: Option<u64>,
    /// Files that are in, or were unchanged.
    pub files_done: u64,
    /// Files of [`Ingestion::files_done`] that needed no write.
    pub files_unchanged: u64,
    /// Files that could not be ingested.
    pub files_failed: u64,
    pub batches: u64,
    /// Files in the newest batch.
    pub batch_size: Option<u64>,
    /// Lock holds of the batches.
    pub hold_ms: Option<DurationSpread>,
    pub wait_ms: Option<DurationSpread>,
    /// How often `SQLITE_BUSY` was retried.
    pub busy_retries: u64,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// The newest batches' holds in ms, oldest first, at most [`Ingestion::RECENT`].
    pub recent_holds_ms: Vec<f64>,
    /// The newest batches, oldest first, at most [`Ingestion::RECENT`].
    #[serde(default)]
    pub recent_batches: Vec<IngestedBatch>,
    /// The batch that held the lock longest.
    pub slowest_batch: Option<IngestedBatch>,
    /// The decision for the newest batch; `None` in older journals.
    #[serde(default)]
    pub decided: Option<BatchDecision>,
    /// When the newest batch was committed.
    pub last_batch_at: Option<Timestamp>,
    /// When the journal was last written.
    pub last_told_at: Option<Timestamp>,
    /// How long the journal of a running ingestion has had no new line, in ms while the machine was awake: at least
    /// that long. `None` if unknown.
    #[serde(default)]
    pub silent_ms: Option<f64>,
    /// The first failures, at most [`Ingestion::RECENT`].
    pub failures: Vec<FailedFile>,
    /// How often a part of a file was left out, or a document was not embedded because of its content; everything else
    /// is in.
    #[serde(default)]
    pub files_in_part: u64,
    /// The first parts that were left out, with the reason, at most [`Ingestion::RECENT`].
    #[serde(default)]
    pub in_part: Vec<FailedFile>,
    /// Files that git tracks and an ignore file excludes; they are in no other count. `None` if unknown.
    #[serde(default)]
    pub files_ignored_tracked: Option<u64>,
    /// Progress of embedding; `None` if that was not reached.
    #[serde(default)]
    pub embedding: Option<EmbeddingProgress>,
    /// Why it ended early; `None` if it did not.
    pub error: Option<String>,
    /// The previous run, if that crashed and this one resumes it.
    #[serde(default)]
    pub carries_on: Option<CarriesOn>,
}

/// The phase of an ingestion that embeds documents.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingProgress {
    pub model: String,
    /// Documents that had no vector.
    pub wanted: u64,
    /// Those documents that have one now.
    pub embedded: u64,
    pub started_at: Timestamp,
    /// Why it ended early; `None` if it did not.
    pub error: Option<String>,
}

impl fmt::Display for EmbeddingProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} embedded", units::count(self.embedded), units::count(self.wanted))?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

impl Ingestion {
    /// The most batches and failures that an ingestion keeps.
    pub const RECENT: usize = 64;

    pub fn is_running(&self) -> bool {
        self.state == IngestionState::Running
    }

    /// How long it ran, in ms: until `now` if it is running, until the newest line of its journal if it crashed.
    pub fn elapsed_ms(&self, now: Timestamp) -> f64 {
        let end = match self.state {
            IngestionState::Running => now,
            _ => self.finished_at.or(self.last_told_at).unwrap_or(self.started_at),
        };
        Self::ran_ms(self.started_at, end)
    }

    /// How long a run took from its start to its end, in ms; 0 if the clock was set back.
    pub fn ran_ms(started_at: Timestamp, end: Timestamp) -> f64 {
        (end.duration_since(started_at).as_secs_f64() * 1e3).max(0.0)
    }

    /// Remaining time of a running ingestion at the pace so far, in ms; `None` before the first write.
    pub fn eta_ms(&self, now: Timestamp) -> Option<f64> {
        if let Some(EmbeddingProgress { wanted, embedded, started_at, .. }) = self.embedding {
            let spent = (now.duration_since(started_at).as_secs_f64() * 1e3).max(0.0);
            let left = wanted.saturating_sub(embedded);
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let eta = || spent / embedded as f64 * left as f64;
            return (self.is_running() && embedded > 0).then(eta);
        }
        let written = self.files_done.checked_sub(self.files_unchanged).filter(|&files| files > 0)?;
        let left = self.files_total?.checked_sub(self.files_done + self.files_failed)?;
        let spent = self.elapsed_ms(now);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        (self.is_running() && spent > 0.0).then(|| spent / written as f64 * left as f64)
    }
}

/// A run that crashed, and that the next run resumes.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CarriesOn {
    pub run: String,
    /// The process that ran it.
    pub pid: i32,
    /// Files that were in by then, or were unchanged.
    pub files_done: u64,
    /// Files to ingest; `None` if they had not been counted yet.
    pub files_total: Option<u64>,
}

impl fmt::Display for CarriesOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} of process {}, which ended without a word ", self.run, self.pid)?;
        match self.files_total {
            Some(total) => {
                write!(f, "after {} of {} files", units::count(self.files_done), units::count(total))
            }
            None => f.write_str("before its files were counted"),
        }
    }
}

/// One transaction of an ingestion.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct IngestedBatch {
    pub at: Timestamp,
    /// Files that it ingested or deleted.
    pub files: u64,
    /// Bytes of those files; `None` if it deleted documents.
    pub bytes: Option<u64>,
    /// How long it waited for the write lock.
    pub wait_ms: f64,
    /// How long it held the write lock.
    pub hold_ms: f64,
    /// How often `SQLITE_BUSY` was retried.
    pub retries: u64,
}

/// The limits of a batch, the gap after it, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct BatchDecision {
    /// The most files in the batch.
    pub most_files: u64,
    /// The time limit for writing documents, in ms; `None`: no limit.
    pub most_ms: Option<f64>,
    /// How long the lock is left to others before the next batch, in ms.
    pub gap_ms: f64,
    pub sharing: LockSharing,
}

/// Who shares the write lock with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockSharing {
    /// No other process has the database open.
    Alone,
    /// Another process has it open.
    OpenElsewhere,
    /// The lock was refused, so another process uses it.
    Waited,
    Unknown,
}

/// A file that could not be ingested.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FailedFile {
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestionState {
    /// Its process is running, and it has no end.
    Running,
    /// Everything is in, except failed files.
    Completed,
    /// A request stopped it after a batch.
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
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct DurationSpread {
    pub p50: f64,
    /// 99th percentile (nearest rank).
    pub p99: f64,
    pub max: f64,
}

impl DurationSpread {
    /// The spread of `values`, in any order; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { p50: percentile(&sorted, 50)?, p99: percentile(&sorted, 99)?, max: *sorted.last()? })
    }
}

/// The nearest-rank percentile of `sorted`; `None` if it is empty.
pub fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::fixture::{at, ingestion};

    #[test]
    fn a_run_takes_until_now_its_end_or_its_last_word() {
        let ended = ingestion("1");
        let running = Ingestion { state: IngestionState::Running, finished_at: None, ..ended.clone() };
        let crashed =
            Ingestion { state: IngestionState::Crashed, last_told_at: Some(at(5)), ..running.clone() };
        let took = [ended, running.clone(), crashed].map(|it| it.elapsed_ms(at(70)));
        assert_eq!(took.map(f64::to_bits), [60e3, 70e3, 5e3].map(f64::to_bits));
        assert!(running.elapsed_ms(at(-1)) < 0.1, "the clock was set back");
    }

    #[test]
    fn what_is_left_goes_by_what_was_written() {
        let running = Ingestion {
            state: IngestionState::Running,
            finished_at: None,
            files_total: Some(100),
            files_done: 60,
            files_unchanged: 40,
            files_failed: 10,
            ..ingestion("1")
        };
        assert_eq!(running.eta_ms(at(20)), Some(30e3));
        let unknown = [
            Ingestion { files_total: None, ..running.clone() },
            Ingestion { files_unchanged: 60, ..running.clone() },
            Ingestion { files_total: Some(60), ..running.clone() },
            Ingestion { state: IngestionState::Crashed, ..running },
        ];
        assert_eq!(unknown.map(|it| it.eta_ms(at(20))), [None; 4]);
    }
}
