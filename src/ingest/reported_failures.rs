//! What deserves a journal when runs follow each other all day: what no earlier run has reported.

use std::collections::BTreeSet;

use crate::{
    snapshot::FailedFile,
    state::journal::{JournalEvent, RunOutcome},
};

/// What the previous run reported, and what this one adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportedFailures {
    failed: BTreeSet<(String, String)>,
    error: Option<String>,
    /// How many of `failed` failed again.
    again: usize,
}

impl ReportedFailures {
    /// After a run that left `failed` out, and ended with `error` if it had one.
    pub fn after(failed: &[FailedFile], error: Option<String>) -> Self {
        Self { failed: failed.iter().map(pair).collect(), error, again: 0 }
    }

    /// Adds the `error` of a run that reported nothing else.
    pub fn and_error(self, error: String) -> Self {
        Self { error: Some(error), ..self }
    }

    /// Whether `file` was reported with the same reason.
    pub fn knows(&self, file: &FailedFile) -> bool {
        self.failed.contains(&pair(file))
    }

    /// Whether a file was reported that is not among `failed`, as when it was mended or removed.
    pub fn has_more_than(&self, failed: &[FailedFile]) -> bool {
        failed.iter().filter(|file| self.knows(file)).count() < self.failed.len()
    }

    /// Whether `event` deserves a journal, together with the events before it.
    pub(super) fn is_new(&mut self, event: &JournalEvent) -> bool {
        match event {
            JournalEvent::Batch { .. }
            | JournalEvent::Removed { .. }
            | JournalEvent::Merged { .. }
            | JournalEvent::LogPinned { .. }
            | JournalEvent::Embedded { .. }
            | JournalEvent::Related { .. } => true,
            JournalEvent::FileFailed { path, reason } => {
                let known = self.failed.contains(&(path.clone(), reason.clone()));
                self.again += usize::from(known);
                !known
            }
            JournalEvent::Finished { outcome, error } => match outcome {
                // The end of an error or failure is new.
                RunOutcome::Completed => self.error.is_some() || self.again < self.failed.len(),
                RunOutcome::Failed => *error != self.error,
                RunOutcome::Stopped => false,
            },
            JournalEvent::Started { .. }
            | JournalEvent::SetUp { .. }
            | JournalEvent::Discovered { .. }
            | JournalEvent::Unchanged { .. }
            | JournalEvent::Restamped { .. }
            | JournalEvent::FileWarned { .. }
            | JournalEvent::Vanished { .. }
            | JournalEvent::Embedding { .. }
            // The next document that is written reports it.
            | JournalEvent::EmbeddingEnded { .. }
            | JournalEvent::Unknown => false,
        }
    }
}

fn pair(file: &FailedFile) -> (String, String) {
    (file.path.clone(), file.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::journal::RecordedCost;

    fn failed(path: &str) -> FailedFile {
        FailedFile { path: path.to_owned(), reason: "it is bad".to_owned() }
    }

    fn is_new(told: &ReportedFailures, fails: &[&str], outcome: RunOutcome, error: Option<&str>) -> bool {
        let mut news = told.clone();
        let mut events = vec![
            JournalEvent::Discovered { files: 9, unchanged: 1, ignored_tracked: None },
            JournalEvent::Unchanged { files: 2 },
        ];
        events.extend(fails.iter().map(|path| {
            let FailedFile { path, reason } = failed(path);
            JournalEvent::FileFailed { path, reason }
        }));
        events.push(JournalEvent::Finished { outcome, error: error.map(str::to_owned) });
        events.iter().any(|event| news.is_new(event))
    }

    #[test]
    fn what_failed_before_for_the_same_reason_is_no_news() {
        let told = ReportedFailures::after(&[failed("a"), failed("b")], None);
        assert!(told.knows(&failed("a")) && !told.knows(&failed("c")));
        for (fails, expected) in
            [(&["a", "b"][..], false), (&["a", "b", "c"], true), (&["b"], true), (&[], true)]
        {
            assert_eq!(is_new(&told, fails, RunOutcome::Completed, None), expected, "{fails:?}");
        }
        assert!(!is_new(&told, &["a"], RunOutcome::Stopped, None));
    }

    #[test]
    fn trouble_is_reported_once_and_its_end_too() {
        let calm = ReportedFailures::default();
        assert!(!is_new(&calm, &[], RunOutcome::Completed, None));
        assert!(is_new(&calm, &[], RunOutcome::Failed, Some("locked")));
        let locked = calm.and_error("locked".to_owned());
        assert!(!is_new(&locked, &[], RunOutcome::Failed, Some("locked")));
        assert!(is_new(&locked, &[], RunOutcome::Failed, Some("full")));
        assert!(is_new(&locked, &[], RunOutcome::Completed, None));
    }

    #[test]
    fn what_was_written_is_news() {
        let batch = JournalEvent::Batch { files: 1, bytes: 1, cost: RecordedCost::default(), decided: None };
        assert!(ReportedFailures::default().is_new(&batch));
    }
}
