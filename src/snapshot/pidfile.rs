//! The files in which daemons record their PIDs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lossy_path;

/// The pidfile of a daemon rule, and the process that has its PID now.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Pidfile {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The PID in it; `None` if there is none.
    pub pid: Option<i32>,
    /// Whether a process has that PID; `None` if unknown.
    pub lives: Option<bool>,
    /// The command line of that process, or its short name in brackets if it has none.
    pub command: Option<String>,
    /// The command lines of processes that have that PID in another PID namespace, such as a container's, and a
    /// different one here.
    #[serde(default)]
    pub inside: Vec<String>,
}
