//! `waltop status`: one sample.

use crate::{
    config::Config,
    report::{self, LocksReport},
};

use super::{print_json, print_line, refuse_unfit, sample_args::SampleArgs};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    looking: SampleArgs,
    /// Print the locks only, with the processes that hold or want one.
    #[arg(long)]
    locks: bool,
    /// Print the snapshot as JSON (its schema is assets/schemas/status.json).
    #[arg(long)]
    json: bool,
}

pub fn run(args: &StatusArgs, config: Config) -> anyhow::Result<u8> {
    let snapshot = args.looking.sample(config)?;
    match (args.locks, args.json) {
        (false, true) => print_json(&snapshot)?,
        (false, false) => print_line(report::text(&snapshot).trim_end())?,
        (true, true) => print_json(&LocksReport::new(&snapshot))?,
        (true, false) => print_line(report::locks_text(&snapshot).trim_end())?,
    }
    if snapshot.databases.len() > 1 {
        refuse_unfit(&snapshot)?;
    }
    Ok(0)
}
