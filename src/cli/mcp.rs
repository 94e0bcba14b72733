//! `waltop mcp`: an MCP server for a client that starts it.

use std::path::PathBuf;

use rustix::process::Signal;

use super::{contract::OUTPUTS, databases, sample_args::databases_to_sample};
use crate::{
    config::Config,
    endings::{self, EndSignals},
    mcp::{self, ServedDatabases, ServerEnd},
};

/// Which databases it serves.
#[derive(Debug, clap::Args)]
pub struct McpArgs {
    /// The databases, or folders with databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also serve the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
}

/// Answers the client on stdin and stdout until it or its process is gone, or a signal comes.
///
/// # Errors
///
/// A database cannot be sampled, or the client speaks another protocol.
pub fn run(args: &McpArgs, config: &Config) -> anyhow::Result<u8> {
    let named = databases::named(&args.databases, args.recursive)?;
    databases::print_notes(&named.notes);
    let served = ServedDatabases::new(databases_to_sample(&named.paths, config)?);
    let schema = |command: &str| {
        let output = OUTPUTS.iter().find(|it| it.command == command)?;
        Some(output.schema().to_value())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let mut signals = EndSignals::listen()?;
        anyhow::Ok(mcp::serve(served, &schema, &mut signals).await?)
    })?;
    Ok(match end {
        ServerEnd::ClientGone | ServerEnd::Signal(Signal::TERM) => 0,
        ServerEnd::Signal(signal) => endings::exit_code(signal),
    })
}
