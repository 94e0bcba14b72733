//! How a path leads to a database, and under which other paths it is visible.

use std::path::PathBuf;

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
    },
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
