//! The output of `waltop rescue`.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{rescue::CopiedBytes, snapshot::lossy_path, units};

/// What `integrity_check` does not prove.
const NO_PROOF: &str =
    "integrity_check finds damaged pages, not missing commits: compare the row counts with what you expect";

#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct CopyReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Errors of `integrity_check`; empty if there are none.
    pub errors: Vec<String>,
    /// Whether its main file alone is complete, without a log or journal beside it.
    pub is_complete: bool,
}

impl CopyReport {
    fn verdict(&self) -> String {
        let left =
            if self.is_complete { "" } else { "; keep the files beside it: its log was not recovered" };
        match self.errors.as_slice() {
            [] => format!("integrity_check ok{left}"),
            [first] => format!("integrity_check: {first}{left}"),
            [first, rest @ ..] => {
                format!("integrity_check: {first}, and {} more{left}", units::count(rest.len() as u64))
            }
        }
    }
}

/// The rows of a table, in a copy from a process.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct TableRows {
    pub name: String,
    /// Its rows; `None` if they could not be counted.
    pub rows: Option<u64>,
}

/// The rows of a table in both copies. `None` if there is no such table, or they could not be counted.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct TablePair {
    pub name: String,
    /// Its rows with the log.
    pub with_log: Option<u64>,
    pub without_log: Option<u64>,
}

/// The result of a copy from a process.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct ProcessRescue {
    /// The database, by the path on the command line.
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The process that it was copied from.
    pub pid: i32,
    pub copied: CopiedBytes,
    pub copy: CopyReport,
    pub tables: Vec<TableRows>,
}

impl ProcessRescue {
    /// Whether the copy has no errors.
    pub fn is_good(&self) -> bool {
        self.copy.errors.is_empty() && self.copy.is_complete
    }
}

impl fmt::Display for ProcessRescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.copied.frozen { ", which was stopped meanwhile," } else { "" };
        writeln!(
            f,
            "{} copied from process {}{how} to {}: {}",
            self.path.display(),
            self.pid,
            self.copy.path.display(),
            what(&self.copied)
        )?;
        let width = width(self.tables.iter().map(|it| &it.name));
        for TableRows { name, rows } in &self.tables {
            writeln!(f, "  {name:<width$}  {:>12} rows", known(*rows))?;
        }
        writeln!(f, "{}", self.copy.verdict())?;
        f.write_str(NO_PROOF)
    }
}

/// The result of two copies, with the log and without it.
#[derive(Debug, Clone, JsonSchema, Serialize)]
pub struct LogRescue {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub copied: CopiedBytes,
    /// The copy with the log applied.
    pub with_log: CopyReport,
    pub without_log: CopyReport,
    pub tables: Vec<TablePair>,
}

impl LogRescue {
    /// Whether neither copy has errors.
    pub fn is_good(&self) -> bool {
        [&self.with_log, &self.without_log].iter().all(|it| it.errors.is_empty() && it.is_complete)
    }
}

impl fmt::Display for LogRescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} copied twice: {}", self.path.display(), what(&self.copied))?;
        for copy in [&self.with_log, &self.without_log] {
            writeln!(f, "  {}: {}", copy.path.display(), copy.verdict())?;
        }
        let width = width(self.tables.iter().map(|it| &it.name));
        writeln!(f, "  {:<width$}  {:>12}  {:>12}", "rows", "with log", "without log")?;
        for TablePair { name, with_log, without_log } in &self.tables {
            writeln!(f, "  {name:<width$}  {:>12}  {:>12}", known(*with_log), known(*without_log))?;
        }
        f.write_str(NO_PROOF)
    }
}

fn what(copied: &CopiedBytes) -> String {
    let mut what = format!("{} of the main file", units::bytes(copied.main_bytes));
    if copied.frames > 0 {
        what += &format!(", {} of the log", units::plural(copied.frames.into(), "committed frame"));
    }
    if copied.journal_bytes > 0 {
        what += &format!(", a rollback journal of {}", units::bytes(copied.journal_bytes));
    }
    what
}

fn known(rows: Option<u64>) -> String {
    rows.map_or_else(|| "–".to_owned(), units::count)
}

fn width<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or_default().max(4)
}
