//! Searches ingested documents.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rusqlite::{Connection, params};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::profile::Profile,
    database::{factory, sidecars::OnClose},
    snapshot::EdgeKind,
};

/// Marks before and after a matched word in a snippet.
pub const MARKS: (&str, &str) = ("«", "»");

const SNIPPET_WORDS: u32 = 16;

/// Weight of a word in the title, relative to one in the text.
const TITLE_WEIGHT: f64 = 5.0;

#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct SearchHit {
    /// Its name in the database.
    pub path: String,
    pub title: String,
    /// The text around the matched words, which are between [`MARKS`], in one line.
    pub snippet: String,
    /// Smaller is better: the bm25 rank, or the negated cosine in a search by vector.
    pub rank: f64,
    /// The cosine between its vector and the query's; `None` in a search by words.
    pub similarity: Option<f64>,
    /// Its links, by kind and target; tags are left out.
    pub links_out: Vec<OutgoingLink>,
    /// The documents that link to it, by path.
    pub links_in: Vec<IncomingLink>,
}

/// A link from a document that was found.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OutgoingLink {
    /// `link`, `wikilink`, `url`, `semantic` for a document with a similar meaning, or `relation:` and its name in the
    /// front matter.
    pub kind: EdgeKind,
    /// The target in the document, normalised.
    pub target: String,
    /// The document that it means; `None` if that was not ingested.
    pub path: Option<String>,
    pub title: Option<String>,
}

/// A link to a document that was found.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct IncomingLink {
    /// `link`, `wikilink`, `semantic` for a document with a similar meaning, or `relation:` and its name in the front
    /// matter.
    pub kind: EdgeKind,
    /// The document that contains the link.
    pub path: String,
    pub title: String,
}

/// Why the search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("there is no database {0}: make it with `waltop ingest DIR --db {0}`")]
    Missing(String),
    /// The database has no documents from waltop.
    #[error("nothing was ingested into {0}: do so with `waltop ingest DIR --db {0}`")]
    NothingIngested(String),
    /// There are no vectors of the model.
    #[error(
        "{path} has no vectors of {model}{}: make them with `waltop ingest DIR --db {path} --embed URL --embed-model {model}`",
        but_of(others)
    )]
    NotEmbedded {
        path: String,
        model: String,
        /// The models that have vectors.
        others: Vec<String>,
    },
    /// The query's vector has another length than the stored ones.
    #[error(
        "the vectors of {model} in this database have {stored} numbers and the query's has {query}: name the model that \
         made them with --embed-model, or make them anew with `waltop ingest … --embed-anew`"
    )]
    Dimension {
        model: String,
        /// Length of the stored ones.
        stored: i64,
        query: usize,
    },
    /// The query has no words.
    #[error("nothing to search for: give at least one letter or digit")]
    NoWords,
    #[error(transparent)]
    Open(#[from] factory::OpenError),
    #[error("cannot search {path}: {source}; see what is wrong with it with `waltop health {path}`")]
    Sqlite { path: String, source: rusqlite::Error },
}

/// The documents in the database at `path` that contain every word of `query`: at most `limit`, best first. The last
/// word may be a prefix, and so may one that ends with `*`. Words between `"` have to be adjacent, like the parts of a
/// word with punctuation. There is no other syntax. The file stays as it is, its journal mode too, because it may
/// belong to another program. The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, nothing was ingested into it, or `query` has no words.
pub fn search(
    path: &Path,
    query: &str,
    limit: usize,
    profile: &Profile,
) -> Result<Vec<SearchHit>, SearchError> {
    let expression = expression(query).ok_or(SearchError::NoWords)?;
    let _as_owner = factory::as_owner(path)?;
    let connection = open(path, profile)?;
    let say = |source| SearchError::Sqlite { path: path.display().to_string(), source };
    // Documents and links from the same snapshot.
    let moment = connection.unchecked_transaction().map_err(say)?;
    find(&moment, &expression, limit).map_err(say)
}

