//! One document's rows, inside a transaction: the node, its edges, and the edges of others that mean it.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    super::{
        discover::{EXTENSIONS, Stamp},
        names::Names,
        parse::{Document, Edge},
    },
    Known, Store,
};

impl Store {
    pub(super) fn in_savepoint(&mut self, document: &Document) -> rusqlite::Result<()> {
        self.statement("SAVEPOINT document", [])?;
        let mut id = None;
        match self.upsert(document, &mut id) {
            Ok(()) => self.statement("RELEASE document", []).map(drop),
            Err(error) => {
                if let Some(id) = id {
                    self.names.iter_mut().for_each(|names| names.remove(&document.name, id));
                }
                // Where SQLite has rolled everything back there is no savepoint any more; the caller sees that.
                if !self.connection.is_autocommit() {
                    self.statement("ROLLBACK TO document", [])?;
                    self.statement("RELEASE document", [])?;
                }
                Err(error)
            }
        }
    }

    /// `fresh` is set to the row that was made, so that it can be forgotten where something fails after that.
    fn upsert(&mut self, document: &Document, fresh: &mut Option<i64>) -> rusqlite::Result<()> {
        let before = self.row_of(&document.name)?;
        let id = self.upsert_node(document)?;
        if before.is_some() {
            self.statement("DELETE FROM edges WHERE source = ?1", [id])?;
        } else {
            *fresh = Some(id);
            self.names.iter_mut().for_each(|names| names.insert(&document.name, id));
        }
        for edge in &document.edges {
            let target = self.resolve(document.folder, edge)?;
            // A row that another run took out meanwhile is nobody's target.
            self.statement(
                "INSERT INTO edges (source, kind, target, target_node)
                 VALUES (?1, ?2, ?3, (SELECT id FROM nodes WHERE id = ?4))",
                params![id, edge.kind, edge.target, target],
            )?;
            if self.names[document.folder].is_wiki(edge) {
                self.names[document.folder].want(id, edge.clone());
            }
        }
        if before.is_none() { self.point_links_at(&document.name) } else { Ok(()) }
    }

    fn upsert_node(&self, document: &Document) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO nodes
                 (path, folder, title, kind, front_matter, body, bytes, modified_ns, hash, ingested_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (path) DO UPDATE SET
                 folder = excluded.folder, title = excluded.title, kind = excluded.kind,
                 front_matter = excluded.front_matter, body = excluded.body, bytes = excluded.bytes,
                 modified_ns = excluded.modified_ns, hash = excluded.hash, ingested_at = excluded.ingested_at
             RETURNING id";
        let values = params![
            document.name,
            self.folders[document.folder],
            document.title,
            document.kind,
            document.front_matter,
            document.body,
            i64::try_from(document.stamp.bytes).unwrap_or(i64::MAX),
            document.stamp.modified_ns,
            document.hash,
            jiff::Timestamp::now().to_string(),
        ];
        self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))
    }

    pub(super) fn delete(&self, name: &str, id: i64) -> rusqlite::Result<()> {
        // Its edges go with it, and edges to it are set to NULL: the tables' own references do that.
        self.statement("DELETE FROM nodes WHERE id = ?1 AND path = ?2", params![id, name])?;
        self.point_links_at(name)
    }

    /// Points the links that may mean the document `name` to what they mean now that it came or went.
    fn point_links_at(&self, name: &str) -> rusqlite::Result<()> {
        let bare = without_extension(name);
        for target in [Some(name), bare].into_iter().flatten() {
            let Some(node) = self.by_path(target)? else { continue };
            self.statement(
                "UPDATE edges SET target_node = ?1
                 WHERE target = ?2 AND target_node IS NULL AND kind NOT IN ('wikilink', 'tag', 'url')",
                params![node, target],
            )?;
            // A link without an ending may have meant another one's namesake so far.
            self.statement(
                "UPDATE edges SET target_node = ?1
                 WHERE target = ?2 AND kind NOT IN ('wikilink', 'tag', 'url') AND target_node IN
                     (SELECT id FROM nodes WHERE path IN (?2 || '.md', ?2 || '.markdown', ?2 || '.mdx', ?2 || '.txt'))
                     AND target_node <> ?1",
                params![node, target],
            )?;
        }
        for names in &self.names {
            for wanted in names.affected(name) {
                let edge = &wanted.edge;
                self.statement(
                    "UPDATE edges SET target_node = (SELECT id FROM nodes WHERE id = ?1)
                     WHERE source = ?2 AND kind = ?3 AND target = ?4 AND target_node IS NOT ?1",
                    params![names.resolve(&edge.target), wanted.source, edge.kind, edge.target],
                )?;
            }
        }
        Ok(())
    }

    fn resolve(&self, folder: usize, edge: &Edge) -> rusqlite::Result<Option<i64>> {
        match edge.kind.as_str() {
            "tag" | "url" => Ok(None),
            _ if self.names[folder].is_wiki(edge) => Ok(self.names[folder].resolve(&edge.target)),
            _ => self.by_path(&edge.target),
        }
    }

    /// The document with this name, or with this name and an ending, in the order of [`EXTENSIONS`].
    fn by_path(&self, target: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.row_of(target)? {
            return Ok(Some(id));
        }
        if without_extension(target).is_some() {
            return Ok(None);
        }
        for extension in EXTENSIONS {
            if let Some(id) = self.row_of(&format!("{target}.{extension}"))? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn row_of(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        let mut select = self.connection.prepare_cached("SELECT id FROM nodes WHERE path = ?1")?;
        select.query_row([name], |row| row.get(0)).optional()
    }

    fn statement(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }
}

/// `name` without a document's ending; `None` where it has none.
fn without_extension(name: &str) -> Option<&str> {
    let (bare, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)).then_some(bare)
}

pub(super) fn known_under(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<(String, Known)>> {
    // `/` is followed by `0`, so this is the range of names that begin with the prefix, which ends with `/`.
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let sql = "SELECT path, id, folder, bytes, modified_ns, hash FROM nodes WHERE path >= ?1 AND path < ?2";
    let mut select = connection.prepare_cached(sql)?;
    let known = select.query_map([prefix, &end], |row| {
        let stamp =
            Stamp { bytes: row.get::<_, i64>(3)?.try_into().unwrap_or_default(), modified_ns: row.get(4)? };
        // A hash of another length is nobody's: the file counts as changed.
        let hash = row.get_ref(5)?.as_blob()?.try_into().unwrap_or_default();
        Ok((row.get(0)?, Known { id: row.get(1)?, folder: row.get(2)?, stamp, hash }))
    })?;
    known.collect()
}

pub(super) fn wikilinks(
    connection: &Connection,
    folder: &str,
    names: &Names,
) -> rusqlite::Result<Vec<(i64, Edge)>> {
    let sql = "SELECT edges.source, edges.kind, edges.target FROM nodes JOIN edges ON edges.source = nodes.id
         WHERE nodes.folder = ?1 AND edges.kind NOT IN ('tag', 'url', 'link')";
    let mut select = connection.prepare_cached(sql)?;
    let links = select
        .query_map([folder], |row| Ok((row.get(0)?, Edge { kind: row.get(1)?, target: row.get(2)? })))?
        .filter(|link| link.as_ref().map_or(true, |(_, edge)| names.is_wiki(edge)));
    links.collect()
}
