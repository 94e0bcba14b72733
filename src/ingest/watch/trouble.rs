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

/// `error` without the advice to do what a watch does by itself.
pub fn without_advice(error: &str) -> &str {
    let advice = [", then run this again to resume", ", run this again to resume", ", then run this again"];
    advice.iter().find_map(|advice| error.strip_suffix(advice)).unwrap_or(error)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_of_the_store_tells_a_watch_to_run_again() {
        let path = || "/x.db".to_owned();
        let errors = [
            StoreError::Busy { path: path(), seconds: 30.0, holder: None },
            StoreError::Replaced { path: path() },
            StoreError::Full { doing: "write to", path: path() },
        ];
        let mut told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        told.push(
            "cannot write to /x.db: disk I/O error; what was committed stays, run this again to resume"
                .to_owned(),
        );
        for told in told {
            assert!(told.contains("run this again"), "{told}");
            let rest = without_advice(&told);
            assert!(rest.contains("/x.db") && !rest.contains("again"), "{rest}");
        }
        assert_eq!(without_advice("/x is being taken in"), "/x is being taken in");
    }
}
