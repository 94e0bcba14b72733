//! Finding what is near in meaning: every vector of the model is looked at, which takes a few ms for thousands.

use std::path::Path;

use rusqlite::{Connection, params};

use super::search::{self, Error, Hit};
use crate::ingest::embed::vector::{self, Near, Top};

/// Characters of a document's beginning that stand where a snippet would.
const BEGINNING: usize = 120;

/// The at most `limit` documents in the database at `path` whose vectors of `model` are most like `query`, a vector of
/// length 1; the most alike first. What has no vector of its text of now is not found.
///
/// # Errors
///
/// Where there is no such database, or it has no such vectors.
pub fn nearest(path: &Path, model: &str, query: &[f32], limit: usize) -> Result<Vec<Hit>, Error> {
    let (connection, shown) = (search::open(path)?, path.display().to_string());
    let say = |source| Error::Sqlite { path: shown.clone(), source };
    let not_embedded = || Error::NotEmbedded { path: shown.clone(), model: model.to_owned() };
    if !connection.table_exists(None, "embeddings").map_err(say)? {
        return Err(not_embedded());
    }
    let moment = connection.unchecked_transaction().map_err(say)?;
    let dimensions: Option<(i64, i64)> = moment
        .query_row(
            "SELECT min(dimension), max(dimension) FROM embeddings WHERE model = ?1 HAVING count(*) > 0",
            [model],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map(Some)
        .or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })
        .map_err(say)?;
    let length = i64::try_from(query.len()).unwrap_or(i64::MAX);
    match dimensions {
        None => return Err(not_embedded()),
        Some(found) if found != (length, length) => {
            return Err(Error::Dimension { model: model.to_owned(), stored: found.1, query: query.len() });
        }
        Some(_) => {}
    }
    let found = most_alike(&moment, model, query, limit).map_err(say)?;
    found.into_iter().map(|near| hit(&moment, near)).collect::<rusqlite::Result<_>>().map_err(say)
}

fn most_alike(
    connection: &Connection,
    model: &str,
    query: &[f32],
    limit: usize,
) -> rusqlite::Result<Vec<Near>> {
    let mut select = connection.prepare(
        "SELECT embeddings.node, embeddings.vector
         FROM embeddings JOIN nodes ON nodes.id = embeddings.node AND nodes.hash = embeddings.hash
         WHERE embeddings.model = ?1",
    )?;
    let mut rows = select.query([model])?;
    let mut top = Top::of(limit);
    let mut numbers = Vec::with_capacity(query.len());
    while let Some(row) = rows.next()? {
        numbers.clear();
        vector::read_into(&mut numbers, row.get_ref(1)?.as_blob()?);
        top.offer(Near { id: row.get(0)?, likeness: vector::likeness(query, &numbers) });
    }
    Ok(top.best_first())
}

fn hit(connection: &Connection, Near { id, likeness }: Near) -> rusqlite::Result<Hit> {
    let sql = "SELECT path, title, substr(body, 1, ?2), length(body) > ?2 FROM nodes WHERE id = ?1";
    let cut = i64::try_from(BEGINNING).unwrap_or_default();
    connection.prepare_cached(sql)?.query_row(params![id, cut], |row| {
        let mut snippet = row.get::<_, String>(2)?.split_whitespace().collect::<Vec<_>>().join(" ");
        if row.get(3)? {
            snippet.push('…');
        }
        let similarity = f64::from(likeness);
        Ok(Hit {
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
