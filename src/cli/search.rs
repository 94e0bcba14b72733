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
    config::{Config, profile::Profile},
    ingest::{
        self, QueryMeaning,
        hybrid::{self, HybridAnswer},
        query::{self, FilterField, SearchFilter, SearchMode, SearchQuery, WordMatch, WordsAlone},
        search::{self, IncomingLink, OutgoingLink, SearchError, SearchHit},
    },
    observe,
    snapshot::EdgeKind,
    text, units,
};

use super::{
    embed::{QueryArgs, QueryEmbedder, SearchWay},
    fit, from_one, print_json, print_line,
};

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
    /// What the words found: all of them in each document, or, if no document has all, any; `null` if they found nothing or
    /// were not searched.
    matched: Option<WordMatch>,
    by: SearchMode,
    /// Why it was by words alone although the embeddings API is known; `null` if it was not.
    words_alone: Option<WordsAlone>,
}

/// What a search found, and what to print of it.
#[derive(Debug)]
struct FoundReport {
    report: SearchReport,
    /// Whether there are more documents.
    has_more: bool,
    /// Why it was by words alone, if that is not what is usual.
    said: Option<String>,
}

/// Where to search, and for what.
struct SearchOrder<'a> {
    database: &'a Path,
    query: SearchQuery,
    limit: usize,
    profile: &'a Profile,
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
    let text = args.query.join(" ");
    let order = SearchOrder {
        profile: config.profile_of(&database),
        database: &database,
        query: args.filters.add_to(query::parse(&text)),
        limit: args.limit.get(),
    };
    let FoundReport { report, has_more, said } = order.search(args.meaning.way(&config.search)?)?;
    let exit = u8::from(report.hits.is_empty());
    if let Some(said) = said {
        // The documents are there all the same.
        let _ = writeln!(io::stderr(), "searched by words alone: {}", text::clean(&said));
    }
    if args.json {
        print_json(&report)?;
        return Ok(exit);
    }
    if report.by == SearchMode::Words && report.matched == Some(WordMatch::Any) {
        print_line(ANY_WORD)?;
    }
    if !report.hits.is_empty() {
        print_line(&report.hits.iter().map(shown).collect::<Vec<_>>().join("\n"))?;
    }
    if has_more {
        let shown = units::count(args.limit.get() as u64);
        print_line(&format!("These are the best {shown}; there are more: --limit N shows them."))?;
    }
    if report.hits.is_empty() {
        // The exit code reports it too.
        let _ = writeln!(io::stderr(), "nothing found for {}", text::clean(&text));
    }
    Ok(exit)
}

impl SearchOrder<'_> {
    fn search(&self, way: SearchWay) -> anyhow::Result<FoundReport> {
        match way {
            SearchWay::Words => self.by_words(None),
            SearchWay::Meaning(embedder) => self.by_meaning(&embedder),
            SearchWay::Both(embedder) => self.by_both(&embedder),
        }
    }

    fn by_words(&self, instead: Option<(WordsAlone, String)>) -> anyhow::Result<FoundReport> {
        // One more than shown tells whether there are more.
        let answer = search::search(self.database, &self.query, self.limit.saturating_add(1), self.profile)?;
        let mut hits = answer.hits;
        let has_more = hits.len() > self.limit;
        hits.truncate(self.limit);
        let matched = (!hits.is_empty()).then_some(answer.matched);
        let (words_alone, said) = instead.unzip();
        let report = SearchReport { hits, matched, by: SearchMode::Words, words_alone };
        Ok(FoundReport { report, has_more, said })
    }

    fn by_meaning(&self, embedder: &QueryEmbedder) -> anyhow::Result<FoundReport> {
        let text = self.query.meaning().ok_or(SearchError::NoWords)?;
        // Before the database is opened, because the call may take any time.
        let vector = embedder.vector(&text)?;
        let meaning = QueryMeaning { model: &embedder.model, vector: &vector };
        let hits = ingest::nearest(self.database, &self.query, meaning, self.limit, self.profile)?;
        let report = SearchReport { hits, matched: None, by: SearchMode::Meaning, words_alone: None };
        Ok(FoundReport { report, has_more: false, said: None })
    }

    fn by_both(&self, embedder: &QueryEmbedder) -> anyhow::Result<FoundReport> {
        let Some(text) = self.query.meaning() else { return self.by_words(None) };
        let vector = match embedder.vector_at_once(&text) {
            Ok(vector) => vector,
            Err(refusal) => return self.by_words(Some(((&refusal).into(), refusal.to_string()))),
        };
        let meaning = QueryMeaning { model: &embedder.model, vector: &vector };
        let answer = hybrid::hybrid(self.database, &self.query, meaning, self.limit, self.profile)?;
        let HybridAnswer { hits, matched, words_alone } = answer;
        let by = if words_alone.is_some() { SearchMode::Words } else { SearchMode::Both };
        let (words_alone, error) = words_alone.unzip();
        // Of an API in the settings it is usual that a database has no vectors.
        let is_usual = words_alone == Some(WordsAlone::NoVectors) && !embedder.is_named;
        let said = error.filter(|_| !is_usual).map(|error| error.to_string());
        let report = SearchReport { hits, matched, by, words_alone };
        Ok(FoundReport { report, has_more: false, said })
    }
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
    kind.is_wiki(|| !target.contains("://") && !ingest::discover::is_document(Path::new(target)))
}

fn incoming(IncomingLink { kind, path, title }: &IncomingLink) -> String {
    format!("{title}  {path}{}", relation(kind))
}

/// The name of a front-matter relation, or the word for an edge that waltop created.
fn relation(kind: &EdgeKind) -> String {
    match kind {
        EdgeKind::Semantic => " (near)".to_owned(),
        EdgeKind::Relation(name) => format!(" ({name})"),
        EdgeKind::Alias
        | EdgeKind::Link
        | EdgeKind::Tag
        | EdgeKind::Url
        | EdgeKind::Wikilink
        | EdgeKind::Other(_) => String::new(),
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
