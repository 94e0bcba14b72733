//! `waltop report`: what a recording says of the last hours.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jiff::Zoned;

use super::{
    output::print_lines,
    print_json, print_line,
    recorded_time::RecordedTimeArgs,
    recording_dir::{RecordingDir, RedactionArgs, recorded_paths},
};
use crate::{
    config::Config,
    recording::{RecordingSummary, SummaryPage},
    text,
};

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The databases; default: all of the recording.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    #[command(flatten)]
    time: RecordedTimeArgs,
    #[command(flatten)]
    dir: RecordingDir,
    #[command(flatten)]
    redaction: RedactionArgs,
    /// Print the report as JSON.
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Write the report as one HTML page with a drawing of the holds.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: &ReportArgs, config: &Config) -> anyhow::Result<u8> {
    let (from, to) = args.time.span(&Zoned::now())?;
    let recording = args.dir.open(config);
    let databases = recorded_paths(&args.databases, recording.as_ref().ok())?;
    let recording = recording?;
    let databases: Vec<&Path> = databases.iter().map(PathBuf::as_path).collect();
    let summary = RecordingSummary::new(&recording, from, to, &databases, args.redaction.redaction())?;
    if summary.databases.is_empty() {
        anyhow::bail!("nothing was recorded then; waltop report --since 7d reaches farther back");
    }
    if let Some(file) = &args.html {
        let page = SummaryPage(&summary).to_string();
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        print_line(&format!("{} written", text::clean(&file.display().to_string())))?;
    } else if args.json {
        print_json(&summary)?;
    } else {
        print_lines(&summary.to_string())?;
    }
    Ok(0)
}
