//! `waltop stats`: content and size of a database.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::Config,
    database::stats::{self, DatabaseStats, DocumentStats},
    diagnose,
    snapshot::{SpaceUse, lossy_path},
    units,
};

use super::{diagnosed, each::report_each, refuse_hazard};

#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// The databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// The statistics of one database.
#[derive(Debug, JsonSchema, Serialize)]
pub struct StatsReport {
    #[serde(serialize_with = "lossy_path")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// Bytes of the files; `None` if there is none.
    pub db_bytes: Option<u64>,
    pub wal_bytes: Option<u64>,
    pub shm_bytes: Option<u64>,
    #[serde(flatten)]
    pub stats: DatabaseStats,
    /// What the disk space is used for, and what gives it back.
    pub space: Vec<SpaceUse>,
    /// The same in words.
    #[serde(skip)]
    pub space_lines: Vec<String>,
}

pub fn run(args: &StatsArgs, config: &Config) -> anyhow::Result<u8> {
    let one = |path: &Path| one(path, config);
    Ok(report_each(&args.databases, config, args.json, one, ToString::to_string)?.exit(|_| false))
}

fn one(path: &Path, config: &Config) -> anyhow::Result<StatsReport> {
    let mut looked = diagnosed(path, config)?;
    refuse_hazard(&looked, "not asked")?;
    let stats = stats::read(path, config.profile_of(path), looked.presence())?;
    if let Some(header) = &mut looked.header {
        // SQLite counts the pages in the log, too.
        header.free_pages = u32::try_from(stats.free_pages).ok();
        header.page_count = u32::try_from(stats.pages).unwrap_or(u32::MAX);
    }
    looked.space = diagnose::space_ledger(&looked);
    let bytes = |file: &Option<crate::snapshot::FileFacts>| file.as_ref().map(|file| file.bytes);
    let files = &looked.files;
    Ok(StatsReport {
        path: path.to_owned(),
        db_bytes: bytes(&files.db),
        wal_bytes: bytes(&files.wal),
        shm_bytes: bytes(&files.shm),
        stats,
        space_lines: diagnose::describe_space(&looked),
        space: looked.space.clone(),
    })
}

impl fmt::Display for StatsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |bytes: Option<u64>| bytes.map_or_else(|| "none".to_owned(), units::bytes);
        let stats = &self.stats;
        write!(
            f,
            "{}: db {}, wal {}; {} of {} B, {} free; ",
            self.path.display(),
            size(self.db_bytes),
            size(self.wal_bytes),
            units::plural(stats.pages, "page"),
            stats.page_size,
            units::count(stats.free_pages)
        )?;
        match &stats.documents {
            Some(documents) => write_documents(f, documents)?,
            None => f.write_str("nothing was ingested into it")?,
        }
        self.space_lines.iter().try_for_each(|line| write!(f, "; {line}"))
    }
}

fn write_documents(f: &mut fmt::Formatter<'_>, documents: &DocumentStats) -> fmt::Result {
    let list = |by_name: &BTreeMap<String, u64>| {
        let all: Vec<String> =
            by_name.iter().map(|(name, count)| format!("{name} {}", units::count(*count))).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    write!(f, "{}, edges: {}", units::plural(documents.nodes, "document"), list(&documents.edges))?;
    if documents.unresolved_edges > 0 {
        write!(f, " ({} lead to no document)", units::count(documents.unresolved_edges))?;
    }
    if let Some(embeddings) = &documents.embeddings {
        write!(f, "; embeddings: {}", list(embeddings))?;
    }
    write!(f, "; full text {}", units::bytes(documents.full_text_bytes))
}
