//! `waltop who`: who held the locks at a recorded moment.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Zoned};

use super::{databases, print_json, print_line};
use crate::{
    config::{Config, duration_of},
    paths,
    recording::{Recording, WhoReport, time_of},
    text,
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
    /// The folder of the recordings, or a file of it [default: `recordings` in waltop's state folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &WhoArgs, config: &Config) -> anyhow::Result<u8> {
    let at = time_of(&args.at, &Zoned::now())?;
    let databases = recorded_paths(&args.databases)?;
    let recording = Recording::open(&recordings(args.dir.as_ref(), config))?;
    let databases: Vec<&Path> = databases.iter().map(PathBuf::as_path).collect();
    let around = SignedDuration::try_from(args.around)?;
    let report = WhoReport::new(&recording, at, around, &databases)?;
    if args.json {
        print_json(&report)?;
    } else {
        let lines: Vec<String> = report.to_string().lines().map(text::clean).collect();
        print_line(&lines.join("\n"))?;
    }
    Ok(report.exit())
}

/// The folder of recordings that a command reads.
pub fn recordings(dir: Option<&PathBuf>, config: &Config) -> PathBuf {
    dir.cloned().unwrap_or_else(|| config.places.recordings())
}

/// `named` as a recording names databases. They need not exist any more.
pub fn recorded_paths(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let absolute = |path: &PathBuf| {
        let path = databases::named_path(path)?;
        Ok(paths::canonical_or_future(&path).unwrap_or(path))
    };
    named.iter().map(absolute).collect()
}
