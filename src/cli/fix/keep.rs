//! `waltop fix --keep`: decides for a doubtful log. Nothing is deleted.

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

/// What becomes of a log that may belong to another main file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeepDecision {
    /// It belongs to the main file: its commits are moved there.
    WithLog,
    /// It does not: it is renamed, and the main file stays as it is.
    WithoutLog,
}

/// Carries out `keep` on `path`, after a question.
///
/// # Errors
///
/// Where the log is not in doubt, where something else forbids a connection, or where it fails.
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

/// How the question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAnswer {
    /// It is asked.
    User,
    /// It is not asked: the answer is yes.
    Yes,
    /// It is not asked, and nothing is done.
    DryRun,
}

fn statements(database: &Database, profile: &Profile) -> Vec<String> {
    fix::plan(database, profile, FixExtent::InPlace).into_iter().map(|step| step.sql).collect()
}

/// The database at `path`, whose log is in doubt and which nothing else forbids to open.
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

/// A name that does not end as that of a log does, so that no database takes it for its own.
fn free_name(path: &Path) -> PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    observe::sidecar(path, &format!("-wal.kept-{now}"))
}
