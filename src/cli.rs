//! Arguments and subcommands: what was asked, as a value.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "waltop", version, about, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without it, the console opens.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The databases to watch.
    pub databases: Vec<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A client under orders, for tests and the sandbox.
    #[command(hide = true)]
    Actor {
        /// The database.
        database: PathBuf,
        /// Open it with `mode=ro`.
        #[arg(long)]
        read_only: bool,
    },
}

/// Does what was asked.
///
/// # Errors
///
/// Whatever went wrong, as one sentence.
pub fn run(cli: Cli) -> anyhow::Result<u8> {
    use crate::database::actor::{self, Access};
    match cli.command {
        Some(Command::Actor { database, read_only }) => {
            actor::run(&database, if read_only { Access::ReadOnly } else { Access::ReadWrite })?;
            Ok(0)
        }
        None => anyhow::bail!("the console is not built yet"),
    }
}
