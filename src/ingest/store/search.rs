//! Searches ingested documents.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    candidates::{Candidate, WordIndexes},
    snippet,
};
use crate::{
    config::profile::Profile,
    database::{factory, sidecars::OnClose},
    ingest::query::{Needle, SearchQuery, WordMatch},
    snapshot::EdgeKind,
};

/// Marks before and after a matched word in a snippet.
pub const MARKS: (&str, &str) = ("«", "»");

#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct SearchHit {
    /// Its name in the database.
    pub path: String,
    pub title: String,
    /// The text around the matched words, which are between [`MARKS`], in one line.
    pub snippet: String,
    /// Smaller is better. By words it is the bm25 rank, less for a document whose name is the query; by meaning the negated
    /// cosine; by both the negated sum of the reciprocal ranks.
    pub rank: f64,
    /// The cosine between its vector and the query's; `None` in a search by words.
    pub similarity: Option<f64>,
    /// Where its most similar section begins in its text, in bytes; `None` if it was found by words alone.
    pub section_offset: Option<u64>,
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

/// What a search by words found.
#[derive(Debug, Clone, PartialEq)]
pub struct WordAnswer {
    pub hits: Vec<SearchHit>,
    /// Whether all words are in each document; any of them, where no document has all.
    pub matched: WordMatch,
}

/// The documents in the database at `path` that match `query`: at most `limit`, best first. Where no document has all of
/// its words, those with any of them. The file stays as it is, its journal mode and its tables too, because it may belong
/// to another program. The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, nothing was ingested into it, or `query` asks for nothing.
pub fn search(
    path: &Path,
    query: &SearchQuery,
    limit: usize,
    profile: &Profile,
) -> Result<WordAnswer, SearchError> {
    if query.is_empty() {
        return Err(SearchError::NoWords);
    }
    read(path, profile, |connection| find(connection, query, limit))
}

/// What `read` reads of the database at `path`, all of it from the same snapshot. The connection uses the settings of
/// `profile`.
///
/// # Errors
///
/// There is no such database, nothing was ingested into it, or it cannot be read.
pub(super) fn read<T>(
    path: &Path,
    profile: &Profile,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, SearchError> {
    let _as_owner = factory::as_owner(path)?;
    let connection = open(path, profile)?;
    let moment = connection.unchecked_transaction();
    moment
        .and_then(|moment| read(&moment))
        .map_err(|source| SearchError::Sqlite { path: path.display().to_string(), source })
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

pub(super) fn find(
    connection: &Connection,
    query: &SearchQuery,
    limit: usize,
) -> rusqlite::Result<WordAnswer> {
    let (found, matched) = candidates(connection, query, limit)?;
    let needles = query.needles();
    let hits = found.into_iter().map(|it| hit(connection, it, &needles));
    let mut hits = hits.collect::<rusqlite::Result<Vec<_>>>()?;
    hits.sort_by(|a, b| a.rank.total_cmp(&b.rank).then_with(|| a.path.cmp(&b.path)));
    Ok(WordAnswer { hits, matched })
}

/// The documents with all words, else those with any of them, best first.
pub(super) fn candidates(
    connection: &Connection,
    query: &SearchQuery,
    limit: usize,
) -> rusqlite::Result<(Vec<Candidate>, WordMatch)> {
    let indexes = WordIndexes::of(connection)?;
    let mut matched = WordMatch::All;
    let mut found = indexes.find(connection, query, matched, limit)?;
    if found.is_empty() && query.has_several_words() {
        found = indexes.find(connection, query, WordMatch::Any, limit)?;
        if !found.is_empty() {
            matched = WordMatch::Any;
        }
    }
    Ok((found, matched))
}

pub(super) fn hit(
    connection: &Connection,
    found: Candidate,
    needles: &[Needle],
) -> rusqlite::Result<SearchHit> {
    let Candidate { id, rank } = found;
    let sql = "SELECT path, title, body, front_matter FROM nodes WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id], |row| {
        let body = row.get_ref(2)?.as_str()?;
        let front_matter = || row.get_ref(3).ok().and_then(|it| it.as_str().ok());
        let snippet = snippet::around(body, needles)
            .or_else(|| front_matter().and_then(|text| snippet::around(text, needles)))
            .unwrap_or_else(|| snippet::beginning(body));
        Ok(SearchHit {
            path: row.get(0)?,
            title: row.get(1)?,
            snippet,
            rank,
            similarity: None,
            section_offset: None,
            links_out: links_out(connection, id)?,
            links_in: links_in(connection, id)?,
        })
    })
}

pub(super) fn links_out(connection: &Connection, id: i64) -> rusqlite::Result<Vec<OutgoingLink>> {
    let sql = "SELECT edges.kind, edges.target, nodes.path, nodes.title
         FROM edges LEFT JOIN nodes ON nodes.id = edges.target_node
         WHERE edges.source = ?1 AND edges.kind NOT IN ('alias', 'tag')
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database::migrations, ingest::query};

    #[test]
    fn odd_queries_are_never_a_syntax_error() {
        let mut connection = Connection::open_in_memory().expect("memory");
        migrations::migrate(&mut connection).expect("the tables");
        let many = (0..1000).map(|it| format!("word{it}")).collect::<Vec<_>>().join(" ");
        let odd = [
            "a\"b",
            "x*",
            "NOT",
            "a AND",
            "(",
            "col:y",
            "a^b",
            "-z",
            "ä\u{301}",
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
            "OR",
            "OR OR OR",
            "a OR",
            "a OR -b",
            "-a -b",
            "-\"",
            "tag:",
            "tag:a",
            "-tag:\"a b\"",
            "path:%",
            "path:\\",
            "kind:\"",
            "tag:tag:a",
            "a -path:*",
            "C++ OR C#",
            "🎉",
            "👨‍👩‍👧 -🎉",
            "数据 -库",
            "a数b库c",
            "ก็",
            "\u{e31}",
            "a\0b",
            "NEAR(a b)",
            "a + b",
            "+a",
            "a:b:c",
            "{a b}: c",
            "\"-a\"",
            "--",
            "-- -x",
            "camelCase*",
            "Łódź*",
            "\u{200b}",
            "#tag",
            "../a",
            "a OR (b OR c)",
            "\u{fffd}",
            "'; DROP TABLE nodes",
            &many,
        ];
        for text in odd {
            let query = query::parse(text);
            for matching in [WordMatch::All, WordMatch::Any] {
                let indexes = WordIndexes::of(&connection).expect("tables");
                let found = indexes.find(&connection, &query, matching, 5);
                assert_eq!(found, Ok(vec![]), "{text:.60} {matching:?}");
            }
        }
    }
}
