//! The rows of one document, inside a transaction: the node, its edges, and the edges of other documents to it.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::{
    super::{
        discover::{EXTENSIONS, FileStamp},
        names::DocumentNames,
        parse::{DocumentEdge, ParsedDocument, READER_VERSION},
    },
    DocumentStore, KnownDocument,
};
use crate::snapshot::EdgeKind;

/// A link target that is no document itself may lack the extension: it means the first match of [`EXTENSIONS`]. Or it is
/// a folder, and means the document that stands for that.
const WITH_AN_ENDING: &str = "coalesce(
    (SELECT id FROM nodes WHERE path = ?1), (SELECT id FROM nodes WHERE path = ?1 || '.md'),
    (SELECT id FROM nodes WHERE path = ?1 || '.markdown'), (SELECT id FROM nodes WHERE path = ?1 || '.mdx'),
    (SELECT id FROM nodes WHERE path = ?1 || '.txt'), (SELECT id FROM nodes WHERE path = ?1 || '/index.md'),
    (SELECT id FROM nodes WHERE path = ?1 || '/README.md'), (SELECT id FROM nodes WHERE path = ?1 || '/readme.md'),
    (SELECT id FROM nodes WHERE path = ?1 || '/_index.md'))";

/// The files that stand for their folder.
const OF_FOLDER: [&str; 4] = ["/index.md", "/README.md", "/readme.md", "/_index.md"];

/// Matches the edges whose target can be a document's path.
static IS_PATH: LazyLock<String> = LazyLock::new(|| {
    let others = EdgeKind::WITHOUT_DOCUMENT.iter().chain(EdgeKind::WITHOUT_PATH);
    format!("kind NOT IN ({})", EdgeKind::sql_list(others))
});

static FIND_UNRESOLVED: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT 1 FROM edges WHERE target IN (?1, ?2, ?3) AND target_node IS NULL AND {}", *IS_PATH)
});

static RESOLVE: LazyLock<String> = LazyLock::new(|| {
    format!("UPDATE edges SET target_node = ?1 WHERE target = ?2 AND target_node IS NULL AND {}", *IS_PATH)
});

const NAMESAKES: &str = "SELECT id FROM nodes
     WHERE path IN (?2 || '.md', ?2 || '.markdown', ?2 || '.mdx', ?2 || '.txt',
         ?2 || '/index.md', ?2 || '/README.md', ?2 || '/readme.md', ?2 || '/_index.md') AND id IS NOT ?1";

static POINT_AT_NAMESAKE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE edges SET target_node = ?1 WHERE target = ?2 AND target_node IN ({NAMESAKES}) AND {}",
        *IS_PATH
    )
});

static INSERT_BARE_LINK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO edges (target, source, kind, line, target_node) VALUES (?1, ?2, ?3, ?4, {WITH_AN_ENDING})"
    )
});

#[derive(Debug, Clone, Copy)]
pub(super) struct RowPosition {
    pub id: i64,
    /// Whether it was inserted just now.
    pub is_fresh: bool,
}

impl DocumentStore {
    /// Writes `document`, its edges and its index entry; [`RowPosition`] says where, and whether the row is new.
    pub(super) fn upsert(&mut self, document: &ParsedDocument) -> rusqlite::Result<RowPosition> {
        let row = match self.row_of(&document.name)? {
            Some(id) => {
                self.update_node(id, document)?;
                self.statement("DELETE FROM edges WHERE source = ?1", [id])?;
                RowPosition { id, is_fresh: false }
            }
            None => RowPosition { id: self.insert_node(document)?, is_fresh: true },
        };
        if row.is_fresh {
            self.names.iter_mut().for_each(|names| names.insert(&document.name, row.id));
        }
        let rest = self.insert_file(row.id, document).and_then(|()| self.insert_edges(row.id, document));
        match rest {
            Ok(()) => Ok(row),
            Err(error) => {
                self.remove_cached(&document.name, row);
                Err(error)
            }
        }
    }

    /// Forgets a document whose row is rolled back.
    pub(super) fn remove_cached(&mut self, name: &str, row: RowPosition) {
        if row.is_fresh {
            self.names.iter_mut().for_each(|names| names.remove(name, row.id));
        }
    }

