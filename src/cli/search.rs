//! `waltop search`: searches ingested documents.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::Config,
    ingest::{
        self, QueryMeaning,
        query::{self, FilterField, SearchFilter, SearchQuery, WordMatch},
        search::{self, IncomingLink, OutgoingLink, SearchHit},
    },
    observe,
    snapshot::EdgeKind,
    text, units,
};

use super::{embed::QueryArgs, fit, from_one, print_json, print_line};

/// How many links of a document are printed in either direction.
const LINKS: usize = 5;

/// Stands before documents that lack some of the words.
const ANY_WORD: &str = "No document has all of these words; the ones below have some of them.";

/// The query, and where to search.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    /// The words; all must match. wor* matches a prefix, as the last word does; '"two words"' is a phrase. Also: a OR b,
    /// -word, tag:x, path:x, kind:x.
    #[arg(required_unless_present_any = ["tags", "paths", "kinds"], value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    filters: FilterArgs,
    /// The database; default: the one in your data directory.
    #[arg(long, value_name = "DB")]
    db: Option<PathBuf>,
    /// Print at most this many documents.
    #[arg(long, value_name = "N", default_value = "10", value_parser = from_one, allow_negative_numbers = true)]
    limit: NonZeroUsize,
    #[command(flatten)]
    meaning: QueryArgs,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// Conditions on the documents.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only documents with this tag, or one below it.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only documents whose name contains this; * stands for any text.
    #[arg(long = "path", value_name = "TEXT")]
    paths: Vec<String>,
    /// Only documents of this kind.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
}

impl FilterArgs {
    fn add_to(&self, mut query: SearchQuery) -> SearchQuery {
        let fields = [
            (FilterField::Tag, &self.tags),
            (FilterField::Path, &self.paths),
            (FilterField::Kind, &self.kinds),
        ];
        for (field, values) in fields {
            query.filters.extend(values.iter().map(|value| SearchFilter::new(field, value)));
        }
        query
    }
}

#[derive(Debug, JsonSchema, Serialize)]
pub struct SearchReport {
    /// The documents that were found, the best first.
    hits: Vec<SearchHit>,
    /// `any` where no document has all words, and these have at least one; `null` in a search by meaning.
    matched: Option<WordMatch>,
}

/// Prints the matching documents, best first; exit code 1 if there are none.
///
/// # Errors
///
/// Nothing can be searched.
pub fn run(args: &SearchArgs, config: &Config) -> anyhow::Result<u8> {
    if args.db.is_none() {
        refuse_database_as_word(&args.query)?;
    }
    let named = args.db.as_ref().unwrap_or(&config.places.default_database);
    // A connection rebuilds an index if no process holds byte 128, which would break a process that has lost its locks.
    let database = if named.exists() || observe::is_container_path(named) {
        fit(named, config, "nothing was searched")?
    } else {
        named.clone()
    };
    let query = args.query.join(" ");
    let profile = config.profile_of(&database);
    let parsed = args.filters.add_to(query::parse(&query));
    let mut matched = None;
    let mut hits = if args.meaning.semantic {
        if query.trim().is_empty() {
            return Err(search::SearchError::NoWords.into());
        }
        // Before the database is opened, because the call may take any time.
        let vector = args.meaning.vector(&query)?;
        let meaning = QueryMeaning { model: &args.meaning.embed_model, vector: &vector };
        ingest::nearest(&database, &parsed, meaning, args.limit.get(), profile)?
    } else {
        // One more than shown tells whether there are more.
        let answer = search::search(&database, &parsed, args.limit.get().saturating_add(1), profile)?;
        matched = Some(answer.matched);
        answer.hits
    };
    let has_more = hits.len() > args.limit.get();
    hits.truncate(args.limit.get());
    let exit = u8::from(hits.is_empty());
    if args.json {
        print_json(&SearchReport { hits, matched })?;
    } else {
        if matched == Some(WordMatch::Any) {
            print_line(ANY_WORD)?;
        }
        for hit in &hits {
            print_line(&shown(hit))?;
        }
        if has_more {
            let shown = units::count(args.limit.get() as u64);
            print_line(&format!("These are the best {shown}; there are more: --limit N shows them."))?;
        }
        if hits.is_empty() {
            // The exit code reports it too.
            let _ = writeln!(io::stderr(), "nothing found for {}", text::clean(&query));
        }
    }
    Ok(exit)
}

