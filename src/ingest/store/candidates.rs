//! The rows that a query matches, best first, from the index and from the one of older readers.

use std::collections::HashSet;

use rusqlite::{Connection, params_from_iter, types::Value};

use super::conditions::{condition, escaped};
use crate::ingest::query::{SearchQuery, WordMatch};

/// Weights of the columns of `nodes_words`. A name counts for more than any number of mentions in a text.
const WEIGHTS: &str = "bm25(60.0, 12.0, 1.0, 1.0)";

/// Weights of the columns of `nodes_fts`.
const OLD_WEIGHTS: &str = "bm25(5.0, 1.0)";

/// A document that matches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub id: i64,
    /// Smaller is better.
    pub rank: f64,
}

/// Which indexes a database has.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordIndexes {
    /// Made by this version's tables.
    has_words: bool,
    /// Whether documents may be in the one of older readers.
    has_old: bool,
}

impl WordIndexes {
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let has_words = connection.table_exists(None, "nodes_words")?;
        let has_old = connection.prepare("SELECT 1 FROM nodes_fts_docsize LIMIT 1")?.exists([])?;
        Ok(Self { has_words, has_old })
    }

    /// At most `limit` documents that match `query`.
    pub(super) fn find(
        self,
        connection: &Connection,
        query: &SearchQuery,
        matching: WordMatch,
        limit: usize,
    ) -> rusqlite::Result<Vec<Candidate>> {
        let mut found = Vec::new();
        match query.expression(matching) {
            None if query.is_empty() => {}
            None => found.extend(self.without_words(connection, query, limit)?),
            Some(expression) if self.has_words => {
                let from = "nodes_words JOIN nodes ON nodes.id = nodes_words.rowid WHERE nodes_words MATCH ?1
                    AND nodes_words.rank MATCH ?2";
                found.extend(select(connection, from, (&expression, WEIGHTS), query, limit)?);
                named(connection, query, &mut found, limit)?;
            }
            Some(_) => {}
        }
        if self.has_old
            && let Some(expression) = query.old_expression(matching)
        {
            // A document that has moved leaves its old words behind until all have.
            let is_old = if self.has_words { " AND nodes.name_words IS NULL" } else { "" };
            let from = format!(
                "nodes_fts JOIN nodes ON nodes.id = nodes_fts.rowid WHERE nodes_fts MATCH ?1
                 AND nodes_fts.rank MATCH ?2{is_old}"
            );
            found.extend(select(connection, &from, (&expression, OLD_WEIGHTS), query, limit)?);
        }
        found.sort_by(|a, b| a.rank.total_cmp(&b.rank));
        found.truncate(limit);
        Ok(found)
    }

    /// The documents that meet the conditions, by path.
    fn without_words(
        self,
        connection: &Connection,
        query: &SearchQuery,
        limit: usize,
    ) -> rusqlite::Result<Vec<Candidate>> {
        let (conditions, values) = self.conditions(query);
        let sql = format!(
            "SELECT nodes.id, 0.0 FROM nodes WHERE {} ORDER BY nodes.path LIMIT {}",
            conditions.join(" AND "),
            limited(limit)
        );
        rows(connection, &sql, values)
    }

    /// The rows that meet the conditions of `query`, whatever their words; `None` if it has no conditions.
    pub(super) fn allowed(
        self,
        connection: &Connection,
        query: &SearchQuery,
    ) -> rusqlite::Result<Option<HashSet<i64>>> {
        let (conditions, values) = self.conditions(query);
        if conditions.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT nodes.id FROM nodes WHERE {}", conditions.join(" AND "));
        let mut select = connection.prepare(&sql)?;
        let rows = select.query_map(params_from_iter(values), |row| row.get(0))?;
        rows.collect::<rusqlite::Result<_>>().map(Some)
    }

    /// What a row has to meet, and the parameters.
    fn conditions(self, query: &SearchQuery) -> (Vec<String>, Vec<Value>) {
        let mut values = Vec::new();
        let mut conditions: Vec<String> = query.filters.iter().map(|it| condition(it, &mut values)).collect();
        if let Some(excluded) = query.excluded() {
            for (index, is_there) in [("nodes_words", self.has_words), ("nodes_fts", self.has_old)] {
                if is_there {
                    values.push(Value::Text(excluded.clone()));
                    let place = values.len();
                    conditions.push(format!(
                        "nodes.id NOT IN (SELECT rowid FROM {index} WHERE {index} MATCH ?{place})"
                    ));
                }
            }
        }
        (conditions, values)
    }
}

/// Moves the documents whose name is the query to the front of `found`.
fn named(
    connection: &Connection,
    query: &SearchQuery,
    found: &mut Vec<Candidate>,
    limit: usize,
) -> rusqlite::Result<()> {
    let (Some(expression), Some(name)) = (query.name_expression(), &query.name) else { return Ok(()) };
    let pattern = format!("%/{}.%", escaped(name));
    let sql = "SELECT nodes.id, 0.0 FROM nodes_words JOIN nodes ON nodes.id = nodes_words.rowid
         WHERE nodes_words MATCH ?1 AND nodes.path LIKE ?2 ESCAPE '\\' ORDER BY length(nodes.path), nodes.path LIMIT ?3";
    let best = found.iter().map(|it| it.rank).fold(0.0, f64::min);
    for candidate in rows(connection, sql, vec![expression.into(), pattern.into(), limited(limit).into()])? {
        found.retain(|it| it.id != candidate.id);
        found.push(Candidate { rank: best - 1.0, ..candidate });
    }
    Ok(())
}

fn select(
    connection: &Connection,
    from: &str,
    (expression, weights): (&str, &str),
    query: &SearchQuery,
    limit: usize,
) -> rusqlite::Result<Vec<Candidate>> {
    let mut values = vec![Value::Text(expression.to_owned()), Value::Text(weights.to_owned())];
    let conditions = query.filters.iter().map(|it| condition(it, &mut values));
    let from: Vec<String> = [from.to_owned()].into_iter().chain(conditions).collect();
    let sql =
        format!("SELECT nodes.id, rank FROM {} ORDER BY rank LIMIT {}", from.join(" AND "), limited(limit));
    rows(connection, &sql, values)
}

fn rows(connection: &Connection, sql: &str, values: Vec<Value>) -> rusqlite::Result<Vec<Candidate>> {
    let mut select = connection.prepare(sql)?;
    let found = select
        .query_map(params_from_iter(values), |row| Ok(Candidate { id: row.get(0)?, rank: row.get(1)? }))?;
    found.collect()
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
