//! Finding what was ingested.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::{
    database::{factory, sidecars::OnClose},
    profile::Profile,
};

/// What stands before and after a word that was found, in a snippet.
pub const MARKS: (&str, &str) = ("«", "»");

/// Words in a snippet.
const SNIPPET_WORDS: u32 = 16;

/// How much more a word in the title weighs than one in the text.
const TITLE_WEIGHT: f64 = 5.0;

/// A document that matches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Its name in the database.
    pub path: String,
    /// Its title.
    pub title: String,
    /// Where the words stand, between [`MARKS`], in one line.
    pub snippet: String,
    /// Its bm25 rank: the smaller, the better.
    pub rank: f64,
}

/// Why nothing could be searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing.
    #[error("there is no database {0}: make it with `waltop ingest DIR --db {0}`")]
    Missing(String),
    /// The database has no documents of ours.
    #[error("nothing was ingested into {0}: do so with `waltop ingest DIR --db {0}`")]
    NothingIngested(String),
    /// No word in the query.
    #[error("nothing to search for: give at least one letter or digit")]
    NoWords,
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] factory::Error),
    /// `SQLite` failed.
    #[error("cannot search {path}: {source}")]
    Sqlite {
        /// The database.
        path: String,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// The at most `limit` documents in the database at `path` that have every word of `query`, best first. The
/// last word may be the beginning of one. Punctuation in a word makes it a phrase; nothing in it is syntax.
/// What the file keeps stays as it is, its journal mode too: it may be somebody else's.
///
/// # Errors
///
/// Where there is no such database, nothing was ingested into it, or `query` has no words.
pub fn search(path: &Path, query: &str, limit: usize) -> Result<Vec<Hit>, Error> {
    let shown = || path.display().to_string();
    let expression = expression(query).ok_or(Error::NoWords)?;
    let is_missing =
        |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    if path.metadata().is_err_and(is_missing) {
        return Err(Error::Missing(shown()));
    }
    factory::refuse_foreign_sidecars(path, false)?;
    let connection = factory::open_for_look(path, &Profile::hardened(), OnClose::Tidy)?;
    let say = |source| Error::Sqlite { path: shown(), source };
    if !connection.table_exists(None, "nodes_fts").map_err(say)? {
        return Err(Error::NothingIngested(shown()));
    }
    find(&connection, &expression, limit).map_err(say)
}

fn find(connection: &Connection, expression: &str, limit: usize) -> rusqlite::Result<Vec<Hit>> {
    let sql = "SELECT nodes.path, nodes.title, snippet(nodes_fts, -1, ?2, ?3, '…', ?4), bm25(nodes_fts, ?5, 1.0) AS place
         FROM nodes_fts JOIN nodes ON nodes.id = nodes_fts.rowid
         WHERE nodes_fts MATCH ?1 ORDER BY place, nodes.path LIMIT ?6";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = params![expression, MARKS.0, MARKS.1, SNIPPET_WORDS, TITLE_WEIGHT, limit];
    let mut select = connection.prepare(sql)?;
    let hits = select.query_map(values, |row| {
        let snippet: String = row.get(2)?;
        let snippet = snippet.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Hit { path: row.get(0)?, title: row.get(1)?, snippet, rank: row.get(3)? })
    })?;
    hits.collect()
}

/// `query` as an FTS5 expression: each word a string, the last one a prefix; `None` where it has no words.
fn expression(query: &str) -> Option<String> {
    let words: Vec<String> = query
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    (!words.is_empty()).then(|| words.join(" ") + "*")
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
        for nothing in ["", "  ", "\"", "* - ()", "\0"] {
            assert_eq!(expression(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn odd_characters_are_never_a_syntax_error() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(include_str!("../../../migrations/V1__documents.sql")).expect("the tables");
        let odd = [
            "a\"b", "x*", "NOT", "a AND", "(", "col:y", "a^b", "-z", "ä́", "日本", "a\u{301}", "²", "{}[]x",
            "'", "½",
        ];
        for query in odd {
            if let Some(expression) = expression(query) {
                assert_eq!(find(&connection, &expression, 5), Ok(vec![]), "{query}");
            }
        }
    }
}
