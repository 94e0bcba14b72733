//! One run: decides what to do, reads, writes in batches, and reports.

mod embedding;
mod last_rows;
mod reporting;
mod stamps;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    IngestError, IngestRequest, RunSummary, StopFlag, batch,
    batch::{BatchLimit, BatchSetting, BatchSizer},
    changes::{jobs, removed},
    discover::{Discovery, IngestFolder},
    journal::RunJournal,
    journal_error,
    neighbours::NeighbourCheck,
    parse::{DocumentTree, FileOutcome as Read, ParsedDocument},
    progress::{CommittedBatch, RunProgress},
    readers::{self, NextResult, ReadResults},
    store::{
        self, BatchResult, DocumentStore, KnownDocument, LockPatience, TransactionCost,
        stamps::{LONGEST as LONGEST_STAMPED, TouchedDocument},
    },
};
use crate::{
    database::{factory, migrations::TableChange},
    snapshot::{BatchDecision, DurationSpread, FailedFile, Ingestion, LockSharing},
    state::journal::{JournalEvent, RunOutcome},
    units::milliseconds,
};

/// Bytes in a batch of `auto`, whatever its number of files.
const BATCH_BYTES: u64 = 8 << 20;

/// How often a waiting run checks whether it has to stop.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// A message from the readers.
enum ReaderMessage {
    Something,
    Nothing,
    End,
}

pub(super) struct IngestRun<'a> {
    request: &'a IngestRequest,
    stop: &'a StopFlag,
    progress: &'a mut dyn RunProgress,
    journal: RunJournal,
    sizer: BatchSizer,
    summary: RunSummary,
    holds: Vec<f64>,
    waits: Vec<f64>,
    /// Files with the same content and a new time, since the last journal entry.
    untold_unchanged: u64,
    /// Those files, with the new time that the database lacks.
    touched: Vec<TouchedDocument>,
    /// Names of documents that the walk found, and that were deleted before they were read.
    vanished: HashSet<String>,
    /// Of those, the ones since the last journal entry.
    untold_vanished: u64,
}

impl<'a> IngestRun<'a> {
    pub(super) fn new(
        request: &'a IngestRequest,
        stop: &'a StopFlag,
        progress: &'a mut dyn RunProgress,
        journal: RunJournal,
    ) -> Self {
        let summary = RunSummary::of_nothing(Some(journal.run().to_owned()), RunOutcome::Failed);
        Self {
            request,
            stop,
            progress,
            journal,
            sizer: BatchSizer::new(request.batch, request.hold),
            summary,
            holds: Vec::new(),
            waits: Vec::new(),
            untold_unchanged: 0,
            touched: Vec::new(),
            vanished: HashSet::new(),
            untold_vanished: 0,
        }
    }

    /// Does the whole run, and records its end in the journal once the database is closed.
    pub(super) fn ingest_documents(
        mut self,
        database: &Path,
        folders: &[IngestFolder],
        discovery: &Discovery,
        began_at: Timestamp,
    ) -> Result<RunSummary, IngestError> {
        let ended = self.work(database, folders, discovery);
        let ended = ended.and_then(|outcome| self.report_unchanged().map(|()| outcome));
        let told = match &ended {
            Ok(outcome) => (*outcome, None),
            Err(error) => (RunOutcome::Failed, Some(error.to_string())),
        };
        let finished = self.journal.record(JournalEvent::Finished { outcome: told.0, error: told.1 });
        self.summary.outcome = ended?;
        let finished = finished.map_err(|source| journal_error(&self.request.runs, source))?;
        self.summary.elapsed_ms = Ingestion::ran_ms(began_at, finished);
        self.summary.hold = DurationSpread::of(&self.holds);
        self.summary.wait = DurationSpread::of(&self.waits);
        self.progress.finished(&self.summary);
        Ok(self.summary)
    }

