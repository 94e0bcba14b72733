//! Links that lead to a document by its name alone, after the documents of a run.

use super::{IngestError, IngestRun, gap_after};
use crate::{
    ingest::{
        neighbours::NeighbourCheck,
        store::{self, DocumentStore},
    },
    state::journal::{JournalEvent, RunOutcome},
};

impl IngestRun<'_> {
    /// Resolves the links whose path no document has. All documents are in at this point.
    pub(super) fn resolve_by_name(
        &mut self,
        store: &mut DocumentStore,
        neighbours: &NeighbourCheck,
    ) -> Result<RunOutcome, IngestError> {
        let mut links = match store.links_to_repoint() {
            Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
            other => other?,
        };
        while !links.is_empty() {
            if self.stop.is_raised() {
                return Ok(RunOutcome::Stopped);
            }
            let (files, cost) = match store.repoint(&mut links, self.sizer.next()) {
                Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
                other => other?,
            };
            self.record(JournalEvent::Related { files, cost: cost.into() })?;
            self.count(cost);
            if !self.checkpoint_log(store)? {
                return Ok(RunOutcome::Stopped);
            }
            if !links.is_empty() {
                self.leave_room(gap_after(cost, neighbours).0);
            }
        }
        Ok(RunOutcome::Completed)
    }
}
