//! `waltop actor`: a client that runs given statements, for tests and the sandbox.

use std::path::PathBuf;

use crate::database::actor::{self, ActorAccess};

#[derive(Debug, clap::Args)]
pub struct ActorArgs {
    /// The database.
    database: PathBuf,
    /// Open it with `mode=ro`.
    #[arg(long)]
    read_only: bool,
    /// Open it as waltop itself does, and migrate its tables.
    #[arg(long, conflicts_with = "read_only")]
    migrate: bool,
    /// The name under which it runs.
    #[arg(long)]
    role: Option<String>,
}

pub fn run(args: &ActorArgs) -> anyhow::Result<u8> {
    let access = match args {
        ActorArgs { read_only: true, .. } => ActorAccess::ReadOnly,
        ActorArgs { migrate: true, .. } => ActorAccess::Migrated,
        ActorArgs { .. } => ActorAccess::ReadWrite,
    };
    actor::run(&args.database, access, args.role.as_deref())?;
    Ok(0)
}
