//! `waltop pragmas`: the worker that asks our own connection.

use std::path::PathBuf;

use crate::{config::Config, database::pragmas, profile::Profile, snapshot::Presence};

use super::{look, refuse_hazard, say_json};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database.
    database: PathBuf,
    /// What whoever asks has seen there.
    #[arg(long)]
    presence: Presence,
}

pub fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    // Beside a process whose log was deleted, a connection would make a new one.
    refuse_hazard(&look(&args.database, config)?, "not asked")?;
    let rows = pragmas::ask(&args.database, &Profile::hardened(), args.presence)?;
    say_json(&serde_json::json!({ "rows": rows }))?;
    Ok(0)
}
