//! `waltop replay`: the console on a recording.

use std::path::PathBuf;

use anyhow::bail;
use jiff::{Timestamp, tz::TimeZone};

use super::recording_dir::RecordingDir;
use crate::{
    config::Config,
    console,
    recording::{Recording, local_time, time_of},
    replay::Replay,
};

#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The folder of the recordings, or a file of it [default: `recordings` in waltop's state folder].
    #[arg(value_name = "DIR|FILE", conflicts_with = "dir")]
    recording: Option<PathBuf>,
    #[command(flatten)]
    dir: RecordingDir,
    /// The moment to begin at: 03:12:07, "2026-11-30 03:12:07" or "10 min ago", seen from the end of the recording
    /// [default: its end].
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Recorded seconds that it plays in a second, from 0.25 to 256.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    speed: f64,
}

pub fn run(args: &ReplayArgs, config: &Config) -> anyhow::Result<u8> {
    if !Replay::SPEEDS.contains(&args.speed) {
        bail!("--speed {} is not from 0.25 to 256: give a number in that range", args.speed);
    }
    let recording = match &args.recording {
        Some(recording) => Recording::open(recording)?,
        None => args.dir.open(config)?,
    };
    let at = args.at.as_ref().map(|text| moment(text, &recording)).transpose()?;
    Ok(console::replay(config, recording, at, args.speed)?)
}

fn moment(text: &str, recording: &Recording) -> anyhow::Result<Timestamp> {
    let Some((first, last)) = recording.span()? else { bail!("the recording has no line") };
    let at = time_of(text, &last.to_zoned(TimeZone::system()))?;
    if at < first || at > last {
        let [first, last] = [first, last].map(local_time);
        bail!("--at {text} is not in the recording: it reaches from {first} to {last}");
    }
    Ok(at)
}
