//! Links to a path that no document has: they lead to the only document of that name, if there is one.
//!
//! This is done once after the documents of a run: which name has a single document is known only then.

use std::collections::VecDeque;

use rusqlite::params;

use super::{BatchLimit, DocumentStore, StoreError, TransactionCost, patience::patiently, rows};

/// Where a link leads from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepointedLink {
    source: i64,
    target: String,
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
        let (links, _) = patiently(&self.patience, || self.read_repointed())
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
                repointed.push_back(RepointedLink { source, target, node, by_name });
            }
        }
        Ok(repointed)
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
                 WHERE source = ?3 AND kind = 'link' AND target = ?4";
            let values = params![link.node, link.by_name, link.source, link.target];
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
