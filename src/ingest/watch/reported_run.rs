//! What a run tells while it is at work, kept for the watch.

use crate::{
    ingest::{
        RunSummary,
        progress::{CommittedBatch, RunProgress},
    },
    snapshot::FailedFile,
};

/// What a run left out, for the watch to say what is new of it.
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
