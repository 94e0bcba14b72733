//! `waltop fix`: set what the file can keep.

use std::path::{Path, PathBuf};

use crate::{config::Config, database, diagnose::fix, report::FixReport};

use super::{asking::confirmed, databases, diagnosed, refuse_hazard, tell_each};

const REFUSAL: &str = "nothing was fixed";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The databases; where none is named, those of the settings, else the default one.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Show the SQL and run none of it.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let paths = databases(&args.databases, config)?;
    let reports = tell_each(&paths, args.json, |path| one(path, args, config), ToString::to_string)?;
    let declined = |report: &FixReport| !(report.applied || report.sql.is_empty() || args.dry_run);
    Ok(u8::from(reports.iter().any(declined)))
}

fn one(path: &Path, args: &Args, config: &Config) -> anyhow::Result<FixReport> {
    let looked = diagnosed(path, config)?;
    let sql: Vec<String> = fix::plan(&looked).into_iter().map(|step| step.sql).collect();
    let report = |sql, applied, in_the_way| FixReport { path: path.to_owned(), sql, applied, in_the_way };
    if args.dry_run {
        let in_the_way = if sql.is_empty() { Vec::new() } else { fix::in_the_way(&looked) };
        return Ok(report(sql, false, in_the_way));
    }
    refuse_hazard(&looked, REFUSAL)?;
    if sql.is_empty() || !confirmed(path, &sql, args.yes)? {
        return Ok(report(sql, false, Vec::new()));
    }
    // Whoever was asked may have taken hours to answer.
    let looked = diagnosed(path, config)?;
    refuse_hazard(&looked, REFUSAL)?;
    let sql = database::fix::apply(path, &looked)?;
    Ok(report(sql, true, Vec::new()))
}
