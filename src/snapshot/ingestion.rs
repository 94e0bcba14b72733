//! Ingestions, as their journals tell them.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// An ingestion, folded from its journal.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct Ingestion {
    /// The run's name: that of its journal.
    pub run: String,
    /// The process that runs or ran it.
    pub pid: i32,
    /// Start of that process in clock ticks since boot; with the PID it names the process.
    pub start_ticks: Option<u64>,
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
    /// What was decided for the newest batch; `None` in a journal of before.
    #[serde(default)]
    pub decided: Option<BatchDecision>,
    /// When the newest batch was committed.
    pub last_batch_at: Option<Timestamp>,
    /// When the journal was last written, whatever it told.
    pub last_told_at: Option<Timestamp>,
    /// For how long its journal has told nothing, while it runs, in ms of a machine that was awake: at least. `None`
    /// where that is not known.
    #[serde(default)]
    pub silent_ms: Option<f64>,
    /// The first failures, at most [`Ingestion::RECENT`].
    pub failures: Vec<FailedFile>,
    /// How often something in a file was left out, or a document was not embedded for what is in it; the rest is in.
    #[serde(default)]
    pub files_in_part: u64,
    /// What was left out and why, the first, at most [`Ingestion::RECENT`].
    #[serde(default)]
    pub in_part: Vec<FailedFile>,
    /// How embedding goes or went; `None` where it was not come to.
    #[serde(default)]
    pub embedding: Option<EmbeddingProgress>,
    /// Why it ended early, where it did.
    pub error: Option<String>,
    /// The run before, where that died and left the rest to this one.
    #[serde(default)]
    pub carries_on: Option<CarriesOn>,
}

/// The phase of an ingestion in which documents are embedded.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EmbeddingProgress {
    pub model: String,
    /// Documents that had no vector of it.
    pub wanted: u64,
    /// Documents of those that have one now.
    pub embedded: u64,
    pub started_at: Timestamp,
    /// Why it ended early, where it did.
    pub error: Option<String>,
}

impl fmt::Display for EmbeddingProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} embedded", units::count(self.embedded), units::count(self.wanted))?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

impl Ingestion {
    /// How many batches and failures an ingestion carries along.
    pub const RECENT: usize = 64;

    /// Whether its process is at work.
    pub fn is_running(&self) -> bool {
        self.state == IngestionState::Running
    }

    /// For how long it ran, in ms; `now` ends one that runs, and its journal's newest line one that crashed.
    pub fn elapsed_ms(&self, now: Timestamp) -> f64 {
        let end = match self.state {
            IngestionState::Running => now,
            _ => self.finished_at.or(self.last_told_at).unwrap_or(self.started_at),
        };
        (end.duration_since(self.started_at).as_secs_f64() * 1e3).max(0.0)
    }

    /// What is left of one that runs, at the pace so far, in ms; `None` where nothing has been written yet.
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

/// A run that died before its end, and left the rest to the next.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CarriesOn {
    pub run: String,
    /// The process that ran it.
    pub pid: i32,
    /// Files that were in by then, or were unchanged.
    pub files_done: u64,
    /// Files that were to be taken in; `None` where they had not been counted yet.
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
    /// Files that it took in, or took out.
    pub files: u64,
    /// Bytes of those files; `None` where it took documents out.
    pub bytes: Option<u64>,
    /// How long it waited for the write lock.
    pub wait_ms: f64,
    /// How long it held the write lock.
    pub hold_ms: f64,
    /// How often `SQLITE_BUSY` was retried.
    pub retries: u64,
}

/// How large a batch might be, how long the lock is left alone after it, and why.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct BatchDecision {
    /// The most files that it might take.
    pub most_files: u64,
    /// How long it might take documents in, in ms; `None`: however long it takes.
    pub most_ms: Option<f64>,
    /// How long the lock is left alone after it where another one follows, in ms.
    pub gap_ms: f64,
    pub sharing: LockSharing,
}

/// With whom a run shares the write lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockSharing {
    /// Nobody else has the database open.
    Alone,
    /// Another process has it open.
    OpenElsewhere,
    /// The lock was refused, so somebody wants it.
    Waited,
    Unknown,
}

/// A file that an ingestion could not take in.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FailedFile {
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct DurationSpread {
    pub p50: f64,
    /// 99th percentile (nearest rank).
    pub p99: f64,
    pub max: f64,
}

impl DurationSpread {
    /// The spread of `values`, which need not be sorted; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self { p50: percentile(&sorted, 50)?, p99: percentile(&sorted, 99)?, max: *sorted.last()? })
    }
}

/// The nearest-rank percentile of `sorted`; `None` where it is empty.
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
