//! The processes that have a database open that is no longer at its path. The search reads every descriptor of every
//! process, so it runs only for a path without a file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    observe::{files, opener::OpenerTarget, processes::OpenerFinder},
    snapshot::Unseen,
};

/// The processes that have a deleted file of a database open, and those that could not be read.
#[derive(Debug)]
pub struct DeletedHolders {
    pub pids: Vec<i32>,
    /// Processes with unreadable descriptors: a holder may be among them.
    pub unseen: Vec<Unseen>,
}

/// The processes that have open the database formerly at the absolute `path`, as the `/proc` at `proc` shows them.
pub fn holders_of_deleted(proc: &Path, path: &Path) -> DeletedHolders {
    let paths = files::with_sidecars(path);
    let nobody = BTreeSet::new();
    let target = OpenerTarget {
        paths: paths.each_ref().map(PathBuf::as_path),
        namespace: None,
        sights: [None; 3],
        former: [None; 3],
        users: &nobody,
        holders: &nobody,
        is_cut: false,
        ofd_rows: Vec::new(),
    };
    let mut processes = OpenerFinder::new(proc);
    let openers = processes.find(&[target], Instant::now());
    let pids = openers.into_iter().flat_map(std::collections::BTreeMap::into_keys).collect();
    DeletedHolders { pids, unseen: processes.unseen().collect() }
}
