//! Whether the files at the database's path are still the open ones.
//!
//! If a file is renamed over the database, or the database is deleted, a connection is left with files that no other
//! process sees, and all its commits are lost. Only `stat` checks this: opening the files here would drop the
//! connection's locks.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use crate::{observe::sidecar, paths::FileId};

/// The database's files as they were when it was opened.
#[derive(Debug)]
pub(super) struct DatabasePlace {
    main: PathBuf,
    opened: Option<FileId>,
    sidecars: [PathBuf; 2],
    /// `-wal` and `-shm`, once they were seen; they exist as long as any process is connected.
    seen: Cell<[Option<FileId>; 2]>,
}

impl DatabasePlace {
    /// The files of the database at `path`, opened just now; `before` is the file that was there before, because an
    /// open that waits for a lock takes time.
    pub(super) fn of(path: &Path, before: Option<FileId>) -> Self {
        Self {
            main: path.to_owned(),
            opened: before.or_else(|| FileId::at(path)),
            sidecars: ["-wal", "-shm"].map(|suffix| sidecar(path, suffix)),
            seen: Cell::default(),
        }
    }

    /// Whether they are still the same; valid only while this process holds a lock, so that the sidecars exist.
    pub(super) fn is_unchanged(&self) -> bool {
        let now = self.sidecars.each_ref().map(|path| FileId::at(path));
        let seen = self.seen.get();
        self.seen.set([seen[0].or(now[0]), seen[1].or(now[1])]);
        let is_same = |(seen, now): (Option<FileId>, Option<FileId>)| seen.is_none() || seen == now;
        self.opened.is_some()
            && FileId::at(&self.main) == self.opened
            && seen.into_iter().zip(now).all(is_same)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_removed_is_seen() {
        for name in ["x.db", "x.db-wal", "x.db-shm"] {
            let dir = TempDir::new().expect("a folder");
            let path = |name: &str| dir.path().join(name);
            fs::write(path("x.db"), "").expect("a file");
            let place = DatabasePlace::of(&path("x.db"), None);
            assert!(place.is_unchanged(), "there are no sidecars yet");
            for sidecar in ["x.db-wal", "x.db-shm"] {
                fs::write(path(sidecar), "").expect("a file");
            }
            assert!(place.is_unchanged() && place.is_unchanged(), "{name}");
            fs::write(path("new"), "").expect("a file");
            fs::rename(path("new"), path(name)).expect("in its place");
            assert!(!place.is_unchanged(), "{name} was replaced");
            fs::remove_file(path(name)).expect("it was there");
            assert!(!place.is_unchanged(), "{name} was removed");
        }
    }

    #[test]
    fn one_that_was_replaced_while_it_was_opened_is_seen() {
        let dir = TempDir::new().expect("a folder");
        let path = dir.path().join("x.db");
        assert!(FileId::at(&path).is_none());
        fs::write(&path, "").expect("a file");
        let before = FileId::at(&path);
        assert!(DatabasePlace::of(&path, before).is_unchanged());
        fs::write(dir.path().join("new"), "").expect("a file");
        fs::rename(dir.path().join("new"), &path).expect("in its place");
        assert!(!DatabasePlace::of(&path, before).is_unchanged());
    }
}
