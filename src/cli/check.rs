//! `waltop check`: findings, for CI and cron.

use clap::ValueEnum;

use crate::{
    config::{Config, profile::Profile},
    report::CheckReport,
    snapshot::Severity,
};

use super::{print_json, print_line, refuse_unfit, sample_args::SampleArgs};

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    looking: SampleArgs,
    /// Check the databases against this profile.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Minimum severity that makes the command fail; milder findings are still printed.
    #[arg(long, value_enum, ignore_case = true, default_value_t = FailureLevel::Warning)]
    fail_on: FailureLevel,
    /// Print the findings as JSON (its schema is assets/schemas/check.json).
    #[arg(long)]
    json: bool,
}

/// What counts as a failure.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailureLevel {
    /// Warnings and errors.
    Warning,
    /// Errors only.
    Error,
}

pub fn run(args: &CheckArgs, mut config: Config) -> anyhow::Result<u8> {
    if let Some(name) = &args.profile {
        config.hold_all_to(Profile::named(name, &config.places.profiles())?);
    }
    let snapshot = args.looking.sample(config)?;
    if snapshot.databases.len() == 1 {
        refuse_unfit(&snapshot)?;
    }
    let unfit = refuse_unfit(&snapshot);
    let fail_on = match args.fail_on {
        FailureLevel::Warning => Severity::Warning,
        FailureLevel::Error => Severity::Error,
    };
    let report = CheckReport::new(snapshot, fail_on, args.looking.duration());
    if args.json {
        print_json(&report)?;
    } else {
        print_line(report.to_string().trim_end())?;
    }
    unfit.map(|()| report.exit)
}
