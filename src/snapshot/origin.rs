//! Where a process comes from: its program, its folder, and who started and runs it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a process comes from. What cannot be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ProcessOrigin {
    /// The program that it runs.
    pub executable: Option<Executable>,
    pub directory: Option<String>,
    /// Whether it has a controlling terminal.
    pub has_terminal: Option<bool>,
    pub manager: Option<ProcessManager>,
    /// The command line of its parent, as it was when the two were first seen.
    #[serde(default)]
    pub parent_command: Option<Vec<String>>,
    /// Whether the process that started it has died, so that another has taken it in.
    pub has_lost_parent: Option<bool>,
}

/// The file that a process was started from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Executable {
    /// Where it lies, or lay.
    pub path: String,
    /// What has become of it; `None` where that cannot be told.
    pub state: Option<ExecutableState>,
}

/// What has become of the file that a process was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutableState {
    Current,
    /// There is no file there.
    Deleted,
    /// Another file is there: the process runs the old one.
    Replaced,
}

/// Who keeps a process running, and would start it again.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum ProcessManager {
    /// Nobody that can be seen.
    Nobody,
    /// A service manager, as the unit of this name.
    Service(String),
    /// A container of this name.
    Container(String),
    /// Its parent, a supervisor of this name.
    Supervisor(String),
}

impl fmt::Display for ProcessManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Service(name) => write!(f, "the service {name}"),
            Self::Container(name) => write!(f, "the container {name}"),
            Self::Supervisor(name) => write!(f, "the supervisor {name}"),
        }
    }
}
