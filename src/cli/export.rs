//! `waltop export`: a recording in the format of another program.

use std::{fs::File, io::BufWriter, path::PathBuf};

use anyhow::Context;
use jiff::Zoned;

use super::{
    print_line,
    recorded_time::RecordedTimeArgs,
    recording_dir::{RecordingDir, RedactionArgs},
};
use crate::{config::Config, recording, text, units};

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Write a trace that Perfetto (<https://ui.perfetto.dev>) opens.
    #[arg(long, value_name = "FILE")]
    perfetto: PathBuf,
    #[command(flatten)]
    time: RecordedTimeArgs,
    #[command(flatten)]
    dir: RecordingDir,
    #[command(flatten)]
    redaction: RedactionArgs,
}

pub fn run(args: &ExportArgs, config: &Config) -> anyhow::Result<u8> {
    let (from, to) = args.time.span(&Zoned::now())?;
    let recording = args.dir.open(config)?;
    let name = text::clean(&args.perfetto.display().to_string());
    let file = File::create(&args.perfetto).with_context(|| format!("cannot write {name}"))?;
    let events =
        recording::export(&recording, from, to, args.redaction.redaction(), &mut BufWriter::new(file))?;
    print_line(&format!("{name} written: {}", units::plural(events, "event")))?;
    Ok(0)
}
