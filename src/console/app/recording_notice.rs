//! What the console reports about a recording, its own or one that it replays.

use std::fmt;

use log::Level;

use crate::recording::{ReplayRemark, TimeError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingNotice {
    /// The recorder cannot write.
    Pauses {
        why: String,
    },
    GoesOn,
    /// The time on the screen was not watched.
    Unwatched,
    /// Of the player.
    Remark(ReplayRemark),
    /// What was typed is no time.
    NoTime(TimeError),
    /// The recording does not have that time.
    NotRecorded {
        from: String,
        to: String,
    },
}

impl RecordingNotice {
    pub fn level(&self) -> Level {
        match self {
            Self::Pauses { .. } => Level::Error,
            Self::NoTime(_) | Self::NotRecorded { .. } => Level::Warn,
            Self::GoesOn | Self::Unwatched | Self::Remark(_) => Level::Info,
        }
    }
}

impl fmt::Display for RecordingNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pauses { why } => {
                write!(
                    f,
                    "nothing is recorded for now: {why}; free some space in the folder of the recordings"
                )
            }
            Self::GoesOn => f.write_str("recording goes on"),
            Self::Unwatched => f.write_str("nothing is known of this time: it was not watched"),
            Self::Remark(ReplayRemark::NoOtherFinding) => {
                f.write_str("no further warning or error in this direction")
            }
            Self::Remark(ReplayRemark::RepeatedTime) => f.write_str(
                "the recording has this time more than once, since the clock was set back; go to it again for the one before",
            ),
            Self::NoTime(error) => error.fmt(f),
            Self::NotRecorded { from, to } => write!(f, "the recording reaches from {from} to {to}"),
        }
    }
}
