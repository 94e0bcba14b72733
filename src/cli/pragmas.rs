//! `waltop pragmas`: the worker that reads the pragmas of waltop's own connection.

use std::path::PathBuf;

use crate::{
    config::{Config, profile::Profile},
    database::pragmas,
    observe,
    snapshot::Presence,
};

use super::{look, print_json, refuse_hazard};

#[derive(Debug, clap::Args)]
pub struct PragmasArgs {
    /// The database.
    database: PathBuf,
    /// The state of the database as the caller saw it.
    #[arg(long)]
    presence: Presence,
    /// The profile whose pragmas to read; default: the one in the settings.
    #[arg(long)]
    profile: Option<String>,
}

pub fn run(args: &PragmasArgs, config: &Config) -> anyhow::Result<u8> {
    // Next to a process whose log was deleted, a connection would create a new one.
    refuse_hazard(&look(&args.database, config)?, "not asked")?;
    let profile = match &args.profile {
        Some(name) => &Profile::named(name, &config.places.profiles())?,
        None => config.profile_of(&observe::inspect(&args.database)?),
    };
    let rows = pragmas::ask(&args.database, profile, args.presence)?;
    print_json(&serde_json::json!({ "rows": rows }))?;
    Ok(0)
}