    fn work(
        &mut self,
        database: &Path,
        folders: &[IngestFolder],
        discovery: &Discovery,
    ) -> Result<RunOutcome, IngestError> {
        self.request.make_folder()?;
        // Until the store is closed; the threads that read documents switch back to root.
        let _as_owner = factory::as_owner(database).map_err(store::StoreError::from)?;
        let patience = LockPatience {
            budget: self.request.busy_budget,
            stop: self.stop.clone(),
            long_wait: self.long_wait(database),
        };
        let mut store = DocumentStore::open(database, folders, patience, &self.request.profile)?;
        let store::StoreSetUp { tables, wait, retries } = match store.set_up() {
            Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            other => other?,
        };
        if tables == TableChange::AddedToOthers {
            self.progress.tables_added(store.path());
        }
        if retries > 0 {
            self.summary.retries += retries;
            self.waits.push(milliseconds(wait));
            self.record(JournalEvent::SetUp { retries, wait_ms: milliseconds(wait) })?;
        }
        let known = match store.known() {
            Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            other => other?,
        };
        let trees: Vec<DocumentTree> = folders.iter().map(DocumentTree::of).collect();
        let jobs = jobs(&discovery.found, &known, &trees, self.request.max_file_size);
        self.discovered(discovery, jobs.len())?;
        // If nothing has to be read, nothing can vanish meanwhile.
        let gone_already = jobs.is_empty().then(|| removed(folders, discovery, &known, &self.vanished));
        if gone_already.as_ref().is_some_and(VecDeque::is_empty) {
            return self.embed_all(&mut store);
        }
        match store.prepare(&known) {
            Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            other => other?,
        }
        let neighbours = NeighbourCheck::of(store.path(), &self.request.proc);
        let outcome = thread::scope(|scope| {
            let results = readers::start(scope, jobs);
            self.write_all(&mut store, &results, &known, &neighbours)
        })?;
        if outcome != RunOutcome::Completed {
            return Ok(outcome);
        }
        if self.restamp_all(&mut store, &neighbours)? == RunOutcome::Stopped {
            return Ok(RunOutcome::Stopped);
        }
        let gone = gone_already.unwrap_or_else(|| removed(folders, discovery, &known, &self.vanished));
        match self.remove_all(&mut store, gone, &neighbours)? {
            RunOutcome::Completed => {}
            ended => return Ok(ended),
        }
        match self.resolve_by_name(&mut store, &neighbours)? {
            RunOutcome::Completed => {}
            ended => return Ok(ended),
        }
        match store.clear_old_index() {
            Ok(None) => {}
            Ok(Some(cost)) => self.merged(cost, false, &neighbours)?,
            Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            Err(error) => return Err(error.into()),
        }
        self.embed_all(&mut store)
    }

