//! Pragma compliance.

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

/// One pragma's value, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PragmaRow {
    pub name: String,
    /// What the profile asks for; `None` where it does not care.
    pub expected: Option<String>,
    /// What it is; `None` where nobody can know.
    pub actual: Option<String>,
    pub source: PragmaSource,
    /// Whether it complies; `None` where that cannot be told.
    pub ok: Option<bool>,
    /// The process whose value it is, where it is that of one alone.
    #[serde(default)]
    pub pid: Option<i32>,
    /// A word more: who was seen doing it, or why it is unknown.
    pub note: Option<String>,
}

impl PragmaRow {
    /// Whose value it is, in a word: the process where it is that of one alone, else its source.
    pub fn source_label(&self) -> String {
        self.pid.map_or_else(|| self.source.to_string(), |pid| pid.to_string())
    }
}

/// Whose value a [`PragmaRow`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PragmaSource {
    /// Kept in the file, read from its header.
    File,
    /// What our own factory's connection reports.
    Connection,
    /// What a client that sets nothing gets, as documented by SQLite.
    NewClient,
    /// Seen of other processes from outside.
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
