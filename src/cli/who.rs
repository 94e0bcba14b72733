//! `waltop who`: who held the locks at a recorded moment.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Zoned};

use super::{
    output::print_lines,
    print_json,
    recording_dir::{RecordingDir, RedactionArgs, recorded_paths},
};
use crate::{
    config::{Config, duration_of},
    recording::{WhoReport, time_of},
};

#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// The databases; default: all of the recording.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// The moment: 03:12:07, "2026-11-30 03:12:07" or "10 min ago". A time without a date is the latest past one.
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Also report what happened this long before and after it.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "30s")]
    around: Duration,
    #[command(flatten)]
    dir: RecordingDir,
    #[command(flatten)]
    redaction: RedactionArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &WhoArgs, config: &Config) -> anyhow::Result<u8> {
    let at = time_of(&args.at, &Zoned::now())?;
    let recording = args.dir.open(config);
    let databases = recorded_paths(&args.databases, recording.as_ref().ok())?;
    let recording = recording?;
    let databases: Vec<&Path> = databases.iter().map(PathBuf::as_path).collect();
    let around = SignedDuration::try_from(args.around)?;
    let report = WhoReport::new(&recording, at, around, &databases, args.redaction.redaction())?;
    if args.json {
        print_json(&report)?;
    } else {
        print_lines(&report.to_string())?;
    }
    Ok(report.exit())
}
