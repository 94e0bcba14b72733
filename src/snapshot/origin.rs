//! The origin of a process: its program, its folder, its parent and its manager.

use std::{fmt, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The origin of a process. What cannot be read is `None`.
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
    /// Whether its original parent has exited, so that another process has adopted it.
    pub has_lost_parent: Option<bool>,
    /// What became of its standard input, if its original parent has exited; `None` if its other end is there, or that is
    /// not known.
    #[serde(default)]
    pub lost_input: Option<LostInput>,
    /// Whether it leads a session of its own, as `setsid` and service managers make it do.
    #[serde(default)]
    pub leads_session: Option<bool>,
}

/// What became of the standard input of a process: nothing more can come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LostInput {
    /// A pipe that no process has open for writing.
    Pipe,
    /// A Unix-domain socket whose other end is closed.
    Socket,
    /// A terminal whose window is closed.
    Terminal,
}

impl fmt::Display for LostInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "its standard input is a pipe that no process can write to",
            Self::Socket => "its standard input is a socket whose other end is closed",
            Self::Terminal => "its standard input is a terminal that is gone",
        })
    }
}

/// The file that a process was started from.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Executable {
    /// Its current or last path.
    pub path: String,
    /// What happened to it since; `None` if unknown.
    pub state: Option<ExecutableState>,
}

/// What happened to the file that a process was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecutableState {
    Current,
    /// There is no file there.
    Deleted,
    /// Another file is there: the process runs the old one.
    Replaced,
}

/// What keeps a process running, and would restart it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum ProcessManager {
    /// No visible manager.
    Nobody,
    /// A service manager; the name of the unit.
    Service(String),
    /// A container; its name.
    Container(String),
    /// A supervisor that is its parent; its name.
    Supervisor(String),
}

/// Whether init, systemd or a supervisor started a process, by its parent, the command of that and what manages it: it
/// is there to keep others running.
pub fn is_started_by_manager(
    parent: Option<i32>,
    command: Option<&[String]>,
    manager: Option<&ProcessManager>,
) -> bool {
    let program = command.and_then(|command| Path::new(command.first()?).file_name());
    parent == Some(1)
        || program.is_some_and(|name| name == "systemd")
        || matches!(manager, Some(ProcessManager::Supervisor(_)))
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
