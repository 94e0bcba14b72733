//! The state that the lines of a journal add up to.

use std::{collections::VecDeque, path::Path};

use jiff::Timestamp;

use super::{super::liveness::is_there, Transaction};
use crate::{
    snapshot::{DurationSpread, EmbeddingProgress, FailedFile, IngestedBatch, Ingestion, IngestionState},
    state::journal::{JournalEvent, JournalLine, RecordedCost, RunOutcome},
};

/// The number of newest batches that the distributions cover.
const SPREAD_OVER: usize = 4096;

/// An ingestion as far as its journal records it.
#[derive(Debug)]
pub(super) struct RunState {
    /// Absolute path of the database.
    pub database: String,
    boot: Option<String>,
    pub ingestion: Ingestion,
    holds: VecDeque<f64>,
    waits: VecDeque<f64>,
    /// Transactions that were not taken yet.
    pub fresh: VecDeque<Transaction>,
}

impl RunState {
    /// The state that starts with `line`, or why `line` starts none.
    pub fn from_first_line(line: JournalLine) -> Result<Self, String> {
        let JournalEvent::Started {
            run,
            pid,
            start_ticks,
            boot,
            database,
            folders,
            carries_on,
            began_at,
            ..
        } = line.event
        else {
            return Err("its first line is no start record".to_owned());
        };
        let ingestion = Ingestion {
            run,
            pid,
            start_ticks,
            state: IngestionState::Running,
            folders,
            files_total: None,
            files_done: 0,
            files_unchanged: 0,
            files_failed: 0,
            batches: 0,
            batch_size: None,
            hold_ms: None,
            wait_ms: None,
            busy_retries: 0,
            started_at: began_at.unwrap_or(line.at),
            finished_at: None,
            recent_holds_ms: Vec::new(),
            recent_batches: Vec::new(),
            slowest_batch: None,
            decided: None,
            last_batch_at: None,
            last_told_at: Some(line.at),
            silent_ms: None,
            failures: Vec::new(),
            files_in_part: 0,
            in_part: Vec::new(),
            files_ignored_tracked: None,
            embedding: None,
            error: None,
            carries_on,
        };
        let [holds, waits] = [const { VecDeque::new() }; 2];
        Ok(Self { database, boot, ingestion, holds, waits, fresh: VecDeque::new() })
    }

    /// Applies `line` to the state.
    pub fn apply(&mut self, line: JournalLine) {
        let ingestion = &mut self.ingestion;
        ingestion.last_told_at = Some(line.at);
        match line.event {
            JournalEvent::SetUp { retries, wait_ms } => {
                ingestion.busy_retries += retries;
                ingestion.wait_ms = None;
                self.waits.push_back(wait_ms);
            }
            JournalEvent::Discovered { files, unchanged, ignored_tracked } => {
                ingestion.files_ignored_tracked = ignored_tracked;
                ingestion.files_total = Some(files);
                ingestion.files_unchanged += unchanged;
                ingestion.files_done += unchanged;
            }
            JournalEvent::Unchanged { files } => {
                ingestion.files_unchanged += files;
                ingestion.files_done += files;
            }
            JournalEvent::Batch { files, bytes, cost, decided } => {
                ingestion.files_done += files;
                ingestion.batch_size = Some(files);
                ingestion.decided = decided;
                self.transaction(line.at, files, Some(bytes), cost);
            }
            JournalEvent::Removed { files, cost } => self.transaction(line.at, files, None, cost),
            JournalEvent::Merged { cost }
            | JournalEvent::Restamped { files: _, cost }
            | JournalEvent::Related { files: _, cost } => self.transaction(line.at, 0, None, cost),
            JournalEvent::Embedding { model, files } => {
                let progress =
                    EmbeddingProgress { model, wanted: files, embedded: 0, started_at: line.at, error: None };
                ingestion.embedding = Some(progress);
            }
            JournalEvent::Embedded { files, bytes, cost } => {
                if let Some(embedding) = &mut ingestion.embedding {
                    embedding.embedded += files;
                }
                self.transaction(line.at, files, Some(bytes), cost);
            }
            JournalEvent::EmbeddingEnded { reason } => {
                if let Some(embedding) = &mut ingestion.embedding {
                    embedding.error = Some(reason);
                }
            }
            JournalEvent::Vanished { files } => {
                ingestion.files_total = ingestion.files_total.map(|total| total.saturating_sub(files));
            }
            JournalEvent::FileFailed { path, reason } => {
                ingestion.files_failed += 1;
                if ingestion.failures.len() < Ingestion::RECENT {
                    ingestion.failures.push(FailedFile { path, reason });
                }
            }
            JournalEvent::Finished { outcome, error } => {
                ingestion.finished_at = Some(line.at);
                ingestion.error = error;
                ingestion.state = match outcome {
                    RunOutcome::Completed => IngestionState::Completed,
                    RunOutcome::Stopped => IngestionState::Stopped,
                    RunOutcome::Failed => IngestionState::Failed,
                };
            }
            JournalEvent::FileWarned { path, reason } => {
                ingestion.files_in_part += 1;
                if ingestion.in_part.len() < Ingestion::RECENT {
                    ingestion.in_part.push(FailedFile { path, reason });
                }
            }
            JournalEvent::Started { .. } | JournalEvent::LogPinned { .. } | JournalEvent::Unknown => {}
        }
    }

