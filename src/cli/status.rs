//! `waltop status`: one look.

use crate::{config::Config, report};

use super::{refuse_unfit, sample_args::SampleArgs, say, say_json};

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    looking: SampleArgs,
    /// Print the snapshot as JSON (its schema is assets/schemas/status.json).
    #[arg(long)]
    json: bool,
}

pub fn run(args: &StatusArgs, config: Config) -> anyhow::Result<u8> {
    let snapshot = args.looking.look(config)?;
    if args.json {
        say_json(&snapshot)?;
    } else {
        say(report::text(&snapshot).trim_end())?;
    }
    if snapshot.databases.len() > 1 {
        refuse_unfit(&snapshot)?;
    }
    Ok(0)
}
