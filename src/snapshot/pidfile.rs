//! The files in which daemons keep their PIDs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lossy_path;

/// The pidfile of a daemon rule, and who has its PID now.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Pidfile {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The PID in it; `None` where there is none.
    pub pid: Option<i32>,
    /// Whether a process has that PID; `None` where that cannot be told.
    pub lives: Option<bool>,
    /// The command line of that process, or its short name in brackets where it has none.
    pub command: Option<String>,
    /// The command lines of those that have that PID in a PID namespace of their own, as in a container, and another
    /// one here.
    #[serde(default)]
    pub inside: Vec<String>,
}
