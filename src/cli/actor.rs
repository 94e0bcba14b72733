//! `waltop actor`: a client under orders, for tests and the sandbox.

use std::path::PathBuf;

use crate::database::actor::{self, Access};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database.
    database: PathBuf,
    /// Open it with `mode=ro`.
    #[arg(long)]
    read_only: bool,
    /// The name under which it runs.
    #[arg(long)]
    role: Option<String>,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let access = if args.read_only { Access::ReadOnly } else { Access::ReadWrite };
    actor::run(&args.database, access, args.role.as_deref())?;
    Ok(0)
}
