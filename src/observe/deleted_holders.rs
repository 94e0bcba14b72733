//! Who has a database open that is no longer at its path. It costs a look at every descriptor of every process, so it is
//! asked for a path where nothing is.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    observe::{files, opener::OpenerTarget, processes::OpenerFinder},
    snapshot::Unseen,
};

/// The processes that have a deleted file of a database open, and those that cannot be asked.
#[derive(Debug)]
pub struct DeletedHolders {
    pub pids: Vec<i32>,
    /// Whose descriptors could not be read: a holder may be among them.
    pub unseen: Vec<Unseen>,
}

/// The processes that have the database open which lay at `path`, an absolute one, as the `/proc` at `proc` shows them.
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
