//! Arguments and subcommands: what was asked, as a value.

pub mod ingest;
pub mod search;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Parser, Subcommand};

use crate::config::Config;

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
    /// Take folders of documents into a database.
    Ingest(ingest::Args),
    /// Find documents that were taken in.
    Search(search::Args),
    /// A client under orders, for tests and the sandbox.
    #[command(hide = true)]
    Actor {
        /// The database.
        database: PathBuf,
        /// Open it with `mode=ro`.
        #[arg(long)]
        read_only: bool,
        /// Open it as waltop itself does, and bring its tables up to date.
        #[arg(long, conflicts_with = "read_only")]
        migrate: bool,
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
        Some(Command::Ingest(args)) => ingest::run(args, &Config::load()?),
        Some(Command::Search(args)) => search::run(&args, &Config::load()?),
        Some(Command::Actor { database, read_only, migrate }) => {
            let access = match (read_only, migrate) {
                (true, _) => Access::ReadOnly,
                (_, true) => Access::Migrated,
                _ => Access::ReadWrite,
            };
            actor::run(&database, access)?;
            Ok(0)
        }
        None => anyhow::bail!("the console is not built yet"),
    }
}

/// Prints `text`; a reader that has gone away, as `head` does, is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
