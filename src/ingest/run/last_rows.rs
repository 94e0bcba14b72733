//! What is written when all documents of a run are in: removed documents, and links that lead to a document by its name
//! alone.

use std::collections::VecDeque;

use super::{IngestError, IngestRun, gap_after};
use crate::{
    ingest::{
        batch::BatchLimit,
        neighbours::NeighbourCheck,
        store::{DocumentStore, StoreError, TransactionCost},
    },
    state::journal::{JournalEvent, RunOutcome},
};

impl IngestRun<'_> {
    /// Deletes the documents whose files are `gone`.
    pub(super) fn remove_all(
        &mut self,
        store: &mut DocumentStore,
        gone: VecDeque<(String, i64)>,
        neighbours: &NeighbourCheck,
    ) -> Result<RunOutcome, IngestError> {
        self.write_rows(store, gone, neighbours, DocumentStore::remove, |run, files, cost| {
            run.summary.removed += files;
            run.record(JournalEvent::Removed { files, cost: cost.into() })?;
            run.committed(files, cost);
            Ok(())
        })
    }

    /// Resolves the links whose path no document has.
    pub(super) fn resolve_by_name(
        &mut self,
        store: &mut DocumentStore,
        neighbours: &NeighbourCheck,
    ) -> Result<RunOutcome, IngestError> {
        let links = match store.links_to_repoint() {
            Err(StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            other => other?,
        };
        self.write_rows(store, links, neighbours, DocumentStore::repoint, |run, files, cost| {
            run.record(JournalEvent::Related { files, cost: cost.into() })?;
            run.count(cost);
            Ok(())
        })
    }

    /// Writes `rows` by `write` in short transactions, each of which is told to `written`.
    fn write_rows<T>(
        &mut self,
        store: &mut DocumentStore,
        mut rows: VecDeque<T>,
        neighbours: &NeighbourCheck,
        write: WriteRows<T>,
        written: impl Fn(&mut Self, u64, TransactionCost) -> Result<(), IngestError>,
    ) -> Result<RunOutcome, IngestError> {
        while !rows.is_empty() {
            if self.stop.is_raised() {
                return Ok(RunOutcome::Stopped);
            }
            let (files, cost) = match write(store, &mut rows, self.sizer.next()) {
                Err(StoreError::Stopped) => return Ok(RunOutcome::Stopped),
                other => other?,
            };
            written(self, files, cost)?;
            if !self.checkpoint_log(store)? {
                return Ok(RunOutcome::Stopped);
            }
            if !rows.is_empty() {
                self.leave_room(gap_after(cost, neighbours).0);
            }
        }
        Ok(RunOutcome::Completed)
    }
}

/// Writes rows from the front in one transaction, as many as the limit allows; returns how many, and the cost.
type WriteRows<T> =
    fn(&mut DocumentStore, &mut VecDeque<T>, BatchLimit) -> Result<(u64, TransactionCost), StoreError>;
