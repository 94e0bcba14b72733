//! A command over several databases: each is done, or told why not, by itself.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{config::Config, database::health, observe, report::DatabaseReports, text};

use super::{databases, print_json, print_line, unnamed};

/// The exit code where something could not be done.
const FAILED: u8 = 2;

/// What came of a command over several databases.
pub struct BatchReport<T> {
    /// Of those that it was done with.
    reports: Vec<T>,
    /// How many of the others there were.
    failures: usize,
}

impl<T> BatchReport<T> {
    /// The exit code: 2 where one failed, 1 where a report `is_bad`.
    pub fn exit(&self, is_bad: impl Fn(&T) -> bool) -> u8 {
        if self.failures > 0 { FAILED } else { u8::from(self.reports.iter().any(is_bad)) }
    }
}

/// Does `one` with each database that a command means, and tells what came of it. Where several are meant, one that
/// fails has its line on stderr and keeps nothing of the others back.
///
/// # Errors
///
/// Where a single database is meant and fails, and where the user ended it.
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
                // Whoever does not read stderr still has the exit code.
                let _ = writeln!(io::stderr(), "waltop: {line}");
            }
        }
    }
    // Whoever reads JSON takes an empty stdout for a refusal.
    if json && !told.reports.is_empty() {
        print_json(&DatabaseReports::new(told.reports.iter().collect()))?;
    }
    end.map_or(Ok(told), Err)
}

/// The single database that is meant, inspected.
fn alone(named: &[PathBuf], config: &Config) -> anyhow::Result<PathBuf> {
    databases(named, config)?.into_iter().next().context("no database is meant")
}

/// `path`, inspected, which is one of several: of those `named`, or where there are none of those of the settings.
fn one_of(path: &Path, named: &[PathBuf], config: &Config) -> anyhow::Result<PathBuf> {
    let listed_in = config.places.config.display();
    observe::inspect(path).map_err(|error| {
        if named.is_empty() { anyhow!("{error}; it is listed in {listed_in}") } else { anyhow!(error) }
    })
}

/// Whether the user meant the whole command, and not this database only.
fn ends_all(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(health::HealthError::Stopped))
}
