use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EmbeddingSummary;
use crate::{
    snapshot::{DurationSpread, FailedFile},
    state::journal::RunOutcome,
    units,
};

/// What a run did, and what it left out.
#[derive(Debug, Clone, JsonSchema, Serialize, Deserialize)]
pub struct RunSummary {
    /// Name of the run and of its journal; `None` if it was stopped before it had one.
    pub run: Option<String>,
    /// Documents that were found, and paths that could not be read.
    pub files_total: u64,
    pub ingested: u64,
    /// The path of the document that was ingested, if it was one only.
    #[serde(default)]
    pub ingested_file: Option<String>,
    /// Documents that needed no write.
    pub unchanged: u64,
    /// Documents that were deleted because they are no longer in the folder.
    pub removed: u64,
    /// Documents that could not be ingested.
    pub failed: Vec<FailedFile>,
    /// Documents that were ingested only in part: what was left out, and why.
    pub warned: Vec<FailedFile>,
    /// Files that git tracks and an ignore file excludes; they are in no other count. `None` if the index of a repository
    /// could not be read.
    #[serde(default)]
    pub ignored_tracked: Option<u64>,
    pub batches: u64,
    /// From start to end, in ms.
    pub elapsed_ms: f64,
    /// Holds of the write lock in ms; `None` if there were none.
    pub hold: Option<DurationSpread>,
    /// Waits for the write lock in ms; `None` if there were none.
    pub wait: Option<DurationSpread>,
    /// How often the write lock was refused.
    pub retries: u64,
    /// Result of embedding; `None` if it was not requested, or not reached.
    #[serde(default)]
    pub embedding: Option<EmbeddingSummary>,
    pub outcome: RunOutcome,
}

impl RunSummary {
    /// A run that ended with `outcome` before it did anything.
    pub(crate) fn of_nothing(run: Option<String>, outcome: RunOutcome) -> Self {
        Self {
            run,
            files_total: 0,
            ingested: 0,
            ingested_file: None,
            unchanged: 0,
            removed: 0,
            failed: Vec::new(),
            warned: Vec::new(),
            ignored_tracked: None,
            batches: 0,
            elapsed_ms: 0.0,
            hold: None,
            wait: None,
            retries: 0,
            embedding: None,
            outcome,
        }
    }

    /// The exit code of the command: 0 all documents are in, 1 something failed or was not embedded, 130 stopped.
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            RunOutcome::Stopped => 130,
            _ if self.failed.is_empty()
                && self.embedding.as_ref().is_none_or(EmbeddingSummary::is_complete) =>
            {
                0
            }
            _ => 1,
        }
    }
}

impl fmt::Display for RunSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = match self.outcome {
            RunOutcome::Stopped => "stopped: ",
            RunOutcome::Completed | RunOutcome::Failed => "",
        };
        let [ingested, total, unchanged] =
            [self.ingested, self.files_total, self.unchanged].map(units::count);
        write!(f, "{ended}{ingested} of {total} ingested")?;
        if let Some(path) = &self.ingested_file {
            write!(f, " ({path})")?;
        }
        write!(f, ", {unchanged} unchanged")?;
        for (count, what) in [
            (self.removed, "removed"),
            (self.failed.len() as u64, "failed"),
            (self.warned.len() as u64, "in part"),
            (self.ignored_tracked.unwrap_or_default(), "ignored that git tracks"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", units::count(count))?;
            }
        }
        if let Some(embedding) = &self.embedding {
            write!(f, ", {embedding}")?;
        }
        write!(f, " in {}", units::duration(self.elapsed_ms))
    }
}
