//! `waltop export`: a recording in the format of another program.

use std::{fs::File, io::BufWriter, path::PathBuf};

use anyhow::Context;
use jiff::Zoned;

use super::{
    print_line,
    recorded_time::RecordedTimeArgs,
    recording_dir::{RecordingDir, RedactionArgs},
};
use crate::{
    config::Config,
    recording::{PerfettoExport, PerfettoFormat},
    text, units,
};

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Write a trace that Perfetto (<https://ui.perfetto.dev>) opens.
    #[arg(long, value_name = "FILE")]
    perfetto: PathBuf,
    /// Format of the trace [default: protobuf if FILE ends in .pftrace or .perfetto-trace, else json].
    #[arg(long, value_name = "FORMAT")]
    format: Option<PerfettoFormat>,
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
    let format = args.format.unwrap_or_else(|| PerfettoFormat::of_file(&args.perfetto));
    let export = PerfettoExport { from, to, redaction: args.redaction.redaction(), format };
    let events = export.write(&recording, &mut BufWriter::new(file))?;
    print_line(&format!("{name} written: {}", units::plural(events, "event")))?;
    Ok(0)
}
