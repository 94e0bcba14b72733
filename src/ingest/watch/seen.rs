//! What a run left out, for the watch to say what is new of it.

use super::super::{
    Summary,
    progress::{Committed, Progress},
};
use crate::snapshot::FailedFile;

/// What is gathered while it goes on.
#[derive(Debug, Default)]
pub struct Seen {
    /// Files that failed.
    pub failed: Vec<FailedFile>,
    /// Files that are in only in part.
    pub warned: Vec<FailedFile>,
}

impl Progress for Seen {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &Committed) {}

    fn failed(&mut self, file: &FailedFile) {
        self.failed.push(file.clone());
    }

    fn warned(&mut self, file: &FailedFile) {
        self.warned.push(file.clone());
    }

    fn finished(&mut self, _summary: &Summary) {}
}
