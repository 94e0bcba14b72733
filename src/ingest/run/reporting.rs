//! What a run reports to its journal and to its observer.

use std::{mem, path::Path};

use super::{IngestError, IngestRun, store::WaitListener};
use crate::{
    database::holder::write_lock_holder,
    ingest::{RunSummary, discover::Discovery, journal_error},
    snapshot::FailedFile,
    state::journal::JournalEvent,
};

impl IngestRun<'_> {
    /// Says during a long wait for the write lock of `database` which process has it.
    pub(super) fn long_wait(&self, database: &Path) -> WaitListener {
        let (note, database) = (self.progress.wait_note(), database.to_owned());
        WaitListener::new(move || {
            // Not the configurable `/proc`: this is about a lock that this very process was refused.
            let holder = write_lock_holder(&database, Path::new("/proc"));
            let holder = holder.map_or_else(|| "another process".to_owned(), |it| it.to_string());
            note(&format!("{holder} holds the write lock"));
        })
    }

    pub(super) fn discovered(&mut self, discovery: &Discovery, changed: usize) -> Result<(), IngestError> {
        self.summary.unchanged = (discovery.found.len() - changed) as u64;
        self.summary.files_total = (discovery.found.len() + discovery.failed.len()) as u64;
        self.summary.ignored_tracked = discovery.ignored_tracked;
        let RunSummary { files_total: files, unchanged, ignored_tracked, .. } = self.summary;
        self.record(JournalEvent::Discovered { files, unchanged, ignored_tracked })?;
        self.progress.discovered(files, unchanged);
        discovery.failed.iter().try_for_each(|file| self.failed(file.clone()))?;
        discovery.warned.iter().try_for_each(|file| self.warned(file.clone()))
    }

    pub(super) fn report_unchanged(&mut self) -> Result<(), IngestError> {
        match mem::take(&mut self.untold_vanished) {
            0 => {}
            files => self.record(JournalEvent::Vanished { files })?,
        }
        match mem::take(&mut self.untold_unchanged) {
            0 => Ok(()),
            files => self.record(JournalEvent::Unchanged { files }),
        }
    }

    pub(super) fn failed(&mut self, file: FailedFile) -> Result<(), IngestError> {
        let FailedFile { path, reason } = file.clone();
        self.progress.failed(&file);
        self.summary.failed.push(file);
        self.record(JournalEvent::FileFailed { path, reason })
    }

    pub(super) fn warned(&mut self, file: FailedFile) -> Result<(), IngestError> {
        let FailedFile { path, reason } = file.clone();
        self.progress.warned(&file);
        self.summary.warned.push(file);
        self.record(JournalEvent::FileWarned { path, reason })
    }

    pub(super) fn record(&mut self, event: JournalEvent) -> Result<(), IngestError> {
        self.journal.record(event).map(drop).map_err(|source| journal_error(&self.request.runs, source))
    }
}