/// A connection to the database at `path` with the settings of `profile`, if documents were ingested into it.
pub(super) fn open(path: &Path, profile: &Profile) -> Result<Connection, SearchError> {
    let shown = || path.display().to_string();
    let is_missing =
        |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    if path.metadata().is_err_and(is_missing) {
        return Err(SearchError::Missing(shown()));
    }
    factory::refuse_foreign_sidecars(path, false)?;
    let connection = factory::open_for_look(path, profile, OnClose::Tidy)?;
    let say = |source| SearchError::Sqlite { path: shown(), source };
    if !connection.table_exists(None, "nodes_fts").map_err(say)? {
        return Err(SearchError::NothingIngested(shown()));
    }
    Ok(connection)
}

fn but_of(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(" (but of {})", others.join(", ")) }
}

fn find(connection: &Connection, expression: &str, limit: usize) -> rusqlite::Result<Vec<SearchHit>> {
    // Choose the best first: rows, and above all snippets, are computed only for them.
    let sql = "SELECT nodes.id, nodes.path, nodes.title, snippet(nodes_fts, -1, ?2, ?3, '…', ?4), best.place
         FROM (SELECT rowid AS id, rank AS place FROM nodes_fts
               WHERE nodes_fts MATCH ?1 AND rank MATCH ?5 ORDER BY rank LIMIT ?6) AS best
         JOIN nodes_fts ON nodes_fts.rowid = best.id AND nodes_fts MATCH ?1
         JOIN nodes ON nodes.id = best.id ORDER BY best.place, nodes.path";
    let weights = format!("bm25({TITLE_WEIGHT:?}, 1.0)");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![expression, MARKS.0, MARKS.1, SNIPPET_WORDS, weights, limit];
    let mut select = connection.prepare(sql)?;
    let hits = select.query_map(values, |row| {
        let id: i64 = row.get(0)?;
        let snippet: String = row.get(3)?;
        let snippet = snippet.split_whitespace().collect::<Vec<_>>().join(" ");
        let (links_out, links_in) = (links_out(connection, id)?, links_in(connection, id)?);
        Ok(SearchHit {
            path: row.get(1)?,
            title: row.get(2)?,
            snippet,
            rank: row.get(4)?,
            similarity: None,
            links_out,
            links_in,
        })
    })?;
    hits.collect()
}

pub(super) fn links_out(connection: &Connection, id: i64) -> rusqlite::Result<Vec<OutgoingLink>> {
    let sql = "SELECT edges.kind, edges.target, nodes.path, nodes.title
         FROM edges LEFT JOIN nodes ON nodes.id = edges.target_node
         WHERE edges.source = ?1 AND edges.kind <> 'tag'
           AND NOT (edges.kind = 'semantic' AND edges.target_node IS NULL) ORDER BY edges.kind, edges.target";
    let mut select = connection.prepare_cached(sql)?;
    let links = select.query_map([id], |row| {
        Ok(OutgoingLink {
            kind: row.get::<_, String>(0)?.into(),
            target: row.get(1)?,
            path: row.get(2)?,
            title: row.get(3)?,
        })
    })?;
    links.collect()
}

pub(super) fn links_in(connection: &Connection, id: i64) -> rusqlite::Result<Vec<IncomingLink>> {
    let sql = "SELECT DISTINCT edges.kind, nodes.path, nodes.title
         FROM edges JOIN nodes ON nodes.id = edges.source
         WHERE edges.target_node = ?1 ORDER BY nodes.path, edges.kind";
    let mut select = connection.prepare_cached(sql)?;
    let links = select.query_map([id], |row| {
        Ok(IncomingLink { kind: row.get::<_, String>(0)?.into(), path: row.get(1)?, title: row.get(2)? })
    })?;
    links.collect()
}