    fn transaction(&mut self, at: Timestamp, files: u64, bytes: Option<u64>, cost: RecordedCost) {
        let RecordedCost { wait_ms, hold_ms, retries } = cost;
        let batch = IngestedBatch { at, files, bytes, wait_ms, hold_ms, retries };
        if self.ingestion.slowest_batch.is_none_or(|slowest| slowest.hold_ms < hold_ms) {
            self.ingestion.slowest_batch = Some(batch);
        }
        self.ingestion.last_batch_at = Some(at);
        let Ingestion { pid, start_ticks, .. } = self.ingestion;
        let database = self.database.clone();
        self.fresh.push_back(Transaction { database, pid, start_ticks, at, wait_ms, hold_ms });
        if self.fresh.len() > SPREAD_OVER {
            self.fresh.pop_front();
        }
        self.ingestion.batches += 1;
        self.ingestion.busy_retries += retries;
        for (values, value) in [(&mut self.holds, hold_ms), (&mut self.waits, wait_ms)] {
            values.push_back(value);
            if values.len() > SPREAD_OVER {
                values.pop_front();
            }
        }
        let older = self.holds.len().saturating_sub(Ingestion::RECENT);
        self.ingestion.recent_holds_ms = self.holds.iter().skip(older).copied().collect();
        let recent = &mut self.ingestion.recent_batches;
        if recent.len() == Ingestion::RECENT {
            recent.remove(0);
        }
        recent.push(batch);
        self.ingestion.hold_ms = None;
        self.ingestion.wait_ms = None;
    }

    /// Whether its process may still write: not if it is gone, its PID belongs to another process, or it is from
    /// another boot; `None` if that is unknown. After the end of the run it does not matter.
    pub fn is_alive(&self, proc: &Path) -> Option<bool> {
        if self.ingestion.finished_at.is_some() {
            return Some(true);
        }
        let Ingestion { pid, start_ticks, .. } = self.ingestion;
        is_there(proc, pid, start_ticks, self.boot.as_deref())
    }

    /// Fills in what requires all lines. Only a run whose process is known to be gone has crashed.
    pub fn finish(&mut self, lives: Option<bool>) {
        let ingestion = &mut self.ingestion;
        if ingestion.hold_ms.is_none() {
            ingestion.hold_ms = DurationSpread::of(self.holds.make_contiguous());
            ingestion.wait_ms = DurationSpread::of(self.waits.make_contiguous());
        }
        if ingestion.finished_at.is_none() {
            let is_gone = lives == Some(false);
            ingestion.state = if is_gone { IngestionState::Crashed } else { IngestionState::Running };
        }
    }
}