    fn insert_node(&self, document: &ParsedDocument) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO nodes
                 (path, folder, title, kind, front_matter, body, bytes, modified_ns, hash, ingested_at,
                  name_words, more_words)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        self.bind_node(sql, document, None)?;
        let id = self.connection.last_insert_rowid();
        self.index(id, document)?;
        Ok(id)
    }

    fn update_node(&self, id: i64, document: &ParsedDocument) -> rusqlite::Result<()> {
        let sql = "UPDATE nodes SET
                 path = ?1, folder = ?2, title = ?3, kind = ?4, front_matter = ?5, body = ?6, bytes = ?7,
                 modified_ns = ?8, hash = ?9, ingested_at = ?10, name_words = ?11, more_words = ?12
             WHERE id = ?13";
        self.unindex_for_update(id)?;
        // The vector belongs to the old text. One that is read again, by a newer reader, may have the same.
        let sql_of_vectors = "DELETE FROM nodes_vectors WHERE node = ?1 AND hash IS NOT ?2";
        self.statement(sql_of_vectors, params![id, document.hash])?;
        self.bind_node(sql, document, Some(id))?;
        self.index(id, document)
    }

    fn bind_node(&self, sql: &str, document: &ParsedDocument, id: Option<i64>) -> rusqlite::Result<()> {
        let bytes = i64::try_from(document.stamp.bytes).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::now().to_string();
        let mut values: Vec<&dyn ToSql> = vec![
            &document.name,
            &self.folders[document.folder],
            &document.title,
            &document.kind,
            &document.front_matter,
            &document.body,
            &bytes,
            &document.stamp.modified_ns,
            &document.hash,
            &now,
            &document.name_words,
            &document.more_words,
        ];
        if let Some(id) = &id {
            values.push(id);
        }
        self.statement(sql, values.as_slice()).map(drop)
    }

    fn insert_file(&self, id: i64, document: &ParsedDocument) -> rusqlite::Result<()> {
        // Not with REPLACE: that takes a savepoint, at which FTS5 writes its buffer as a segment.
        self.statement("DELETE FROM nodes_files WHERE node = ?1", [id])?;
        let sql = "INSERT INTO nodes_files (node, changed_ns, inode, reader) VALUES (?1, ?2, ?3, ?4)";
        let FileStamp { changed_ns, inode, .. } = document.stamp;
        self.statement(sql, [id, changed_ns, inode, READER_VERSION]).map(drop)
    }

    fn insert_edges(&mut self, id: i64, document: &ParsedDocument) -> rusqlite::Result<()> {
        for (edge, line) in &document.edges {
            let (kind, target) = (edge.kind.to_string(), &edge.target);
            let names = &mut self.names[document.folder];
            if EdgeKind::WITHOUT_DOCUMENT.contains(&edge.kind) {
                self.statement(
                    "INSERT INTO edges (source, kind, target, line) VALUES (?1, ?2, ?3, ?4)",
                    params![id, kind, target, line],
                )?;
            } else if names.is_wiki(edge) {
                let node = names.resolve(&document.name, target);
                names.want(id, &document.name, edge);
                // No edge may point to a row that another run deleted meanwhile.
                self.statement(
                    "INSERT INTO edges (source, kind, target, target_node, line)
                     VALUES (?1, ?2, ?3, (SELECT id FROM nodes WHERE id = ?4), ?5)",
                    params![id, kind, target, node, line],
                )?;
            } else {
                let sql = if without_extension(target).is_some() {
                    "INSERT INTO edges (target, source, kind, line, target_node)
                     VALUES (?1, ?2, ?3, ?4, (SELECT id FROM nodes WHERE path = ?1))"
                } else {
                    &*INSERT_BARE_LINK
                };
                self.statement(sql, params![target, id, kind, line])?;
            }
        }
        Ok(())
    }

    /// Deletes the row of a document that is no longer in the search index.
    pub(super) fn delete(&self, name: &str, id: i64) -> rusqlite::Result<()> {
        // The tables' own references delete its edges, and set edges to it to NULL.
        self.statement("DELETE FROM nodes WHERE id = ?1 AND path = ?2", params![id, name])?;
        self.point_links_at(name, None)
    }

    /// Resolves again the links that may mean the document `name`, after it was added as row `come`, or removed.
    pub(super) fn point_links_at(&self, name: &str, come: Option<i64>) -> rusqlite::Result<()> {
        let bare = without_extension(name).filter(|bare| without_extension(bare).is_none());
        let folder = OF_FOLDER.iter().find_map(|file| name.strip_suffix(file));
        // Most documents are linked to after they were added. A SELECT is cheaper than an UPDATE that finds nothing.
        if self.any(&FIND_UNRESOLVED, params![name, bare, folder])? {
            let nodes = [self.row_of(name)?, self.by_bare_path(bare)?, self.by_bare_path(folder)?];
            for (target, node) in [Some(name), bare, folder].into_iter().zip(nodes) {
                self.statement(&RESOLVE, params![node, target])?;
            }
        }
        // A link without an extension may have meant another document of the same stem so far.
        for bare in [bare, folder].into_iter().flatten() {
            if self.any(NAMESAKES, params![come, bare])? {
                self.statement(&POINT_AT_NAMESAKE, params![self.by_bare_path(Some(bare))?, bare])?;
            }
        }
        self.point_wikilinks_at(name, come)
    }

    fn point_wikilinks_at(&self, name: &str, come: Option<i64>) -> rusqlite::Result<()> {
        for names in &self.names {
            for wanted in names.affected(name) {
                let edge = &wanted.edge;
                let node = names.resolve_again(wanted);
                // A new document changes nothing if the link still means another one.
                if come.is_some() && node != come {
                    continue;
                }
                self.statement(
                    "UPDATE edges SET target_node = (SELECT id FROM nodes WHERE id = ?1)
                     WHERE source = ?2 AND kind = ?3 AND target = ?4 AND target_node IS NOT ?1",
                    params![node, wanted.source, edge.kind.to_string(), edge.target],
                )?;
            }
        }
        Ok(())
    }

    pub(super) fn by_bare_path(&self, bare: Option<&str>) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(&format!("SELECT {WITH_AN_ENDING}"))?
            .query_row([bare], |row| row.get(0))
    }

    fn any(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(sql)?.exists(values)
    }

    pub(super) fn row_of(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        let mut select = self.connection.prepare_cached("SELECT id FROM nodes WHERE path = ?1")?;
        select.query_row([name], |row| row.get(0)).optional()
    }

    pub(super) fn statement(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }
}

