//! A process that has a database open, and what it has open of it.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux shows descriptors"))]

use std::{collections::BTreeSet, path::Path};

use crate::{
    observe::{files::Sight, lock_table::Row},
    snapshot::Handles,
};

/// What to find the openers of: one database.
#[derive(Debug)]
pub struct Target<'a> {
    /// Main file, `-wal` and `-shm`: their paths.
    pub paths: [&'a Path; 3],
    /// The files there.
    pub sights: [Option<&'a Sight>; 3],
    /// The processes that hold a lock on one of them.
    pub holders: &'a BTreeSet<i32>,
    /// The open-file-description locks on them, of which the lock table does not say who took them.
    pub ofd_rows: Vec<&'a Row>,
}

/// A process that has files of one database open, or holds locks on them.
#[derive(Debug, Clone, Default)]
pub struct Opener {
    /// Descriptors on the files; `None` where they cannot be read.
    pub handles: Option<Handles>,
    /// Descriptors on the main file that are read-only.
    pub read_only_db: u32,
    /// Descriptors on the main file or `-wal` as another waltop has them while it reads a header.
    pub glances: u32,
    /// Descriptors on `-shm` that are read-only.
    pub read_only_shm: u32,
    /// Files of an older generation that it has open.
    pub replaced: Vec<String>,
    /// The open-file-description locks that it has taken on the files.
    pub ofd_locks: Vec<Row>,
    /// Descriptors on replaced files, those on a `-shm` aside that are read-only.
    pub writable_replaced: u32,
}

impl Opener {
    /// Whether it took the open-file-description lock `row`.
    pub fn took(&self, row: &Row) -> bool {
        self.ofd_locks.iter().any(|taken| row.is_taken_as(taken))
    }

    /// Whether every descriptor on the main file is read-only.
    pub fn read_only(&self) -> Option<bool> {
        self.handles.filter(|handles| handles.db > 0).map(|handles| self.read_only_db == handles.db)
    }

    /// Whether it is another waltop, which asks through a read-only descriptor on `-shm`, and at most reads a header.
    pub fn is_observer(&self) -> bool {
        self.writable_replaced == 0
            && self.ofd_locks.is_empty()
            && self.handles.is_some_and(|handles| {
                handles.db + handles.wal == self.glances && handles.shm == self.read_only_shm
            })
    }
}
