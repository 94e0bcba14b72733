//! What a run tells its journal, and whoever follows it.

use std::mem;

use super::{Error, Run};
use crate::{
    ingest::{discover::Discovery, journal_error},
    journal::Event,
    snapshot::FailedFile,
};

impl Run<'_> {
    pub(super) fn discovered(&mut self, discovery: &Discovery, changed: usize) -> Result<(), Error> {
        self.summary.unchanged = (discovery.found.len() - changed) as u64;
        self.summary.files_total = (discovery.found.len() + discovery.failed.len()) as u64;
        let (files, unchanged) = (self.summary.files_total, self.summary.unchanged);
        self.tell(Event::Discovered { files, unchanged })?;
        self.progress.discovered(files, unchanged);
        discovery.failed.iter().try_for_each(|file| self.failed(file.clone()))?;
        discovery.warned.iter().try_for_each(|file| self.warned(file.clone()))
    }

    pub(super) fn tell_unchanged(&mut self) -> Result<(), Error> {
        match mem::take(&mut self.untold_vanished) {
            0 => {}
            files => self.tell(Event::Vanished { files })?,
        }
        match mem::take(&mut self.untold_unchanged) {
            0 => Ok(()),
            files => self.tell(Event::Unchanged { files }),
        }
    }

    pub(super) fn failed(&mut self, file: FailedFile) -> Result<(), Error> {
        let FailedFile { path, reason } = file.clone();
        self.progress.failed(&file);
        self.summary.failed.push(file);
        self.tell(Event::FileFailed { path, reason })
    }

    pub(super) fn warned(&mut self, file: FailedFile) -> Result<(), Error> {
        let FailedFile { path, reason } = file.clone();
        self.progress.warned(&file);
        self.summary.warned.push(file);
        self.tell(Event::FileWarned { path, reason })
    }

    pub(super) fn tell(&mut self, event: Event) -> Result<(), Error> {
        self.journal.tell(event).map_err(|source| journal_error(&self.request.runs, source))
    }
}
