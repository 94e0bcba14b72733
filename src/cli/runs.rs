//! `waltop runs`: past and present ingestions, as their journals record them.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::Config,
    observe::{
        self,
        journals::{FOLLOWED, Journals},
    },
    paths,
    snapshot::{IngestWatcher, Ingestion, Unseen},
    text, units,
};

use super::{databases::named_path, from_one, print_json, print_line, unnamed};

mod table;

/// Which ingestions to list, and in what detail.
#[derive(Debug, clap::Args)]
pub struct RunsArgs {
    /// The database; default: those in the settings, else the one in your data directory.
    #[arg(value_name = "DB")]
    database: Option<PathBuf>,
    /// Only this run, with its failed files: its name, or a prefix of it.
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Print at most this many runs, the newest.
    #[arg(long, value_name = "N", default_value = "20", value_parser = from_one, allow_negative_numbers = true)]
    limit: NonZeroUsize,
    /// List the files that failed or were ingested only in part, each with the reason.
    #[arg(long)]
    failed: bool,
    /// Print them as JSON, in the format of `waltop status --json`.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct RunsReport {
    runs: Vec<RunEntry>,
    watchers: Vec<WatchEntry>,
    unseen: Vec<Unseen>,
}

/// A watch, and its database.
#[derive(Debug, JsonSchema, Serialize)]
struct WatchEntry {
    database: String,
    #[serde(flatten)]
    watcher: IngestWatcher,
}

/// An ingestion, and its database.
#[derive(Debug, JsonSchema, Serialize)]
struct RunEntry {
    database: String,
    #[serde(flatten)]
    ingestion: Ingestion,
}

/// Prints the ingestions into the selected databases, newest first.
///
/// # Errors
///
/// A named database is not one and never was, a named run does not exist, or no journal can be read.
pub fn run(args: &RunsArgs, config: &Config) -> anyhow::Result<u8> {
    let databases = journal_names(args.database.as_deref(), config)?;
    let places = &config.places;
    let count = if args.run.is_some() { FOLLOWED } else { args.limit.get() };
    let mut journals = Journals::new(places.runs.clone(), places.proc.clone()).showing(count);
    let (found, unseen) = journals.look();
    let mut watchers = journals.watchers();
    watchers.retain(|(database, _)| databases.contains(database));
    if let Some(Unseen { what, why }) = unseen.first().filter(|_| found.is_empty()) {
        bail!("cannot see {what}: {why}; check who owns {}", places.runs.display());
    }
    let (of_them, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(database, _)| databases.contains(database));
    let mut runs: Vec<RunEntry> =
        of_them.into_iter().map(|(database, ingestion)| RunEntry { database, ingestion }).collect();
    if let Some(name) = &args.run {
        runs = vec![named(name, runs)?];
    }
    if let Some(path) = args.database.as_deref().filter(|_| runs.is_empty() && watchers.is_empty()) {
        // The inspection of the path gives the reason.
        observe::inspect(path)?;
    }
    runs.truncate(args.limit.get());
    if args.json {
        let watchers =
            watchers.into_iter().map(|(database, watcher)| WatchEntry { database, watcher }).collect();
        print_json(&RunsReport { runs, watchers, unseen })?;
        return Ok(0);
    }
    if runs.is_empty() {
        print_line(&text::clean(&nothing(&databases, others)))?;
    }
    let wants_failures = args.failed || args.run.is_some();
    for line in table::lines(&runs, Timestamp::now(), databases.len() > 1, wants_failures, &places.runs) {
        print_line(&text::clean(&line))?;
    }
    for (database, watcher) in watchers.iter().filter(|_| args.run.is_none()) {
        print_line(&text::clean(&table::watching(database, watcher, Timestamp::now())))?;
    }
    for Unseen { what, why } in &unseen {
        print_line(&text::clean(&format!("not seen: {what}: {why}")))?;
    }
    Ok(0)
}

/// The databases by their names in the journals. A deleted database still has its runs.
fn journal_names(named: Option<&Path>, config: &Config) -> anyhow::Result<Vec<String>> {
    let paths = match named {
        Some(path) => vec![named_path(path)?],
        None => unnamed(config).to_vec(),
    };
    let name = |path: PathBuf| {
        let say = |error| anyhow!("cannot look at {}: {error}; check the path", path.display());
        paths::canonical_or_future(&path).map(|it| it.to_string_lossy().into_owned()).map_err(say)
    };
    paths.into_iter().map(name).collect()
}

/// The one of `runs` with this name, or the only one whose name starts with it.
fn named(name: &str, runs: Vec<RunEntry>) -> anyhow::Result<RunEntry> {
    let mut begun: Vec<RunEntry> = runs.into_iter().filter(|it| it.ingestion.run.starts_with(name)).collect();
    if let Some(exact) = begun.iter().position(|it| it.ingestion.run == name) {
        return Ok(begun.swap_remove(exact));
    }
    match (begun.pop(), begun.len()) {
        (Some(only), 0) => Ok(only),
        (Some(_), more) => bail!("{} runs begin with {name}; give more of the name", more + 1),
        (None, _) => bail!("no run {name} into this database is known; `waltop runs DB` lists them"),
    }
}

fn nothing(databases: &[String], others: Vec<(String, Ingestion)>) -> String {
    let mut elsewhere: Vec<String> = others.into_iter().map(|(database, _)| database).collect();
    elsewhere.sort();
    elsewhere.dedup();
    let into = databases.join(", ");
    let start = databases.first().map_or("DB", String::as_str);
    let mut sentence = format!("no ingestion into {into} yet: `waltop ingest DIR --db {start}` starts one");
    if let Some(first) = elsewhere.first() {
        let count = units::plural(elsewhere.len() as u64, "other database");
        sentence.push_str(&format!("; into {count} there are some: `waltop runs {first}`"));
    }
    sentence
}
