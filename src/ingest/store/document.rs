//! Reads one ingested document, or the names of all, from their rows.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::search::{self, SearchError};
use crate::config::profile::Profile;

/// Front matter with more bytes is left out.
const MOST_FRONT_MATTER: usize = 16 << 10;
/// How many names a message proposes for a name that is not there.
const MOST_PROPOSED: u32 = 3;

/// A part of an ingested document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct DocumentPart {
    /// Its name in the database.
    pub path: String,
    pub title: String,
    pub kind: String,
    pub ingested_at: Timestamp,
    /// Its front matter; `None` if it has none, or more than 16 KiB of it.
    pub front_matter: Option<Value>,
    /// Bytes of its text, without the front matter.
    pub total_bytes: u64,
    /// Where this part of the text begins, in bytes.
    pub offset: u64,
    pub text: String,
    /// Where the rest begins; `None` if this part is the last one.
    pub next_offset: Option<u64>,
}

/// A document in the list of all.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ListedDocument {
    /// Its name in the database.
    pub path: String,
    pub title: String,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no document {name} in {database}{}", proposal(near))]
    NoDocument {
        name: String,
        database: String,
        /// Documents whose names end alike.
        near: Vec<String>,
    },
    #[error(transparent)]
    Database(#[from] SearchError),
}

fn proposal(near: &[String]) -> String {
    if near.is_empty() {
        "; `waltop search` finds documents, with their names".to_owned()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    }
}

/// Up to `length` bytes of the document `name` in the database at `path`, from `offset` on, without a part of a
/// character. The connection uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database or document.
pub fn part(
    path: &Path,
    name: &str,
    offset: u64,
    length: usize,
    profile: &Profile,
) -> Result<DocumentPart, ReadError> {
    let found = search::read(path, profile, |connection| match select(connection, name, offset, length)? {
        Some(part) => Ok(Ok(part)),
        None => near(connection, name).map(Err),
    })?;
    found.map_err(|near| ReadError::NoDocument {
        name: name.to_owned(),
        database: path.display().to_string(),
        near,
    })
}

fn select(
    connection: &Connection,
    name: &str,
    offset: u64,
    length: usize,
) -> rusqlite::Result<Option<DocumentPart>> {
    let sql = "SELECT path, title, kind, ingested_at, front_matter, body FROM nodes WHERE path = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let body = row.get_ref(5)?.as_str()?;
        let (start, end) = cut(body, usize::try_from(offset).unwrap_or(usize::MAX), length);
        let front_matter: Option<String> = row.get(4)?;
        let ingested_at: String = row.get(3)?;
        Ok(DocumentPart {
            path: row.get(0)?,
            title: row.get(1)?,
            kind: row.get(2)?,
            ingested_at: ingested_at.parse().unwrap_or_default(),
            front_matter: front_matter
                .filter(|it| it.len() <= MOST_FRONT_MATTER)
                .and_then(|it| serde_json::from_str(&it).ok()),
            total_bytes: body.len() as u64,
            offset: start as u64,
            text: body[start..end].to_owned(),
            next_offset: (end < body.len()).then_some(end as u64),
        })
    };
    connection.query_row(sql, [name], read).optional()
}

/// The bytes of `text` from `offset` on, at most `length` and at least one character, between characters.
fn cut(text: &str, offset: usize, length: usize) -> (usize, usize) {
    let start = text.floor_char_boundary(offset.min(text.len()));
    let end = text.floor_char_boundary(start.saturating_add(length).min(text.len()));
    let next = text[start..].chars().next().map_or(0, char::len_utf8);
    (start, end.max(start + next))
}

/// Documents whose names end in the last part of `name`.
fn near(connection: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let sql =
        "SELECT path FROM nodes WHERE ?1 <> '' AND substr(path, -length(?1)) = ?1 ORDER BY path LIMIT ?2";
    connection.prepare(sql)?.query_map(params![last, MOST_PROPOSED], |row| row.get(0))?.collect()
}

/// Up to `limit` documents in the database at `path`, by name, from the one after the name `after` on. The connection
/// uses the settings of `profile`.
///
/// # Errors
///
/// There is no such database, or nothing was ingested into it.
pub fn list(
    path: &Path,
    after: &str,
    limit: usize,
    profile: &Profile,
) -> Result<Vec<ListedDocument>, SearchError> {
    search::read(path, profile, |connection| {
        let mut select = connection
            .prepare("SELECT path, title, bytes FROM nodes WHERE path > ?1 ORDER BY path LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![after, limit], |row| {
            let bytes = u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
            Ok(ListedDocument { path: row.get(0)?, title: row.get(1)?, bytes })
        })?;
        rows.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_whole_characters_and_the_parts_are_the_text() {
        let text = "aé日本🦀z";
        for length in 1..=text.len() {
            let (mut read, mut offset) = (String::new(), 0);
            while offset < text.len() {
                let (start, end) = cut(text, offset, length);
                assert!(start == offset && end > start, "{start} {end} by {length}");
                read.push_str(&text[start..end]);
                offset = end;
            }
            assert_eq!(read, text, "by {length}");
        }
        assert_eq!(cut(text, 2, 3), (1, 3), "inside of é");
        assert_eq!(cut(text, 99, 3), (text.len(), text.len()));
        assert_eq!(cut("", 0, 3), (0, 0));
    }
}
