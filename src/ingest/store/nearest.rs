//! Search by meaning: it compares every vector of the model, which takes a few ms for thousands.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use rusqlite::{Connection, OptionalExtension};

use super::{
    candidates::WordIndexes,
    search::{self, SearchError, SearchHit},
    snippet,
};
use crate::{
    config::profile::Profile,
    ingest::{
        embed::vector::{self, RankedMatch, TopMatches},
        query::SearchQuery,
    },
};

/// The meaning of a query.
#[derive(Debug, Clone, Copy)]
pub struct QueryMeaning<'a> {
    pub model: &'a str,
    /// Of length 1.
    pub vector: &'a [f32],
}

/// A document, by the most similar of its vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NearDocument {
    pub id: i64,
    pub similarity: f32,
    /// Where the section of that vector begins in its text, in bytes; 0 if it is the vector of the whole.
    pub start: usize,
}

/// The documents in the database at `path` whose vectors are most similar to `meaning`, of those that meet the conditions
/// of `query`: at most `limit`, the most similar first. Documents without a vector of their current text are not found.
/// The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, or it has no such vectors.
pub fn nearest(
    path: &Path,
    query: &SearchQuery,
    meaning: QueryMeaning<'_>,
    limit: usize,
    profile: &Profile,
) -> Result<Vec<SearchHit>, SearchError> {
    let shown = path.display().to_string();
    search::read(path, profile, |connection| {
        if let Some(error) = unusable(connection, meaning, &shown)? {
            return Ok(Err(error));
        }
        let found = most_alike(connection, query, meaning, limit)?;
        found.into_iter().map(|near| hit(connection, near)).collect::<rusqlite::Result<_>>().map(Ok)
    })?
}

/// Why the vectors of the database cannot be compared with `meaning`.
pub(super) fn unusable(
    connection: &Connection,
    meaning: QueryMeaning<'_>,
    path: &str,
) -> rusqlite::Result<Option<SearchError>> {
    let QueryMeaning { model, vector } = meaning;
    let not_embedded =
        |others| SearchError::NotEmbedded { path: path.to_owned(), model: model.to_owned(), others };
    if !connection.table_exists(None, "nodes_vectors")? {
        return Ok(Some(not_embedded(Vec::new())));
    }
    let sql = "SELECT dimension FROM nodes_vectors WHERE model = ?1 LIMIT 1";
    let stored: Option<i64> = connection.query_row(sql, [model], |row| row.get(0)).optional()?;
    Ok(match stored {
        None => Some(not_embedded(models(connection)?)),
        Some(stored) if usize::try_from(stored) != Ok(vector.len()) => {
            Some(SearchError::Dimension { model: model.to_owned(), stored, query: vector.len() })
        }
        Some(_) => None,
    })
}

fn models(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare("SELECT DISTINCT model FROM nodes_vectors ORDER BY model")?;
    select.query_map([], |row| row.get(0))?.collect()
}

/// The documents that meet the conditions of `query` and are most similar to `meaning`: at most `limit`, best first.
pub(super) fn most_alike(
    connection: &Connection,
    query: &SearchQuery,
    meaning: QueryMeaning<'_>,
    limit: usize,
) -> rusqlite::Result<Vec<NearDocument>> {
    let allowed = WordIndexes::of(connection)?.allowed(connection, query)?;
    let mut best = of_documents(connection, meaning, allowed.as_ref())?;
    if connection.table_exists(None, "nodes_sections")? {
        of_sections(connection, meaning, &mut best)?;
    }
    let mut top = TopMatches::of(limit);
    for (&id, &(similarity, _)) in &best {
        top.offer(RankedMatch { id, similarity });
    }
    let found = top.best_first().into_iter();
    Ok(found
        .map(|RankedMatch { id, similarity }| NearDocument { id, similarity, start: best[&id].1 })
        .collect())
}

/// Similarity by row, and where the similar section begins.
type BestOf = HashMap<i64, (f32, usize)>;

fn of_documents(
    connection: &Connection,
    meaning: QueryMeaning<'_>,
    allowed: Option<&HashSet<i64>>,
) -> rusqlite::Result<BestOf> {
    // A document that changes loses its vectors in the same transaction, so every vector here matches the current text.
    let mut select = connection.prepare("SELECT node, vector FROM nodes_vectors WHERE model = ?1")?;
    let mut rows = select.query([meaning.model])?;
    let mut best = BestOf::new();
    let mut numbers = Vec::with_capacity(meaning.vector.len());
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if allowed.is_none_or(|it| it.contains(&id))
            && let Some(similarity) = similarity(row.get_ref(1)?.as_blob()?, meaning.vector, &mut numbers)
        {
            best.insert(id, (similarity, 0));
        }
    }
    Ok(best)
}

/// Takes the sections that are more similar than their document.
fn of_sections(
    connection: &Connection,
    meaning: QueryMeaning<'_>,
    best: &mut BestOf,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT node, start, vector FROM nodes_sections WHERE model = ?1")?;
    let mut rows = select.query([meaning.model])?;
    let mut numbers = Vec::with_capacity(meaning.vector.len());
    while let Some(row) = rows.next()? {
        let Some(known) = best.get_mut(&row.get(0)?) else { continue };
        let found = similarity(row.get_ref(2)?.as_blob()?, meaning.vector, &mut numbers);
        if let Some(similarity) = found.filter(|similarity| *similarity > known.0) {
            *known = (similarity, usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default());
        }
    }
    Ok(())
}

/// The similarity of the vector stored as `bytes` to `query`; `None` if it has another length. `numbers` is a buffer.
fn similarity(bytes: &[u8], query: &[f32], numbers: &mut Vec<f32>) -> Option<f32> {
    numbers.clear();
    vector::read_into(numbers, bytes);
    (numbers.len() == query.len()).then(|| vector::cosine(query, numbers))
}

/// The document `near`, with the beginning of its section.
pub(super) fn hit(connection: &Connection, near: NearDocument) -> rusqlite::Result<SearchHit> {
    let NearDocument { id, similarity, start } = near;
    let sql = "SELECT path, title, body FROM nodes WHERE id = ?1";
    connection.prepare_cached(sql)?.query_row([id], |row| {
        let body = row.get_ref(2)?.as_str()?;
        let similarity = f64::from(similarity);
        Ok(SearchHit {
            path: row.get(0)?,
            title: row.get(1)?,
            snippet: snippet::from(body, start),
            rank: -similarity,
            similarity: Some(similarity),
            section_offset: Some(start as u64),
            links_out: search::links_out(connection, id)?,
            links_in: search::links_in(connection, id)?,
        })
    })
}
