//! `waltop ingest`: one ingestion.

use std::{path::PathBuf, time::Duration};

use crate::{
    config::Config,
    document::value::{duration_of, size_of},
    ingest::{
        self, Batch, Request,
        progress::{self, Progress, Silent},
    },
    paths,
};

use super::{fit, say, say_json};

/// What to take in, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folders of documents.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The database; by default the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// Files per transaction: `auto` is as many as `--hold` allows.
    #[arg(long, value_name = "auto|N", default_value = "auto", allow_negative_numbers = true)]
    batch: Batch,
    /// How long a batch of `auto` may keep the write lock.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "25ms")]
    hold: Duration,
    /// Begin the documents' names with NAME instead of the folder's path.
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// Take hidden files and folders in, too.
    #[arg(long)]
    hidden: bool,
    /// Leave out files larger than SIZE.
    #[arg(long, value_name = "SIZE", value_parser = size_of, default_value = "16MiB")]
    max_file_size: u64,
    /// Give up where others keep the write lock for longer than this.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "30s")]
    budget: Duration,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
    /// Leave the terminal that started it, and print nothing but why it failed.
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs one ingestion; SIGINT and SIGTERM end it after the current batch.
///
/// # Errors
///
/// Where it cannot be made or ends early; what was committed stays.
pub fn run(args: Args, config: &Config) -> anyhow::Result<u8> {
    if args.detached {
        // It refuses only a process that leads a group already, and then nothing is lost.
        let _ = rustix::process::setsid();
    }
    let database = args.db.unwrap_or_else(|| config.places.default_database.clone());
    let database = if database.exists() { fit(&database, config, "nothing was taken in")? } else { database };
    // One that is not there yet may have a profile already, under the name that it will have.
    let settled = paths::settled(&database).unwrap_or_else(|_| database.clone());
    let request = Request {
        batch: args.batch,
        profile: config.profile_of(&settled).clone(),
        hold: args.hold,
        root: args.root,
        hidden: args.hidden,
        max_file_size: args.max_file_size,
        busy_budget: args.budget,
        ..Request::new(args.folders, database, &config.places)
    };
    let mut progress: Box<dyn Progress> =
        if args.json || args.detached { Box::new(Silent) } else { progress::on_stderr() };
    let summary = ingest::run(&request, &ingest::stop_on_signals()?, &mut *progress)?;
    if args.json {
        say_json(&summary)?;
    } else {
        say(&summary.to_string())?;
    }
    Ok(summary.exit_code())
}
