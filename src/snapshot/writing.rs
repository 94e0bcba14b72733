//! How much is written to a database.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units;

/// Commits between the first sample of the last seconds and the newest one.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CommitRate {
    /// Time between the two samples, in ms.
    pub window_ms: f64,
    /// How many commits the counter of the database has counted in that time.
    pub commits: u64,
    pub per_second: f64,
    /// How often the log restarted from its beginning per second. Each time a checkpoint had moved all of it. `None` in
    /// rollback mode, and if it was created again.
    pub restarts_per_second: Option<f64>,
    /// The newest frames of the log; `None` if they were not read, because commits are rare.
    pub newest_frames: Option<CommittedFrames>,
}

impl fmt::Display for CommitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a second", units::per_second(self.per_second))?;
        if let Some(frames) = self.newest_frames {
            write!(f, ", {:.1} pages each", frames.pages_per_commit())?;
        }
        if let Some(restarts) = self.restarts_per_second.filter(|restarts| *restarts > 0.0) {
            write!(f, ", the log restarted {} times a second", units::per_second(restarts))?;
        }
        write!(f, ", in {}", units::duration(self.window_ms))
    }
}

/// Some frames of the log, one after another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CommittedFrames {
    /// How many they are; each is a page that was written.
    pub frames: u32,
    /// By how many commits; at least one.
    pub commits: u32,
    /// How many different pages they are.
    pub pages: u32,
}

impl CommittedFrames {
    /// Pages that a commit wrote, on average.
    pub fn pages_per_commit(self) -> f64 {
        f64::from(self.frames) / f64::from(self.commits.max(1))
    }
}
