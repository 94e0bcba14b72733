//! `waltop fix --keep`: decides about a doubtful log. It deletes nothing.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use rustix::process::geteuid;

use crate::{
    config::{Config, profile::Profile},
    database::{self, kept_log},
    diagnose::{
        fix::{self, FixExtent},
        guard::{self, ForbiddingFact},
    },
    observe,
    report::FixReport,
    snapshot::{Database, FindingKind},
};

use super::super::{diagnosed, output::confirmed};

/// What to do with a log that may belong to another main file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeepDecision {
    /// The log belongs to the main file: checkpoint it.
    WithLog,
    /// It does not: rename the log, and leave the main file unchanged.
    WithoutLog,
}

/// Carries out `keep` on `path`, after a confirmation.
///
/// # Errors
///
/// The log is not doubtful, something else forbids a connection, or it fails.
pub fn decide(
    path: &Path,
    keep: KeepDecision,
    ask: KeepAnswer,
    config: &Config,
) -> anyhow::Result<FixReport> {
    let database = with_doubtful_log(path, config)?;
    let profile = config.profile_of(path);
    let away = free_name(path);
    let report = |sql: Vec<String>, applied, database: &Database| FixReport {
        path: path.to_owned(),
        sql,
        applied,
        in_the_way: Vec::new(),
        users: fix::users(database),
        left_alone: Vec::new(),
    };
    let sql = match keep {
        KeepDecision::WithLog => statements(&database, profile),
        KeepDecision::WithoutLog => vec![format!("mv {} {}", log(path).display(), away.display())],
    };
    if ask == KeepAnswer::DryRun || !confirmed(path, &sql, ask == KeepAnswer::Yes)? {
        return Ok(report(sql, false, &database));
    }
    // The answer may have taken hours.
    let mut database = with_doubtful_log(path, config)?;
    match keep {
        KeepDecision::WithLog => {
            guard::accept_log(&mut database);
            let steps = fix::plan(&database, profile, FixExtent::InPlace);
            let sql = database::fix::apply(path, &database, profile, steps)?;
            Ok(report(sql, true, &database))
        }
        KeepDecision::WithoutLog => {
            kept_log::rename_log(path, &log(path), &away)?;
            Ok(report(sql, true, &database))
        }
    }
}

/// How to get the confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAnswer {
    /// Ask the user.
    User,
    /// Do not ask: the answer is yes.
    Yes,
    /// Do not ask, and do nothing.
    DryRun,
}

fn statements(database: &Database, profile: &Profile) -> Vec<String> {
    fix::plan(database, profile, FixExtent::InPlace).into_iter().map(|step| step.sql).collect()
}

/// The database at `path`, if its log is doubtful and nothing else forbids to open it.
fn with_doubtful_log(path: &Path, config: &Config) -> anyhow::Result<Database> {
    let database = diagnosed(path, config)?;
    match guard::refusal(&database, geteuid().is_root()) {
        Some(refusal) if refusal.fact == ForbiddingFact::Finding(FindingKind::DoubtfulLog) => {
            let mut accepted = database.clone();
            guard::accept_log(&mut accepted);
            guard::allow(&accepted, geteuid().is_root())
                .map_err(|why| anyhow!("{}, since data could be lost: {why}", super::REFUSAL))?;
            Ok(database)
        }
        Some(refusal) => bail!("{}, since data could be lost: {refusal}", super::REFUSAL),
        None => bail!("{}: the log of {} is not in doubt; leave --keep out", super::REFUSAL, path.display()),
    }
}

fn log(path: &Path) -> PathBuf {
    observe::sidecar(path, "-wal")
}

/// A name with another ending than a log's, so that no database uses it as its own.
fn free_name(path: &Path) -> PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    observe::sidecar(path, &format!("-wal.kept-{now}"))
}
