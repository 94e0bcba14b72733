//! What is wrong, and what to do about it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that is wrong, with its evidence.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Finding {
    pub name: String,
    pub severity: Severity,
    /// The process that it is about, where there is one.
    pub pid: Option<i32>,
    /// One sentence for a person.
    pub message: String,
    /// The figures behind the sentence.
    pub evidence: serde_json::Map<String, serde_json::Value>,
    pub remedy: Remedy,
}

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What puts a finding right.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Remedy {
    /// The console's key, where one does it.
    pub key: Option<String>,
    /// The command that does it.
    pub command: Option<String>,
}