/// `query` as an FTS5 expression: each word or phrase is a string, followed by `*` if it is a prefix; `None` if it has
/// no words.
fn expression(query: &str) -> Option<String> {
    let mut terms: Vec<QueryTerm> = terms(query).into_iter().filter(QueryTerm::has_words).collect();
    if let Some(last) = terms.last_mut() {
        last.is_beginning |= !last.is_phrase;
    }
    let strings = terms.iter().map(|QueryTerm { text, is_beginning, .. }| {
        let star = if *is_beginning { "*" } else { "" };
        format!("\"{}\"{star}", text.replace('"', "\"\""))
    });
    (!terms.is_empty()).then(|| strings.collect::<Vec<_>>().join(" "))
}

/// A part of a query.
#[derive(Debug)]
struct QueryTerm<'a> {
    text: &'a str,
    is_phrase: bool,
    is_beginning: bool,
}

impl QueryTerm<'_> {
    fn has_words(&self) -> bool {
        self.text.chars().any(char::is_alphanumeric)
    }
}

/// Text between two `"` is a phrase if the first one starts a word; everything else is split into words.
fn terms(query: &str) -> Vec<QueryTerm<'_>> {
    // SQL text ends at a NUL, so control characters separate words and phrases.
    let is_gap = |c: char| c.is_whitespace() || c.is_control();
    let mut terms = Vec::new();
    let mut rest = query.trim_start_matches(is_gap);
    while !rest.is_empty() {
        let phrase = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        if let Some((text, after)) = phrase.filter(|(text, _)| !text.contains('\0')) {
            let beginning = after.strip_prefix('*');
            terms.push(QueryTerm { text, is_phrase: true, is_beginning: beginning.is_some() });
            rest = beginning.unwrap_or(after);
        } else {
            let (word, after) = rest.split_at(rest.find(is_gap).unwrap_or(rest.len()));
            let text = word.trim_end_matches('*');
            terms.push(QueryTerm { text, is_phrase: false, is_beginning: text.len() < word.len() });
            rest = after;
        }
        rest = rest.trim_start_matches(is_gap);
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_string_and_the_last_one_a_prefix() {
        assert_eq!(expression("write lock").as_deref(), Some("\"write\" \"lock\"*"));
        assert_eq!(
            expression(" a\"b NEAR( - * \0 title:x").as_deref(),
            Some("\"a\"\"b\" \"NEAR(\" \"title:x\"*")
        );
        assert_eq!(expression("wri* lock*").as_deref(), Some("\"wri\"* \"lock\"*"));
        for nothing in ["", "  ", "\"", "* - ()", "\0", "\"\"", "\"*\"*", "\" \" **"] {
            assert_eq!(expression(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn quotes_around_words_make_a_phrase() {
        for (query, expected) in [
            ("\"write lock\"", "\"write lock\""),
            ("a \"write lo\"* b", "\"a\" \"write lo\"* \"b\"*"),
            ("\"a b\"c", "\"a b\" \"c\"*"),
            ("\"a b", "\"\"\"a\" \"b\"*"),
            ("\"a\0b\"", "\"\"\"a\" \"b\"\"\"*"),
        ] {
            assert_eq!(expression(query).as_deref(), Some(expected), "{query:?}");
        }
    }

    #[test]
    fn odd_characters_are_never_a_syntax_error() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(include_str!("../../../migrations/V1__documents.sql")).expect("the tables");
        let odd = [
            "a\"b",
            "x*",
            "NOT",
            "a AND",
            "(",
            "col:y",
            "a^b",
            "-z",
            "ä́",
            "日本",
            "a\u{301}",
            "²",
            "{}[]x",
            "'",
            "½",
            "\"a b\"",
            "\"a b\"*",
            "\"*",
            "\"a\"\"b\"",
            "a**",
            "\"½\"* x",
        ];
        for query in odd {
            if let Some(expression) = expression(query) {
                assert_eq!(find(&connection, &expression, 5), Ok(vec![]), "{query}");
            }
        }
    }
}
