//! `waltop optimize`: maintenance.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::Config,
    database::{
        optimize::{self, VacuumPreflight},
        stats,
    },
    snapshot::lossy_path,
    units,
};

use super::{diagnosed, each::report_each, output::confirmed, refuse_hazard};

const REFUSAL: &str = "nothing was optimized";

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct OptimizeArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Collect statistics of all tables, not only of those that have changed much.
    #[arg(long)]
    analyze: bool,
    /// Copy the file without its free pages; refused while others have it open, or if the disk may be too small.
    #[arg(long)]
    vacuum: bool,
    /// Print the SQL, the processes that would have to wait and the space that it needs, without running it.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct OptimizeReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub sql: Vec<&'static str>,
    /// Whether it was run, or only printed.
    pub applied: bool,
    /// What a VACUUM needs, if one is requested.
    pub vacuum: Option<VacuumPreflight>,
    /// Bytes of the main file before and, if it was run, after.
    pub bytes_before: Option<u64>,
    pub bytes_after: Option<u64>,
}

pub fn run(args: &OptimizeArgs, config: &Config) -> anyhow::Result<u8> {
    let one = |path: &Path| one(path, args, config);
    let told = report_each(&args.databases, config, args.json, one, ToString::to_string)?;
    Ok(told.exit(|report| !report.applied && !args.dry_run))
}

fn one(path: &Path, args: &OptimizeArgs, config: &Config) -> anyhow::Result<OptimizeReport> {
    let profile = config.profile_of(path);
    let looked = diagnosed(path, config)?;
    refuse_hazard(&looked, REFUSAL)?;
    let stats = stats::read(path, profile, looked.presence())?;
    let steps = optimize::plan(&stats, args.analyze, args.vacuum);
    let sql: Vec<&'static str> = steps.iter().map(|step| step.sql()).collect();
    let vacuum = args.vacuum.then(|| optimize::preflight(&looked, &stats));
    let bytes = |database: &crate::snapshot::Database| database.files.db.as_ref().map(|file| file.bytes);
    let mut report = OptimizeReport {
        path: path.to_owned(),
        sql,
        applied: false,
        vacuum,
        bytes_before: bytes(&looked),
        bytes_after: None,
    };
    if args.dry_run {
        return Ok(report);
    }
    if let Some(preflight) = &report.vacuum {
        preflight.preflight_check(path)?;
    }
    let shown: Vec<String> = report.sql.iter().map(|&sql| sql.to_owned()).collect();
    if !confirmed(path, &shown, args.yes)? {
        return Ok(report);
    }
    // The user may have taken hours to answer.
    let looked = diagnosed(path, config)?;
    refuse_hazard(&looked, REFUSAL)?;
    if args.vacuum {
        optimize::preflight(&looked, &stats).preflight_check(path)?;
    }
    optimize::apply(path, &looked, profile, &steps)?;
    report.applied = true;
    report.bytes_after = bytes(&diagnosed(path, config)?);
    Ok(report)
}

impl fmt::Display for OptimizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.applied { "done" } else { "would run" };
        write!(f, "{}: {what}: {}", self.path.display(), self.sql.join("; "))?;
        if let Some(preflight) = self.vacuum.as_ref().filter(|_| !self.applied) {
            write!(f, "; {preflight}")?;
            if let Err(refusal) = preflight.check_room(&self.path) {
                write!(f, "; {refusal}")?;
            }
        }
        if let (Some(before), Some(after)) = (self.bytes_before, self.bytes_after) {
            write!(f, "; {} before, {} after", units::bytes(before), units::bytes(after))?;
        }
        Ok(())
    }
}
