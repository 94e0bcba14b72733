use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pragma compliance with a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PragmaCompliance {
    pub profile: String,
    /// One row for each value and its owner.
    pub rows: Vec<PragmaRow>,
}

/// One pragma's value, and its owner.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PragmaRow {
    pub name: String,
    /// The profile's value; `None` if it has none.
    pub expected: Option<String>,
    /// The actual value; `None` if it cannot be known.
    pub actual: Option<String>,
    pub source: PragmaSource,
    /// Whether it complies; `None` if unknown.
    pub ok: Option<bool>,
    /// The process that the value belongs to, if it belongs to one alone.
    #[serde(default)]
    pub pid: Option<i32>,
    /// A short note: which process was observed, or why the value is unknown.
    pub note: Option<String>,
}

impl PragmaRow {
    /// The owner in a word: the process if the value belongs to one alone, else its source.
    pub fn source_label(&self) -> String {
        self.pid.map_or_else(|| self.source.to_string(), |pid| pid.to_string())
    }
}

/// The owner of the value in a [`PragmaRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PragmaSource {
    /// Kept in the file, read from its header.
    File,
    /// Reported by waltop's own connection.
    Connection,
    /// The default that a client gets if it sets nothing, as documented by SQLite.
    NewClient,
    /// Observed in other processes from outside.
    Observed,
}

impl fmt::Display for PragmaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Connection => "our client",
            Self::NewClient => "new client",
            Self::Observed => "seen",
        })
    }
}