/// `name` without a document's extension; `None` if it has none.
pub(super) fn without_extension(name: &str) -> Option<&str> {
    let (bare, extension) = name.rsplit_once('.')?;
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)).then_some(bare)
}

pub(super) fn known_under(
    connection: &Connection,
    prefix: &str,
) -> rusqlite::Result<Vec<(String, KnownDocument)>> {
    let end = end_of(prefix);
    let sql = "SELECT path, id, folder, bytes, modified_ns, hash, changed_ns, inode, reader
         FROM nodes LEFT JOIN nodes_files ON node = id WHERE path >= ?1 AND path < ?2";
    let mut select = connection.prepare_cached(sql)?;
    let known = select.query_map([prefix, &end], |row| {
        let stamp = FileStamp {
            bytes: row.get::<_, i64>(3)?.try_into().unwrap_or_default(),
            modified_ns: row.get(4)?,
            changed_ns: row.get::<_, Option<i64>>(6)?.unwrap_or_default(),
            inode: row.get::<_, Option<i64>>(7)?.unwrap_or_default(),
        };
        let is_current = row.get::<_, Option<i64>>(8)? == Some(READER_VERSION);
        // A hash of another length matches nothing: the file counts as changed.
        let hash = row.get_ref(5)?.as_blob()?.try_into().unwrap_or_default();
        Ok((row.get(0)?, KnownDocument { id: row.get(1)?, folder: row.get(2)?, stamp, hash, is_current }))
    })?;
    known.collect()
}

pub(super) fn wikilinks(
    connection: &Connection,
    folder: &str,
    names: &DocumentNames,
) -> rusqlite::Result<Vec<(i64, DocumentEdge)>> {
    let others = EdgeKind::WITHOUT_DOCUMENT.iter().chain([&EdgeKind::Link, &EdgeKind::Semantic]);
    let sql = format!(
        "SELECT edges.source, edges.kind, edges.target FROM nodes JOIN edges ON edges.source = nodes.id
         WHERE nodes.folder = ?1 AND edges.kind NOT IN ({})",
        EdgeKind::sql_list(others)
    );
    let mut select = connection.prepare_cached(&sql)?;
    let links = select
        .query_map([folder], |row| {
            Ok((row.get(0)?, DocumentEdge { kind: row.get::<_, String>(1)?.into(), target: row.get(2)? }))
        })?
        .filter(|link| link.as_ref().map_or(true, |(_, edge)| names.is_wiki(edge)));
    links.collect()
}

/// The end of the range of names that start with the prefix, which ends with `/`: `0` follows `/`.
pub(super) fn end_of(prefix: &str) -> String {
    format!("{}0", prefix.trim_end_matches('/'))
}
