//! Whether a VACUUM would corrupt an index of the host.
//!
//! VACUUM may renumber the rows of a table without an INTEGER PRIMARY KEY (<https://www.sqlite.org/lang_vacuum.html>).
//! A full-text index with its content in such a table finds rows by these numbers, and would then find wrong ones.

use std::sync::LazyLock;

use regex::Regex;
use rusqlite::{Connection, OptionalExtension};

/// A table whose row numbers an index needs, and VACUUM may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no VACUUM: it may number the rows of {table} anew, by which the full-text index {index} finds them; give {table} an \
     INTEGER PRIMARY KEY first, or leave --vacuum out"
)]
pub struct RowidRenumbering {
    pub table: String,
    pub index: String,
}

/// The name after `content =`, in any of SQLite's quotes; a column after `content_rowid =` is another option.
static CONTENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?is)[(,]\s*content\s*=\s*(?:'([^']+)'|"([^"]+)"|\[([^\]]+)\]|`([^`]+)`|([^\s,()'"\[`]+))"#)
        .ok()
});

/// The first full-text index of `connection`'s database that a VACUUM may corrupt; `None` if there is none.
pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<RowidRenumbering>> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%USING%fts%'";
    let mut select = connection.prepare(sql)?;
    let indexes = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    for found in indexes {
        let (index, sql) = found?;
        let Some(content) = CONTENT.as_ref().and_then(|it| it.captures(&sql)) else { continue };
        let Some(table) = content.iter().skip(1).flatten().next().map(|it| it.as_str()) else { continue };
        if numbers_may_change(connection, table)? {
            return Ok(Some(RowidRenumbering { table: table.to_owned(), index }));
        }
    }
    Ok(None)
}

/// Whether `table` has row numbers that no column stores.
fn numbers_may_change(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT wr = 0 AND type = 'table' FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?1)";
    let has_numbers = connection.query_row(sql, [table], |row| row.get(0)).optional()?;
    let sql = "SELECT count(*) = 1 AND max(upper(type)) = 'INTEGER' FROM pragma_table_info(?1) WHERE pk > 0";
    let are_kept = connection.query_row(sql, [table], |row| row.get::<_, bool>(0))?;
    Ok(has_numbers.unwrap_or(false) && !are_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_spoilt_only_where_its_rows_have_no_key() {
        for (table, index, expected) in [
            ("CREATE TABLE docs (t)", "fts5(t, content = 'docs')", true),
            ("CREATE TABLE docs (t)", "FTS5(t, content=docs)", true),
            ("CREATE TABLE docs (t)", "fts5(t, tokenize = 'porter', content=\"docs\")", true),
            ("CREATE TABLE docs (t, id TEXT PRIMARY KEY)", "fts5(t, content=[DOCS])", true),
            (
                "CREATE TABLE docs (t, id INTEGER PRIMARY KEY)",
                "fts5(t, content='docs', content_rowid='id')",
                false,
            ),
            ("CREATE TABLE docs (t, id integer primary key)", "fts5(t, content='docs')", false),
            ("CREATE VIEW docs AS SELECT 1 AS t", "fts5(t, content='docs')", false),
            ("CREATE TABLE docs (t)", "fts5(t)", false),
            ("CREATE TABLE docs (t)", "fts5(t, content='')", false),
        ] {
            let connection = Connection::open_in_memory().expect("memory");
            let sql = format!("{table}; CREATE VIRTUAL TABLE finds USING {index}");
            connection.execute_batch(&sql).expect(&sql);
            assert_eq!(of(&connection).expect("a look").is_some(), expected, "{sql}");
        }
    }
}
