use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a checkpoint goes.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    JsonSchema,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointMode {
    /// Checkpoint what is possible without waiting.
    #[default]
    Passive,
    /// Block writers, wait for readers, checkpoint everything.
    Full,
    /// The same, then wait until the log can restart.
    Restart,
    /// The same, then truncate the log to 0 bytes.
    Truncate,
}

impl CheckpointMode {
    /// All of them, the least blocking first.
    pub const ALL: [Self; 4] = [Self::Passive, Self::Full, Self::Restart, Self::Truncate];

    /// Its effect, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Passive => "PASSIVE moves what can be moved and blocks no process.",
            Self::Full => "FULL holds the write lock and waits for readers, to move everything.",
            Self::Restart => "RESTART does as FULL, then waits until the log can restart.",
            Self::Truncate => "TRUNCATE does as RESTART, then cuts the log to nothing.",
        }
    }

    /// Whether it holds the write lock while it waits for readers.
    #[must_use]
    pub fn blocks_writers(self) -> bool {
        self != Self::Passive
    }

    /// Whether it requires that no reader uses the log, not even at its newest frame.
    #[must_use]
    pub fn needs_empty_slots(self) -> bool {
        matches!(self, Self::Restart | Self::Truncate)
    }
}

impl fmt::Display for CheckpointMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passive => "PASSIVE",
            Self::Full => "FULL",
            Self::Restart => "RESTART",
            Self::Truncate => "TRUNCATE",
        })
    }
}
