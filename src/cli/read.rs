//! `waltop read`: the text of an ingested document, or the names of all.

use std::{num::NonZeroUsize, path::PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::{fit, from_one, output::print_lines, print_json, print_line};
use crate::{
    config::{Config, size_of},
    ingest::document::{self, DocumentPart, ListedDocument},
    text,
};

/// Which document, and which part of it.
#[derive(Debug, clap::Args)]
pub struct ReadArgs {
    /// The document, by its name in the database, as waltop search prints it.
    #[arg(required_unless_present = "list", conflicts_with = "list", value_name = "DOCUMENT")]
    document: Option<String>,
    /// The database; default: the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// Where in the text to begin, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    offset: u64,
    /// Print at most this much of the text [default: all].
    #[arg(long, value_name = "SIZE", value_parser = size_of)]
    length: Option<u64>,
    /// Print the names of the documents instead.
    #[arg(long, conflicts_with_all = ["offset", "length"])]
    list: bool,
    /// With --list: begin after this name.
    #[arg(long, value_name = "NAME", default_value = "", requires = "list")]
    after: String,
    /// With --list: print at most this many names.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = from_one, requires = "list", allow_negative_numbers = true)]
    limit: NonZeroUsize,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// The output of `waltop read --list`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DocumentList {
    documents: Vec<ListedDocument>,
    /// The name after which the next ones begin, for `--after`; `None` if these are the last ones.
    next_after: Option<String>,
}

/// The output of `waltop read`.
pub type ReadReport = DocumentPart;

/// Prints a part of the document, or the list.
///
/// # Errors
///
/// There is no such database or document.
pub fn run(args: &ReadArgs, config: &Config) -> anyhow::Result<u8> {
    let named = args.db.as_ref().unwrap_or(&config.places.default_database);
    // As for a search: a connection could break a process that has lost its locks.
    let database = fit(named, config, "nothing was read")?;
    let profile = config.profile_of(&database);
    let Some(name) = &args.document else {
        let limit = args.limit.get();
        let mut documents = document::list(&database, &args.after, limit.saturating_add(1), profile)?;
        let has_more = documents.len() > limit;
        documents.truncate(limit);
        let next_after = documents.last().filter(|_| has_more).map(|it| it.path.clone());
        if args.json {
            print_json(&DocumentList { documents, next_after })?;
        } else {
            documents.iter().try_for_each(|it| print_line(&text::clean(&it.path)))?;
        }
        return Ok(0);
    };
    let length = args.length.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    let part = document::part(&database, name, args.offset, length, profile)?;
    if args.json {
        print_json(&part)?;
    } else {
        print_lines(&part.text)?;
    }
    Ok(0)
}
