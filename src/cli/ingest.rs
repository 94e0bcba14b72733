//! `waltop ingest`: one ingestion.

use std::path::PathBuf;

use crate::{
    config::Config,
    ingest::{
        self, Batch, Request,
        progress::{self, Progress, Silent},
    },
};

/// What to take in, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folders of documents.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The database; by default the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// Files per transaction: `auto` is as many as keep the write lock for about 25 ms.
    #[arg(long, value_name = "auto|N", default_value = "auto")]
    batch: Batch,
    /// Begin the documents' names with NAME instead of the folder's path.
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// Take hidden files and folders in, too.
    #[arg(long)]
    hidden: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs one ingestion; SIGINT and SIGTERM end it after the current batch.
///
/// # Errors
///
/// Where it cannot be made or ends early; what was committed stays.
pub fn run(args: Args, config: &Config) -> anyhow::Result<u8> {
    let database = args.db.unwrap_or_else(|| config.places.default_database.clone());
    let request = Request {
        batch: args.batch,
        root: args.root,
        hidden: args.hidden,
        ..Request::new(args.folders, database, &config.places)
    };
    let mut progress: Box<dyn Progress> = if args.json { Box::new(Silent) } else { progress::on_stderr() };
    let summary = ingest::run(&request, &ingest::stop_on_signals()?, &mut *progress)?;
    let told = if args.json { serde_json::to_string_pretty(&summary)? } else { summary.to_string() };
    super::print(&format!("{told}\n"))?;
    Ok(summary.exit_code())
}
