//! `waltop search`: what was ingested can be found.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
};

use crate::{
    config::Config,
    ingest::search::{self, Hit},
    text,
};

use super::{fit, say, say_json};

/// What to look for, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The words; all of them, the last one may be the beginning of one.
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,
    /// The database; by default the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// The most documents to print.
    #[arg(long, value_name = "N", default_value = "10", allow_negative_numbers = true)]
    limit: NonZeroUsize,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the documents that match, best first; exit code 1 where there are none.
///
/// # Errors
///
/// Where nothing can be searched.
pub fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let named = args.db.as_ref().unwrap_or(&config.places.default_database);
    // A connection rebuilds an index that nobody vouches for, under the feet of one that lost its locks.
    let database = if named.exists() { fit(named, config, "nothing was searched")? } else { named.clone() };
    let query = args.query.join(" ");
    let hits = search::search(&database, &query, args.limit.get())?;
    if args.json {
        say_json(&hits)?;
    } else {
        for hit in &hits {
            say(&shown(hit))?;
        }
        if hits.is_empty() {
            // Whether anybody reads it or not, the exit code says it too.
            let _ = writeln!(io::stderr(), "nothing found for {}", text::clean(&query));
        }
    }
    Ok(u8::from(hits.is_empty()))
}

fn shown(hit: &Hit) -> String {
    format!("{}  {}\n    {}", text::clean(&hit.title), text::clean(&hit.path), text::clean(&hit.snippet))
}
