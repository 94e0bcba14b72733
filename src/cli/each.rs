//! A command over several databases, which are processed independently.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{config::Config, database::health, observe, report::DatabaseReports, text};

use super::{databases, print_json, print_line, unnamed};

/// The exit code if a database failed.
const FAILED: u8 = 2;

/// The result of a command over several databases.
pub struct BatchReport<T> {
    /// Results of the databases that succeeded.
    reports: Vec<T>,
    /// Number of the others.
    failures: usize,
}

impl<T> BatchReport<T> {
    /// The exit code: 2 if one failed, 1 if a report `is_bad`.
    pub fn exit(&self, is_bad: impl Fn(&T) -> bool) -> u8 {
        if self.failures > 0 { FAILED } else { u8::from(self.reports.iter().any(is_bad)) }
    }
}

/// Runs `one` for each database of a command, and prints its result. With several databases, a failure prints one line
/// to stderr and the others continue.
///
/// # Errors
///
/// The only database fails, or the user stops the command.
pub fn report_each<T: serde::Serialize>(
    named: &[PathBuf],
    config: &Config,
    json: bool,
    one: impl Fn(&Path) -> anyhow::Result<T>,
    line: impl Fn(&T) -> String,
) -> anyhow::Result<BatchReport<T>> {
    let meant = if named.is_empty() { unnamed(config) } else { named };
    let is_alone = meant.len() == 1;
    let mut told = BatchReport { reports: Vec::new(), failures: 0 };
    let mut end = None;
    for path in meant {
        let inspected = if is_alone { alone(named, config) } else { one_of(path, named, config) };
        match inspected.and_then(|path| one(&path)) {
            Ok(report) => {
                if !json {
                    // Names of processes and files come from outside.
                    print_line(&text::clean(&line(&report)))?;
                }
                told.reports.push(report);
            }
            Err(error) if is_alone || ends_all(&error) => {
                end = Some(error);
                break;
            }
            Err(error) => {
                told.failures += 1;
                let line = text::clean(&format!("{}: {error}", path.display()));
                // If stderr is closed, the exit code still reports the failure.
                let _ = writeln!(io::stderr(), "waltop: {line}");
            }
        }
    }
    // A script that reads JSON treats an empty stdout as a refusal.
    if json && !told.reports.is_empty() {
        print_json(&DatabaseReports { databases: told.reports.iter().collect() })?;
    }
    end.map_or(Ok(told), Err)
}

/// The only database of the command, inspected.
fn alone(named: &[PathBuf], config: &Config) -> anyhow::Result<PathBuf> {
    databases(named, config)?.into_iter().next().context("no database is meant")
}

/// `path`, inspected, which is one of several: of those `named`, or of the settings if none is named.
fn one_of(path: &Path, named: &[PathBuf], config: &Config) -> anyhow::Result<PathBuf> {
    let listed_in = config.places.config.display();
    observe::inspect(path).map_err(|error| {
        if named.is_empty() { anyhow!("{error}; it is listed in {listed_in}") } else { anyhow!(error) }
    })
}

/// Whether the user wanted to stop the whole command, and not only this database.
fn ends_all(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(health::HealthError::Stopped))
}
