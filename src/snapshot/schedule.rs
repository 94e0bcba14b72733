//! Scheduled checkpoints: the profile's schedule, and the result of the last one.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CheckpointMode;
use crate::units;

/// A profile's schedule for one database.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CheckpointSchedule {
    /// The mode if it would block no process.
    pub mode: CheckpointMode,
    /// The time between two, in ms.
    pub every_ms: f64,
    /// The last one, by any waltop of this user; `None` if there was none.
    pub last: Option<LastCheckpoint>,
    /// When a console or a daemon that watches now would run the next one.
    pub due_at: Timestamp,
    /// Why a due one would wait, or use a milder mode; `None` if nothing holds it back.
    pub held_back: Option<String>,
}

/// The result of a scheduled checkpoint.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LastCheckpoint {
    pub at: Timestamp,
    /// Its mode.
    pub mode: CheckpointMode,
    /// Why its mode is milder than the profile's.
    pub instead: Option<String>,
    /// Whether it did everything that its mode asks for; `None` while it runs, or if its process died.
    pub complete: Option<bool>,
    /// Frames in the log; `None` if unknown.
    pub frames_in_log: Option<u32>,
    /// Those frames that are in the main file; `None` if unknown.
    pub frames_moved: Option<u32>,
    /// Why it did not finish, or did nothing.
    pub why: Option<String>,
}

impl LastCheckpoint {
    /// One that has just started.
    pub const fn started(at: Timestamp, mode: CheckpointMode, instead: Option<String>) -> Self {
        Self { at, mode, instead, complete: None, frames_in_log: None, frames_moved: None, why: None }
    }

    /// Its result in words.
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
    /// `PASSIVE every 15 m: 812 of 812 frames, 3 m ago`, and what holds the next one back if that is overdue at `now`.
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
