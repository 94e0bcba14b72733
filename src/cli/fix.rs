//! `waltop fix`: set what the file can keep.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use crate::{
    config::{Config, profile::Profile},
    database::{self, optimize, stats},
    diagnose::{
        checkpoint::CheckpointBlocker,
        fix::{self, FixExtent},
        guard,
    },
    report::FixReport,
    snapshot::Database,
    text,
};

use super::{diagnosed, each::report_each, output::confirmed, refuse_hazard};

mod keep;

use keep::{KeepAnswer, KeepDecision};

const REFUSAL: &str = "nothing was fixed";

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct FixArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Check against this profile instead of the configured one.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Apply settings that need a VACUUM too. It copies the whole file; refused while other processes have it open.
    #[arg(long)]
    vacuum: bool,
    /// Decide about a log that may belong to another main file (see: waltop explain doubtful-log), and do nothing else.
    #[arg(long, value_enum, conflicts_with = "vacuum")]
    keep: Option<KeepDecision>,
    /// Print the SQL without running it.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &FixArgs, config: &Config) -> anyhow::Result<u8> {
    let one = |path: &Path| one(path, args, config);
    let told = report_each(&args.databases, config, args.json, one, ToString::to_string)?;
    let declined = |report: &FixReport| !(report.applied || report.sql.is_empty() || args.dry_run);
    Ok(told.exit(declined))
}

fn one(path: &Path, args: &FixArgs, config: &Config) -> anyhow::Result<FixReport> {
    let profile = &match &args.profile {
        Some(name) => Profile::named(name, &config.places.profiles())?,
        None => config.profile_of(path).clone(),
    };
    if let Some(keep) = args.keep {
        let ask = match (args.dry_run, args.yes) {
            (true, _) => KeepAnswer::DryRun,
            (false, true) => KeepAnswer::Yes,
            (false, false) => KeepAnswer::User,
        };
        return keep::decide(path, keep, ask, config);
    }
    let extent = if args.vacuum { FixExtent::WithVacuum } else { FixExtent::InPlace };
    let looked = diagnosed(path, config)?;
    let sql: Vec<String> = fix::plan(&looked, profile, extent).into_iter().map(|step| step.sql).collect();
    let report = |sql: Vec<String>, applied, looked: &Database| {
        let in_the_way = if applied || sql.is_empty() { Vec::new() } else { fix::in_the_way(looked) };
        FixReport {
            path: path.to_owned(),
            sql,
            applied,
            in_the_way,
            users: fix::users(looked),
            left_alone: fix::left_alone(looked, profile, extent),
        }
    };
    if args.dry_run {
        let mut planned = report(sql, false, &looked);
        // A refusal applies to all steps.
        let refusal = guard::refusal(&looked, geteuid().is_root()).filter(|_| !planned.sql.is_empty());
        planned.in_the_way.extend(refusal.map(|it| CheckpointBlocker {
            pid: it.pid,
            label: None,
            why: it.to_string(),
        }));
        return Ok(planned);
    }
    refuse_hazard(&looked, REFUSAL)?;
    let asked = report(sql, false, &looked);
    if asked.sql.is_empty() {
        return Ok(asked);
    }
    if !args.yes && !asked.users.is_empty() {
        let users: Vec<String> = asked.users.iter().map(|it| text::clean(&it.why)).collect();
        let _ = writeln!(io::stderr(), "open in {}", users.join(", "));
    }
    if !confirmed(path, &asked.sql, args.yes)? {
        return Ok(asked);
    }
    // The user may have taken hours to answer.
    let looked = diagnosed(path, config)?;
    refuse_hazard(&looked, REFUSAL)?;
    let steps = fix::plan(&looked, profile, extent);
    if steps.iter().any(|step| step.sql == fix::VACUUM) {
        let stats = stats::read(path, profile, looked.presence())?;
        optimize::preflight(&looked, &stats).preflight_check(path)?;
    }
    let sql = database::fix::apply(path, &looked, profile, steps)?;
    Ok(report(sql, true, &looked))
}
