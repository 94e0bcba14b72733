use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::{Config, duration_of, size_of},
    ingest::{
        self, BatchSetting, IngestRequest,
        discover::{self, DocumentCount},
        progress::{self, RunProgress, SilentProgress},
    },
    observe, paths,
    snapshot::lossy_path,
    state::journal::RunOutcome,
    text, units,
};

use super::{embed::EmbedArgs, fit, print_json, print_line};

/// What to ingest, and how; also the arguments of a watch.
#[derive(Debug, clap::Args)]
pub struct IngestTarget {
    /// The folders of documents.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The database; default: the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// Files per transaction: `auto` is as many as `--hold` allows.
    #[arg(long, value_name = "auto|N", default_value = "auto", allow_negative_numbers = true)]
    batch: BatchSetting,
    /// How long a batch of `auto` may hold the write lock, by default 25ms; invalid with a number of files.
    #[arg(long, value_name = "DURATION", value_parser = duration_of)]
    hold: Option<Duration>,
    /// Use NAME instead of the folder's path as the prefix of document names.
    #[arg(long, value_name = "NAME")]
    root: Option<String>,
    /// Ingest hidden files and folders too.
    #[arg(long)]
    hidden: bool,
    /// Skip files larger than SIZE.
    #[arg(long, value_name = "SIZE", value_parser = size_of, default_value = "16MiB")]
    max_file_size: u64,
    /// Give up if other processes hold the write lock for longer than this.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "30s")]
    budget: Duration,
    #[command(flatten)]
    embed: EmbedArgs,
}

/// One ingestion.
#[derive(Debug, clap::Args)]
pub struct IngestArgs {
    #[command(flatten)]
    what: IngestTarget,
    /// Ingest nothing: count the documents in the folders.
    #[arg(long, conflicts_with_all = ["hidden", "max_file_size"])]
    pub dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[arg(long, hide = true)]
    detached: bool,
}

/// The output of `waltop ingest --dry-run`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct IngestPreview {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    database: PathBuf,
    /// Whether `--dry-run` was given: it was.
    dry_run: bool,
    folders: Vec<CountedFolder>,
}

/// What an ingestion would find in a folder.
#[derive(Debug, JsonSchema, Serialize)]
struct CountedFolder {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    folder: PathBuf,
    /// Its documents, those included that an ingestion would leave as they are.
    files: usize,
    bytes: u64,
    /// `false`: it was stopped, and there may be more.
    is_complete: bool,
}

impl IngestTarget {
    /// The request, for a database to which a connection loses no data now.
    ///
    /// # Errors
    ///
    /// It is not a database, or a connection could lose commits.
    pub fn request(self, config: &Config) -> anyhow::Result<IngestRequest> {
        if let (BatchSetting::Files(files), Some(_)) = (self.batch, self.hold) {
            bail!(
                "--hold is for --batch auto only: a batch of {files} files takes as long as it takes; leave one out"
            );
        }
        let database = self.db.unwrap_or_else(|| config.places.default_database.clone());
        let database = fit_or_new(database, config)?;
        // A new database may have a profile already, under its future name.
        let settled = paths::canonical_or_future(&database).unwrap_or_else(|_| database.clone());
        let request = IngestRequest::new(self.folders, database, &config.places);
        Ok(IngestRequest {
            profile: config.profile_of(&settled).clone(),
            batch: self.batch,
            hold: self.hold.unwrap_or(request.hold),
            root: self.root,
            hidden: self.hidden,
            max_file_size: self.max_file_size,
            busy_budget: self.budget,
            embed: self.embed.options(),
            ..request
        })
    }
}

/// `database`, which may be new, if a connection to it loses no data now.
///
/// # Errors
///
/// It is not a database, or a connection could lose commits.
pub fn fit_or_new(database: PathBuf, config: &Config) -> anyhow::Result<PathBuf> {
    if database.exists() || observe::is_container_path(&database) {
        fit(&database, config, "nothing was ingested")
    } else {
        Ok(database)
    }
}

/// Runs one ingestion. INT, TERM and HUP stop it after the current batch, a second INT or TERM at once.
///
/// # Errors
///
/// It cannot start, or ends early; what was committed stays.
pub fn run(args: IngestArgs, config: &Config) -> anyhow::Result<u8> {
    if args.detached {
        // It refuses only if the process already leads a group, and then nothing is lost.
        let _ = rustix::process::setsid();
    }
    let is_default = args.what.db.is_none();
    let request = args.what.request(config)?;
    if args.dry_run {
        let preview = preview(&request)?;
        if args.json {
            print_json(&preview)?;
        } else {
            preview.lines().iter().try_for_each(|line| print_line(line))?;
        }
        return Ok(0);
    }
    let mut progress: Box<dyn RunProgress> =
        if args.json || args.detached { Box::new(SilentProgress) } else { progress::on_stderr() };
    let stop = ingest::stop_on_signals()?;
    let summary = ingest::run(&request, &stop, &mut *progress)?;
    if is_default && !args.json && !args.detached {
        let into = text::clean(&request.database.display().to_string());
        let _ = writeln!(io::stderr(), "without --db, into {into}");
    }
    let said = if args.json { print_json(&summary) } else { print_line(&summary.to_string()) };
    if summary.outcome != RunOutcome::Stopped {
        said?;
        return Ok(summary.exit_code());
    }
    // A run that a hang-up ended has no terminal for a message.
    Ok(stop.exit_code())
}

fn preview(request: &IngestRequest) -> anyhow::Result<IngestPreview> {
    let stop = ingest::stop_on_signals()?;
    let ours = observe::with_sidecars(&request.database);
    let folders = request.folders.iter().map(|folder| {
        let DocumentCount { files, bytes, is_complete } = discover::count(folder, &ours, &stop)?;
        Ok(CountedFolder { folder: folder.clone(), files, bytes, is_complete })
    });
    let folders = folders.collect::<anyhow::Result<_>>()?;
    Ok(IngestPreview { database: request.database.clone(), dry_run: true, folders })
}

impl IngestPreview {
    fn lines(&self) -> Vec<String> {
        let one = |it: &CountedFolder| {
            let least = if it.is_complete { "" } else { "at least " };
            let files = units::plural(it.files as u64, "document");
            let bytes = units::bytes(it.bytes);
            text::clean(&format!("{}: {least}{files}, {bytes}; nothing was ingested", it.folder.display()))
        };
        self.folders.iter().map(one).collect()
    }
}
