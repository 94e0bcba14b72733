//! What the errors and failures of a run mean to a watch, which retries by itself.

use crate::{
    database::factory,
    ingest::{
        IngestError, RunSummary, StoreError, discover,
        progress::{CommittedBatch, RunProgress},
    },
    snapshot::FailedFile,
};

/// Whether a watch may start in spite of `error`, because it is temporary.
pub fn is_waited_for(error: &IngestError) -> bool {
    match error {
        IngestError::Running { .. } | IngestError::Folder(discover::DiscoverError::NoDocuments(_)) => true,
        IngestError::Store(error) => matches!(
            error,
            StoreError::Busy { .. } | StoreError::Open(factory::OpenError::Busy { .. }) | StoreError::Stopped
        ),
        _ => false,
    }
}

/// What a run left out, so that the watch reports only new failures.
#[derive(Debug, Default)]
pub(super) struct ReportedRun {
    pub failed: Vec<FailedFile>,
    pub warned: Vec<FailedFile>,
}

impl RunProgress for ReportedRun {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &CommittedBatch) {}

    fn failed(&mut self, file: &FailedFile) {
        self.failed.push(file.clone());
    }

    fn warned(&mut self, file: &FailedFile) {
        self.warned.push(file.clone());
    }

    fn finished(&mut self, _summary: &RunSummary) {}
}
