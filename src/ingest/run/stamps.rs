//! What follows the batches where files were touched and have the content that they had.

use std::{collections::VecDeque, mem};

use super::{Error, Run, gap_after};
use crate::{
    ingest::{
        neighbours::Neighbours,
        store::{self, Store, stamps::Touched},
    },
    journal::{Event, Outcome},
    units::milliseconds,
};

impl Run<'_> {
    /// Notes the stamps of those files, so that the next run need not read them again. All that is to be in is in by
    /// now: where the lock or room cannot be had, the rest is left to the next run.
    pub(super) fn restamp_all(
        &mut self,
        store: &mut Store,
        neighbours: &Neighbours,
    ) -> Result<Outcome, Error> {
        let mut touched: VecDeque<Touched> = mem::take(&mut self.touched).into();
        while !touched.is_empty() {
            if self.stop.is_raised() {
                return Ok(Outcome::Stopped);
            }
            let (files, cost) = match store.restamp(&mut touched, self.sizer.next()) {
                Err(store::Error::Stopped) => return Ok(Outcome::Stopped),
                Err(store::Error::Busy { .. } | store::Error::Full { .. }) => break,
                other => other?,
            };
            self.tell_unchanged()?;
            self.tell(Event::Restamped {
                files,
                wait_ms: milliseconds(cost.wait),
                hold_ms: milliseconds(cost.hold),
                retries: cost.retries,
            })?;
            self.count(cost);
            self.sizer.committed(usize::try_from(files).unwrap_or(usize::MAX), cost.hold, cost.rows);
            match self.relieve(store) {
                Ok(true) => {}
                Ok(false) => return Ok(Outcome::Stopped),
                Err(Error::Store(store::Error::Pinned { .. })) => break,
                Err(error) => return Err(error),
            }
            if !touched.is_empty() {
                self.leave_room(gap_after(cost, neighbours).0);
            }
        }
        Ok(Outcome::Completed)
    }
}
