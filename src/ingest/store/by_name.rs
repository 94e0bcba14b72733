//! Links to a path that no document has: they lead to the only document of that name, if there is one. Wikilinks to a
//! name that no document has: they lead to the document that has it as an alias; of several, to the first by path.
//!
//! This is done once after the documents of a run: which names and aliases there are is known only then.

use std::collections::{HashMap, VecDeque};

use rusqlite::params;

use super::{
    super::{names, parse::DocumentEdge},
    BatchLimit, DocumentStore, StoreError, TransactionCost,
    patience::patiently,
    rows,
};
use crate::snapshot::EdgeKind;

/// Where a link leads from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepointedLink {
    source: i64,
    edge: DocumentEdge,
    /// The row that it leads to; `None` for nowhere.
    node: Option<i64>,
    by_name: bool,
}

impl DocumentStore {
    /// The links of the run's folders that lead to another document than before, now that all documents are known.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn links_to_repoint(&self) -> Result<VecDeque<RepointedLink>, StoreError> {
        let (links, _) = patiently(&self.patience, || {
            let mut links = self.read_repointed()?;
            links.extend(self.read_aliased()?);
            Ok(links)
        })
        .map_err(|failure| failure.into_error(&self.path, "read"))?;
        Ok(links)
    }

    fn read_repointed(&self) -> rusqlite::Result<VecDeque<RepointedLink>> {
        // Each half has an index of its own.
        let sql = "SELECT source, target, target_node, by_name FROM edges
             WHERE target_node IS NULL AND NOT by_name AND kind = 'link'
             UNION ALL SELECT source, target, target_node, by_name FROM edges WHERE by_name AND kind = 'link'";
        let mut select = self.connection.prepare_cached(sql)?;
        let mut rows = select.query([])?;
        let mut repointed = VecDeque::new();
        while let Some(row) = rows.next()? {
            let before = (row.get::<_, Option<i64>>(2)?, row.get::<_, bool>(3)?);
            let link: (i64, String) = (row.get(0)?, row.get(1)?);
            let Some(names) = self.names.iter().find(|it| link.1.starts_with(it.prefix())) else { continue };
            // A link of the first half would lead to a document of its path, if there were one.
            let exact = if before.1 && names.may_have(&link.1) { self.by_path(&link.1)? } else { None };
            let node = exact.or_else(|| names.only(&link.1));
            let by_name = exact.is_none() && node.is_some();
            if before != (node, by_name) {
                let (source, target) = link;
                let edge = DocumentEdge { kind: EdgeKind::Link, target };
                repointed.push_back(RepointedLink { source, edge, node, by_name });
            }
        }
        Ok(repointed)
    }

    /// The same of wikilinks and of relations that name a document as they do.
    fn read_aliased(&self) -> rusqlite::Result<Vec<RepointedLink>> {
        let aliases = self.read_aliases()?;
        let others = EdgeKind::WITHOUT_DOCUMENT.iter().chain([&EdgeKind::Link, &EdgeKind::Semantic]);
        let others = EdgeKind::sql_list(others);
        let mut repointed = Vec::new();
        // Without aliases no further link can be resolved.
        let unresolved = (!aliases.is_empty()).then_some("target_node IS NULL AND NOT by_name");
        for half in unresolved.into_iter().chain(["by_name"]) {
            let sql = format!(
                "SELECT source, edges.kind, target, target_node, by_name, path, folder FROM edges
                 JOIN nodes ON nodes.id = source WHERE {half} AND edges.kind NOT IN ({others})"
            );
            let mut select = self.connection.prepare_cached(&sql)?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let edge = DocumentEdge { kind: row.get::<_, String>(1)?.into(), target: row.get(2)? };
                let before = (row.get::<_, Option<i64>>(3)?, row.get::<_, bool>(4)?);
                let (path, folder): (String, String) = (row.get(5)?, row.get(6)?);
                let Some(place) = self.folders.iter().position(|it| *it == folder) else { continue };
                let names = self.names.get(place).filter(|names| names.is_wiki(&edge));
                let Some(names) = names else { continue };
                let by_path = names.resolve(&path, &edge.target);
                let node = by_path.or_else(|| aliases.get(&(folder, names::folded(&edge.target))).copied());
                let by_name = by_path.is_none() && node.is_some();
                if before != (node, by_name) {
                    repointed.push(RepointedLink { source: row.get(0)?, edge, node, by_name });
                }
            }
        }
        Ok(repointed)
    }

    /// The rows of documents by folder and alias.
    fn read_aliases(&self) -> rusqlite::Result<HashMap<(String, String), i64>> {
        if !self.has_aliases {
            return Ok(HashMap::new());
        }
        // The index of edges without a document has the aliases; the first path is the last one that is kept.
        let sql = "SELECT folder, target, id FROM edges JOIN nodes ON nodes.id = source
             WHERE target_node IS NULL AND edges.kind = 'alias' ORDER BY path DESC";
        let mut select = self.connection.prepare_cached(sql)?;
        let aliases = select.query_map([], |row| {
            Ok(((row.get(0)?, names::folded(&row.get::<_, String>(1)?)), row.get(2)?))
        })?;
        aliases.collect()
    }

    fn by_path(&self, target: &str) -> rusqlite::Result<Option<i64>> {
        if rows::without_extension(target).is_some() {
            self.row_of(target)
        } else {
            self.by_bare_path(Some(target))
        }
    }

    /// Writes links from the front of `links` in one transaction, as many as `limit` allows; returns how many.
    ///
    /// # Errors
    ///
    /// The lock is not available, or the transaction fails; nothing of it is written then.
    pub fn repoint(
        &mut self,
        links: &mut VecDeque<RepointedLink>,
        limit: BatchLimit,
    ) -> Result<(u64, TransactionCost), StoreError> {
        let begun = self.begin()?;
        let mut done = 0;
        for link in &*links {
            if begun.is_over(done, 0, limit) {
                break;
            }
            // Another run may have deleted either row meanwhile.
            let sql = "UPDATE edges SET target_node = (SELECT id FROM nodes WHERE id = ?1), by_name = ?2
                 WHERE source = ?3 AND kind = ?4 AND target = ?5";
            let RepointedLink { source, edge, node, by_name } = link;
            let values = params![node, by_name, source, edge.kind.to_string(), edge.target];
            if let Err(error) = self.statement(sql, values) {
                return Err(self.give_up(error));
            }
            done += 1;
        }
        let cost = self.commit(&begun)?;
        links.drain(..done);
        Ok((done as u64, cost))
    }
}
