//! What the user says of processes that belong to a database: which they are, and when one has outlived its use.

use std::{path::PathBuf, time::Duration};

use regex::Regex;

/// One `[[daemon]]` of the configuration. Of several that match a process the first one counts.
#[derive(Debug, Clone)]
pub struct DaemonRule {
    /// Its name, for evidence.
    pub name: String,
    /// Matches the whole command line, arguments joined by a blank.
    pub pattern: Regex,
    /// Whether there should be only one such process.
    pub singleton: bool,
    /// From what age on an idle one has outlived its use.
    pub max_age: Option<Duration>,
    /// The file in which it keeps its PID.
    pub pidfile: Option<PathBuf>,
    /// Whether such a process is never offered for a stop.
    pub protect: bool,
}

impl DaemonRule {
    /// The first of `rules` that matches `command_line`.
    #[must_use]
    pub fn of<'a>(rules: &'a [Self], command_line: &str) -> Option<&'a Self> {
        rules.iter().find(|rule| rule.pattern.is_match(command_line))
    }
}
