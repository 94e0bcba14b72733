//! `waltop mcp`: an MCP server for a client that starts it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::{contract::OUTPUTS, databases, sample_args::databases_to_sample};
use crate::{
    config::Config,
    endings::{self, EndSignals},
    mcp::{self, AllowedAction, ServedPaths, ServerEnd, ServerRequest},
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
    /// Also serve tools that change something, of these. Each runs dry unless the client says otherwise.
    #[arg(long, value_enum, ignore_case = true, value_name = "ACTION", value_delimiter = ',')]
    allow: Vec<AllowedAction>,
    /// A folder that the client may ingest; can be repeated.
    #[arg(long = "folder", value_name = "DIR", requires = "allow")]
    folders: Vec<PathBuf>,
}

impl McpArgs {
    /// Whether its client may change something.
    pub fn changes_something(&self) -> bool {
        !self.allow.is_empty()
    }

    /// The folders by the paths that they have now.
    fn served_folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let may_ingest = self.allow.contains(&AllowedAction::Ingest);
        if may_ingest == self.folders.is_empty() {
            bail!("--allow ingest and --folder DIR need each other: DIR is what the client may ingest");
        }
        let named = |folder: &PathBuf| {
            let path = folder
                .canonicalize()
                .with_context(|| format!("cannot serve the folder {}", folder.display()))?;
            if path.is_dir() { Ok(path) } else { bail!("{} is no folder; give one", folder.display()) }
        };
        self.folders.iter().map(named).collect()
    }
}

/// Answers the client on stdin and stdout until it or its process is gone, or a signal comes.
///
/// # Errors
///
/// A database cannot be sampled, or the client speaks another protocol.
pub fn run(args: &McpArgs, config: &Config) -> anyhow::Result<u8> {
    let named = databases::named(&args.databases, args.recursive)?;
    databases::print_notes(&named.notes);
    let served = ServerRequest {
        databases: ServedPaths::databases(databases_to_sample(&named.paths, config)?),
        folders: ServedPaths::folders(args.served_folders()?),
        allowed: args.allow.clone(),
    };
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
