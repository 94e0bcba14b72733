//! How a path leads to a database, and under which other paths it is visible.

use std::{fmt, path::PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the path leads to the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PathReach {
    /// In the same way for every process of this mount namespace.
    #[default]
    Direct,
    /// Through `/proc/PID/root` or `/proc/PID/cwd` into the files of that process. SQLite follows links by their text,
    /// and would open another file.
    ThroughProcess {
        pid: i32,
        /// Whether it has exited since the database was first seen. The data then comes from the directory opened at
        /// that time.
        has_ended: bool,
        /// When that was noticed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_at: Option<Timestamp>,
    },
}

/// A change between two samples in how the path leads to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReachChange {
    /// The process has exited, and no other one has the same files: its container is gone.
    Gone { since: Timestamp },
    /// Another process leads there, of a container that was started again.
    Back { pid: i32, gone_since: Timestamp },
}

impl PathReach {
    /// What has changed since it was `before`.
    pub fn change_from(self, before: Self) -> Option<ReachChange> {
        let gone_since = |reach| match reach {
            Self::ThroughProcess { has_ended: true, ended_at, .. } => ended_at,
            _ => None,
        };
        match (gone_since(before), gone_since(self), self) {
            (None, Some(since), _) => Some(ReachChange::Gone { since }),
            (Some(gone_since), None, Self::ThroughProcess { pid, .. }) => {
                Some(ReachChange::Back { pid, gone_since })
            }
            _ => None,
        }
    }
}

impl fmt::Display for ReachChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &Timestamp| at.strftime("%H:%M:%SZ").to_string();
        match self {
            Self::Gone { since } => {
                write!(f, "is gone since {}: no process has its files any more", time(since))
            }
            Self::Back { pid, gone_since } => {
                write!(
                    f,
                    "is there again, in the files of process {pid}; it was gone since {}",
                    time(gone_since)
                )
            }
        }
    }
}

/// An overlay mount whose upper directory contains the database.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OverlayMount {
    /// Where the merged tree is mounted, in the mount namespace of `pid`.
    #[serde(serialize_with = "super::lossy_path")]
    pub merged: PathBuf,
    /// A process in that mount namespace.
    pub pid: i32,
}
