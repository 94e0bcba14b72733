//! The only place that reads the operating system and the watched files.

pub mod journals;

use std::path::PathBuf;

use crate::{config::Places, history::Trend, snapshot::Snapshot};

/// Looks at databases from outside.
#[derive(Debug)]
pub struct Observer;

impl Observer {
    /// An observer of `databases`.
    #[must_use]
    pub fn new(_places: &Places, _databases: Vec<PathBuf>) -> Self {
        Self
    }

    /// One look.
    pub fn look(&mut self) -> Snapshot {
        unimplemented!()
    }

    /// What happened lately to the database at `index`.
    #[must_use]
    pub fn trend(&self, _index: usize) -> Trend {
        Trend::default()
    }
}
