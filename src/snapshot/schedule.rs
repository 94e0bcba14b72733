//! Checkpoints at regular times: what a profile asks for, and what came of the last one.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CheckpointMode;
use crate::units;

/// A profile's schedule for one database.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointSchedule {
    /// How far each is to go where nobody would be blocked.
    pub mode: CheckpointMode,
    /// The time between two, in ms.
    pub every_ms: f64,
    /// The last one, whoever of this user's waltops ran it; `None` where there was none.
    pub last: Option<LastCheckpoint>,
    /// When a console or a daemon that watches now would run the next one.
    pub due_at: Timestamp,
    /// Why one that is due now would wait, or go less far; `None` where nothing keeps it back.
    pub held_back: Option<String>,
}

/// What came of a scheduled checkpoint.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LastCheckpoint {
    pub at: Timestamp,
    /// How far it was to go.
    pub mode: CheckpointMode,
    /// Why it was to go less far than the profile asks.
    pub instead: Option<String>,
    /// Whether it did all that it was to do; `None` while it runs, or where whoever ran it has died.
    pub complete: Option<bool>,
    /// Frames in the log; `None` where that is not known.
    pub frames_in_log: Option<u32>,
    /// Frames of those that are in the main file; `None` where that is not known.
    pub frames_moved: Option<u32>,
    /// Why it did not do all, or nothing.
    pub why: Option<String>,
}

impl LastCheckpoint {
    /// One that has just begun.
    pub const fn started(at: Timestamp, mode: CheckpointMode, instead: Option<String>) -> Self {
        Self { at, mode, instead, complete: None, frames_in_log: None, frames_moved: None, why: None }
    }

    /// What came of it, in words.
    pub fn outcome(&self) -> String {
        let mut words = match (self.frames_moved, self.frames_in_log, self.complete) {
            (Some(moved), Some(all), _) => {
                format!("{} of {}", units::count(moved.into()), units::plural(all.into(), "frame"))
            }
            (_, _, None) => "it has not ended".to_owned(),
            (_, _, Some(true)) => "complete".to_owned(),
            (_, _, Some(false)) => "incomplete".to_owned(),
        };
        for why in self.why.iter().chain(&self.instead) {
            words.push_str(&format!("; {why}"));
        }
        words
    }
}

impl CheckpointSchedule {
    /// `PASSIVE every 15 m: 812 of 812 frames, 3 m ago`, and what keeps the next one back where that is overdue at `now`.
    pub fn describe(&self, now: Timestamp) -> String {
        let every = units::duration(self.every_ms);
        let mut words = format!("{} every {every}: ", self.mode);
        match &self.last {
            None => words.push_str("none yet"),
            Some(last) => {
                let ago = units::duration((now.duration_since(last.at).as_secs_f64() * 1e3).max(0.0));
                words.push_str(&format!("{}, {ago} ago", last.outcome()));
            }
        }
        if let Some(why) = self.held_back.as_ref().filter(|_| self.due_at <= now) {
            words.push_str(&format!("; now: {why}"));
        }
        words
    }
}
