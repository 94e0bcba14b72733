//! `waltop pragmas`: the worker that asks our own connection.

use std::path::PathBuf;

use crate::{database::pragmas, profile::Profile, snapshot::Presence};

use super::say_json;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database.
    database: PathBuf,
    /// What whoever asks has seen there: a worker looks no further.
    #[arg(long)]
    presence: Presence,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let rows = pragmas::ask(&args.database, &Profile::hardened(), args.presence)?;
    say_json(&serde_json::json!({ "rows": rows }))?;
    Ok(0)
}