    fn write_all(
        &mut self,
        store: &mut DocumentStore,
        results: &ReadResults<'_>,
        known: &HashMap<String, KnownDocument>,
        neighbours: &NeighbourCheck,
    ) -> Result<RunOutcome, IngestError> {
        let mut queue: VecDeque<ParsedDocument> = VecDeque::new();
        let mut more = true;
        loop {
            let limit = self.sizer.next();
            while more && !self.stop.is_raised() && !self.is_enough(&queue, limit) {
                // Writing what has arrived while the readers continue is faster than waiting for a full batch.
                let is_some = self.request.batch == BatchSetting::Auto && queue.len() >= limit.files / 4;
                let patience = if is_some && !queue.is_empty() { Duration::ZERO } else { STOP_CHECK };
                match self.receive(results, patience, known, &mut queue)? {
                    ReaderMessage::Nothing if patience.is_zero() => break,
                    ReaderMessage::Something | ReaderMessage::Nothing => {}
                    ReaderMessage::End => more = false,
                }
            }
            if queue.is_empty() && !more {
                return Ok(RunOutcome::Completed);
            }
            if self.stop.is_raised() {
                return Ok(RunOutcome::Stopped);
            }
            match store.write(&mut queue, limit) {
                Ok(written) => self.written(&written, limit, !queue.is_empty() || more, neighbours)?,
                Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
                Err(error) => return Err(error.into()),
            }
            if !self.checkpoint_log(store)? {
                return Ok(RunOutcome::Stopped);
            }
            match store.merge(self.sizer.aim()) {
                Ok(None) => {}
                Ok(Some(cost)) => self.merged(cost, !queue.is_empty() || more, neighbours)?,
                Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_enough(&self, queue: &VecDeque<ParsedDocument>, limit: BatchLimit) -> bool {
        let bytes = || queue.iter().map(|document| document.stamp.bytes).sum::<u64>();
        queue.len() >= limit.files || self.request.batch == BatchSetting::Auto && bytes() >= BATCH_BYTES
    }

    /// Moves one result into `queue`, if one arrives within `patience`.
    fn receive(
        &mut self,
        results: &ReadResults<'_>,
        patience: Duration,
        known: &HashMap<String, KnownDocument>,
        queue: &mut VecDeque<ParsedDocument>,
    ) -> Result<ReaderMessage, IngestError> {
        match results.next(patience) {
            NextResult::End => return Ok(ReaderMessage::End),
            NextResult::Nothing => return Ok(ReaderMessage::Nothing),
            NextResult::Done(_, Read::Parsed(document)) => queue.push_back(*document),
            NextResult::Done(found, Read::Unchanged(stamp)) => {
                self.summary.unchanged += 1;
                self.untold_unchanged += 1;
                // Where the time is the same, no long row is read for it.
                if let Some(&KnownDocument { id, hash, stamp: before, .. }) = known.get(&found.name)
                    && (stamp.bytes <= LONGEST_STAMPED || stamp.modified_ns == before.modified_ns)
                {
                    self.touched.push(TouchedDocument { id, hash, stamp });
                }
            }
            NextResult::Done(found, Read::Gone) => {
                self.vanished.insert(found.name.clone());
                self.summary.files_total = self.summary.files_total.saturating_sub(1);
                self.untold_vanished += 1;
            }
            NextResult::Done(found, Read::Failed(reason)) => {
                self.failed(FailedFile { path: found.file.display().to_string(), reason })?;
            }
        }
        Ok(ReaderMessage::Something)
    }

    fn merged(
        &mut self,
        cost: TransactionCost,
        more: bool,
        neighbours: &NeighbourCheck,
    ) -> Result<(), IngestError> {
        self.record(JournalEvent::Merged { cost: cost.into() })?;
        self.count(cost);
        if more {
            // The gap of a batch came before it, and another one follows the next.
            self.leave_room(gap_after(cost, neighbours).0.min(cost.hold));
        }
        Ok(())
    }

    fn count(&mut self, cost: TransactionCost) {
        self.summary.batches += 1;
        self.summary.retries += cost.retries;
        self.holds.push(milliseconds(cost.hold));
        self.waits.push(milliseconds(cost.wait));
    }

    fn written(
        &mut self,
        written: &BatchResult,
        limit: BatchLimit,
        more: bool,
        neighbours: &NeighbourCheck,
    ) -> Result<(), IngestError> {
        let (gap, sharing) = gap_after(written.cost, neighbours);
        self.report_unchanged()?;
        let is_only = self.summary.ingested == 0 && written.ingested == 1;
        self.summary.ingested += written.ingested;
        self.summary.ingested_file = written.first.clone().filter(|_| is_only);
        self.record(JournalEvent::Batch {
            files: written.ingested,
            bytes: written.bytes,
            cost: written.cost.into(),
            decided: Some(BatchDecision {
                most_files: limit.files as u64,
                most_ms: limit.hold.map(milliseconds),
                gap_ms: milliseconds(gap),
                sharing,
            }),
        })?;
        written.failed.iter().try_for_each(|file| self.failed(file.clone()))?;
        written.warned.iter().try_for_each(|file| self.warned(file.clone()))?;
        self.committed(written.ingested + written.failed.len() as u64, written.cost);
        if more {
            self.leave_room(gap);
        }
        Ok(())
    }

    /// Checkpoints the log; `false` if the run has to stop.
    fn checkpoint_log(&mut self, store: &mut DocumentStore) -> Result<bool, IngestError> {
        let mut told = Ok(());
        let relieved = store.checkpoint_log(&mut |pinned| {
            self.progress.waits(&pinned.to_string());
            let pid = pinned.reader.as_ref().and_then(|reader| reader.pid);
            told = self.journal.record(JournalEvent::LogPinned { bytes: pinned.bytes, pid }).map(drop);
        });
        told.map_err(|source| journal_error(&self.request.runs, source))?;
        match relieved {
            Err(store::StoreError::Stopped) => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    fn committed(&mut self, files: u64, cost: TransactionCost) {
        self.count(cost);
        self.sizer.committed(usize::try_from(files).unwrap_or(usize::MAX), cost.hold, cost.rows);
        let RunSummary { ingested, unchanged, failed, files_total, .. } = &self.summary;
        self.progress.batch(&CommittedBatch {
            files,
            done: ingested + unchanged + failed.len() as u64,
            total: *files_total,
            hold: cost.hold,
            wait: cost.wait,
        });
    }

    /// Leaves the lock to others for `gap`.
    fn leave_room(&self, gap: Duration) {
        let until = Instant::now() + gap;
        while !self.stop.is_raised() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(STOP_CHECK));
        }
    }
}

/// How long to leave the lock to others after a transaction, and why: other processes show by their lock, or because
/// this one had to wait.
fn gap_after(cost: TransactionCost, neighbours: &NeighbourCheck) -> (Duration, LockSharing) {
    let sharing = batch::sharing(cost.retries, neighbours.any().ok());
    (batch::gap(cost.hold, sharing), sharing)
}
