//! `waltop status`: one sample.

use crate::{config::Config, report};

use super::{print_json, print_line, refuse_unfit, sample_args::SampleArgs};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    looking: SampleArgs,
    /// Print the snapshot as JSON (its schema is assets/schemas/status.json).
    #[arg(long)]
    json: bool,
}

pub fn run(args: &StatusArgs, config: Config) -> anyhow::Result<u8> {
    let snapshot = args.looking.sample(config)?;
    if args.json {
        print_json(&snapshot)?;
    } else {
        print_line(report::text(&snapshot).trim_end())?;
    }
    if snapshot.databases.len() > 1 {
        refuse_unfit(&snapshot)?;
    }
    Ok(0)
}
