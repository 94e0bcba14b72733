//! Whether the files at the database's path are still those that are open.
//!
//! A file that was renamed over the database, or its removal, leaves a connection with files that nobody else sees:
//! whatever it commits is lost. `stat` alone tells; opening them here would drop the connection's locks.

use std::{
    cell::Cell,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::observe::sidecar;

/// Device and inode.
type Identity = (u64, u64);

/// The database's files as they were when it was opened.
#[derive(Debug)]
pub(super) struct Place {
    main: PathBuf,
    opened: Option<Identity>,
    sidecars: [PathBuf; 2],
    /// `-wal` and `-shm`, which are there as long as anybody is connected, once they were seen.
    seen: Cell<[Option<Identity>; 2]>,
}

impl Place {
    /// Of the database at `path`, which was opened just now.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            main: path.to_owned(),
            opened: identity(path),
            sidecars: ["-wal", "-shm"].map(|suffix| sidecar(path, suffix)),
            seen: Cell::default(),
        }
    }

    /// Whether they are the same still; to be asked where this process holds a lock, so that the sidecars are there.
    pub(super) fn is_kept(&self) -> bool {
        let now = self.sidecars.each_ref().map(|path| identity(path));
        let seen = self.seen.get();
        self.seen.set([seen[0].or(now[0]), seen[1].or(now[1])]);
        let is_same = |(seen, now): (Option<Identity>, Option<Identity>)| seen.is_none() || seen == now;
        self.opened.is_some() && identity(&self.main) == self.opened && seen.into_iter().zip(now).all(is_same)
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_removed_is_seen() {
        for name in ["x.db", "x.db-wal", "x.db-shm"] {
            let dir = TempDir::new().expect("a folder");
            let path = |name: &str| dir.path().join(name);
            fs::write(path("x.db"), "").expect("a file");
            let place = Place::of(&path("x.db"));
            assert!(place.is_kept(), "there are no sidecars yet");
            for sidecar in ["x.db-wal", "x.db-shm"] {
                fs::write(path(sidecar), "").expect("a file");
            }
            assert!(place.is_kept() && place.is_kept(), "{name}");
            fs::write(path("new"), "").expect("a file");
            fs::rename(path("new"), path(name)).expect("in its place");
            assert!(!place.is_kept(), "{name} was replaced");
            fs::remove_file(path(name)).expect("it was there");
            assert!(!place.is_kept(), "{name} was removed");
        }
    }
}
