//! Runs after the batches if files were touched but kept their content.

use std::{collections::VecDeque, mem};

use super::{IngestError, IngestRun, gap_after};
use crate::{
    ingest::{
        neighbours::NeighbourCheck,
        store::{self, DocumentStore, stamps::TouchedDocument},
    },
    state::journal::{JournalEvent, RunOutcome},
};

impl IngestRun<'_> {
    /// Records the stamps of those files, so that the next run need not read them again. All documents are in at this
    /// point: if the lock or disk space is unavailable, the next run records the others.
    pub(super) fn restamp_all(
        &mut self,
        store: &mut DocumentStore,
        neighbours: &NeighbourCheck,
    ) -> Result<RunOutcome, IngestError> {
        let mut touched: VecDeque<TouchedDocument> = mem::take(&mut self.touched).into();
        while !touched.is_empty() {
            if self.stop.is_raised() {
                return Ok(RunOutcome::Stopped);
            }
            let (files, cost) = match store.restamp(&mut touched, self.sizer.next()) {
                Err(store::StoreError::Stopped) => return Ok(RunOutcome::Stopped),
                Err(store::StoreError::Busy { .. } | store::StoreError::Full { .. }) => break,
                other => other?,
            };
            self.report_unchanged()?;
            self.record(JournalEvent::Restamped { files, cost: cost.into() })?;
            self.count(cost);
            self.sizer.committed(usize::try_from(files).unwrap_or(usize::MAX), cost.hold, cost.rows);
            match self.checkpoint_log(store) {
                Ok(true) => {}
                Ok(false) => return Ok(RunOutcome::Stopped),
                Err(IngestError::Store(store::StoreError::Pinned { .. })) => break,
                Err(error) => return Err(error),
            }
            if !touched.is_empty() {
                self.leave_room(gap_after(cost, neighbours).0);
            }
        }
        Ok(RunOutcome::Completed)
    }
}
