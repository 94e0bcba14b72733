//! `waltop fix`: set what the file can keep.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::bail;

use crate::{config::Config, database, diagnose::fix, report::FixReport, text};

use super::{databases, diagnosed, refuse_hazard, tell_each};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The databases; the default one where none is named.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Show the SQL and run none of it.
    #[arg(long)]
    dry_run: bool,
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
    if !args.dry_run {
        refuse_hazard(&looked, "nothing was fixed")?;
    }
    let sql: Vec<String> = fix::plan(&looked).into_iter().map(|step| step.sql).collect();
    let applied = !sql.is_empty() && !args.dry_run && confirmed(path, &sql, args)?;
    if applied {
        database::fix::apply(path, &looked)?;
    }
    Ok(FixReport { path: path.to_owned(), sql, applied })
}

fn confirmed(path: &Path, sql: &[String], args: &Args) -> anyhow::Result<bool> {
    if args.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        bail!("nothing was changed: there is no terminal to ask on; give --yes, or --dry-run to see the SQL");
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{}: run {}? [y/N] ", text::clean(&path.display().to_string()), sql.join("; "))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
