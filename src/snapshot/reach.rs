//! How a path leads to a database, and under what other paths it is shown.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the path leads to the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PathReach {
    /// As it does for every process of this mount namespace.
    #[default]
    Direct,
    /// Through `/proc/PID/root` or `/proc/PID/cwd` into the files of that process, where SQLite, which follows links by
    /// their text, would open another file.
    ThroughProcess {
        pid: i32,
        /// Whether it has ended since the database was first seen. What is shown comes from the directory opened then.
        has_ended: bool,
    },
}

/// An overlay mount whose upper directory the database lies in.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OverlayMount {
    /// Where the merged tree is mounted, in the mount namespace of `pid`.
    #[serde(serialize_with = "super::lossy_path")]
    pub merged: PathBuf,
    /// A process that lives in that mount namespace.
    pub pid: i32,
}