/// Fails if a word of the query is a database in this folder: the user probably wanted to search that.
fn refuse_database_as_word(query: &[String]) -> anyhow::Result<()> {
    let is_database = |word: &&String| word.contains('.') && observe::inspect(Path::new(word)).is_ok();
    let Some(word) = query.iter().find(is_database) else { return Ok(()) };
    let others: Vec<&str> = query.iter().filter(|it| *it != word).map(String::as_str).collect();
    let corrected = text::clean(&format!("waltop search --db {word} {}", others.join(" ")));
    bail!("{} is a database; name it with --db: {}", text::clean(word), corrected.trim_end());
}

fn shown(hit: &SearchHit) -> String {
    let near = hit.similarity.map(|it| format!("  ({it:.2})")).unwrap_or_default();
    let mut lines = vec![format!("{}  {}{near}", hit.title, hit.path), format!("    {}", hit.snippet)];
    lines.extend(links("→", hit.links_out.iter().map(leads_to).collect()));
    lines.extend(links("←", hit.links_in.iter().map(incoming).collect()));
    let lines: Vec<String> = lines.iter().map(|line| text::clean(line)).collect();
    lines.join("\n")
}

fn links(arrow: &str, mut links: Vec<String>) -> Vec<String> {
    // A document may name another one in several ways.
    links.sort();
    links.dedup();
    let rest = links.len().saturating_sub(LINKS);
    links.truncate(LINKS);
    if rest > 0 {
        links.push(format!("{rest} more, with --json"));
    }
    links.into_iter().map(|link| format!("    {arrow} {link}")).collect()
}

fn leads_to(OutgoingLink { kind, target, path, title }: &OutgoingLink) -> String {
    match (title, path) {
        (Some(title), Some(path)) => format!("{title}  {path}{}", relation(kind)),
        _ if *kind == EdgeKind::Url => target.clone(),
        _ if names_a_document(kind, target) => {
            format!("{target}{} (no document of that name)", relation(kind))
        }
        _ => format!("{target}{} (not ingested)", relation(kind)),
    }
}

/// Whether `target` is the name in a wikilink, which is a file name and not a title; the others are paths and
/// addresses.
fn names_a_document(kind: &EdgeKind, target: &str) -> bool {
    let is_path = || target.contains("://") || ingest::discover::is_document(Path::new(target));
    match kind {
        EdgeKind::Wikilink => true,
        EdgeKind::Relation(_) => !is_path(),
        EdgeKind::Link | EdgeKind::Semantic | EdgeKind::Tag | EdgeKind::Url | EdgeKind::Other(_) => false,
    }
}

fn incoming(IncomingLink { kind, path, title }: &IncomingLink) -> String {
    format!("{title}  {path}{}", relation(kind))
}

/// The name of a front-matter relation, or the word for an edge that waltop created.
fn relation(kind: &EdgeKind) -> String {
    match kind {
        EdgeKind::Semantic => " (near)".to_owned(),
        EdgeKind::Relation(name) => format!(" ({name})"),
        EdgeKind::Link | EdgeKind::Tag | EdgeKind::Url | EdgeKind::Wikilink | EdgeKind::Other(_) => {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_says_what_there_is_not() {
        for (kind, target, expected) in [
            ("wikilink", "Beta page", "Beta page (no document of that name)"),
            ("relation:part_of", "Beta page", "Beta page (part_of) (no document of that name)"),
            ("relation:part_of", "notes/beta.md", "notes/beta.md (part_of) (not ingested)"),
            ("link", "notes/beta.md", "notes/beta.md (not ingested)"),
            ("url", "https://sqlite.org", "https://sqlite.org"),
        ] {
            let link = OutgoingLink {
                kind: kind.to_owned().into(),
                target: target.to_owned(),
                path: None,
                title: None,
            };
            assert_eq!(leads_to(&link), expected);
        }
    }
}
