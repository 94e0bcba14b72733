//! Search by meaning: it compares every vector of the model, which takes a few ms for thousands.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::search::{self, SearchError, SearchHit};
use crate::{
    config::profile::Profile,
    database::factory,
    ingest::embed::vector::{self, RankedMatch, TopMatches},
    text::one_line,
};

/// Characters from the start of a document that replace a snippet.
const BEGINNING: usize = 120;

/// The documents in the database at `path` whose vectors of `model` are most similar to `query`, a vector of length 1:
/// at most `limit`, the most similar first. Documents without a vector of their current text are not found. The
/// connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, or it has no such vectors.
pub fn nearest(
    path: &Path,
    model: &str,
    query: &[f32],
    limit: usize,
    profile: &Profile,
) -> Result<Vec<SearchHit>, SearchError> {
    let _as_owner = factory::as_owner(path)?;
    let (connection, shown) = (search::open(path, profile)?, path.display().to_string());
    let say = |source| SearchError::Sqlite { path: shown.clone(), source };
    let not_embedded =
        |others| SearchError::NotEmbedded { path: shown.clone(), model: model.to_owned(), others };
    if !connection.table_exists(None, "nodes_vectors").map_err(say)? {
        return Err(not_embedded(Vec::new()));
    }
    let moment = connection.unchecked_transaction().map_err(say)?;
    match dimension(&moment, model).map_err(say)? {
        None => return Err(not_embedded(models(&moment).map_err(say)?)),
        Some(stored) if usize::try_from(stored) != Ok(query.len()) => {
            return Err(SearchError::Dimension { model: model.to_owned(), stored, query: query.len() });
        }
        Some(_) => {}
    }
    let found = most_alike(&moment, model, query, limit).map_err(say)?;
    found.into_iter().map(|near| hit(&moment, near)).collect::<rusqlite::Result<_>>().map_err(say)
}

/// Length of a vector of `model`.
fn dimension(connection: &Connection, model: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT dimension FROM nodes_vectors WHERE model = ?1 LIMIT 1";
    connection.query_row(sql, [model], |row| row.get(0)).optional()
}

fn models(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare("SELECT DISTINCT model FROM nodes_vectors ORDER BY model")?;
    select.query_map([], |row| row.get(0))?.collect()
}

fn most_alike(
    connection: &Connection,
    model: &str,
    query: &[f32],
    limit: usize,
) -> rusqlite::Result<Vec<RankedMatch>> {
    // A document that changes loses its vector in the same transaction, so every vector here matches the current text.
    let mut select = connection.prepare("SELECT node, vector FROM nodes_vectors WHERE model = ?1")?;
    let mut rows = select.query([model])?;
    let mut top = TopMatches::of(limit);
    let mut numbers = Vec::with_capacity(query.len());
    while let Some(row) = rows.next()? {
        numbers.clear();
        vector::read_into(&mut numbers, row.get_ref(1)?.as_blob()?);
        if numbers.len() != query.len() {
            continue;
        }
        top.offer(RankedMatch { id: row.get(0)?, similarity: vector::cosine(query, &numbers) });
    }
    Ok(top.best_first())
}

fn hit(connection: &Connection, RankedMatch { id, similarity }: RankedMatch) -> rusqlite::Result<SearchHit> {
    let sql = "SELECT path, title, substr(body, 1, ?2), length(body) > ?2 FROM nodes WHERE id = ?1";
    let cut = i64::try_from(BEGINNING).unwrap_or_default();
    connection.prepare_cached(sql)?.query_row(params![id, cut], |row| {
        let mut snippet = one_line(row.get_ref(2)?.as_str()?);
        if row.get(3)? {
            snippet.push('…');
        }
        let similarity = f64::from(similarity);
        Ok(SearchHit {
            path: row.get(0)?,
            title: row.get(1)?,
            snippet,
            rank: -similarity,
            similarity: Some(similarity),
            links_out: search::links_out(connection, id)?,
            links_in: search::links_in(connection, id)?,
        })
    })
}
