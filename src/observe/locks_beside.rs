//! Locks on other files in the folder of a database, such as the lock file of its program.
//!
//! The folder is listed only if the lock table has a lock on some other file of its device, and again only after it has
//! changed.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirEntryExt,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    file_format::SIDECARS,
    observe::{
        files::{self, FileSighting},
        lock_table::OtherRow,
    },
    snapshot::{FileLockKind, LockBeside, LockParty},
};

/// How many entries of a folder are read.
const MOST_ENTRIES: usize = 1024;
/// Time between two listings of a folder that changes all the time, as beside a rollback journal.
const PAUSE: Duration = Duration::from_secs(2);
/// How many locks are reported.
const MOST_LOCKS: usize = 16;

/// Finds the locks on the files of one folder across samples.
#[derive(Debug, Default)]
pub struct LocksBeside {
    listed: Option<(Instant, SystemTime)>,
    // The files that are none of SQLite's, by inode.
    names: HashMap<u64, String>,
}

impl LocksBeside {
    /// Those of `rows` that are on files beside `main`, the sighting of the main file at `path`, without labels.
    pub fn find(
        &mut self,
        rows: &[OtherRow],
        path: &Path,
        main: Option<&FileSighting>,
        now: Instant,
    ) -> Vec<LockBeside> {
        let Some(main) = main else { return Vec::new() };
        let mut found = self.of_kernel(rows, path, main, now);
        found.extend(dotfile(path));
        found
    }

    fn of_kernel(
        &mut self,
        rows: &[OtherRow],
        path: &Path,
        main: &FileSighting,
        now: Instant,
    ) -> Vec<LockBeside> {
        let is_near = |row: &&OtherRow| row.device == main.lock_device || row.device == main.id.numbers();
        let mut rows = rows.iter().filter(is_near).peekable();
        if rows.peek().is_none() {
            return Vec::new();
        }
        self.list(path, now);
        let mut found: Vec<(u64, LockBeside)> = Vec::new();
        for row in rows {
            let Some(file) = self.names.get(&row.inode) else { continue };
            let party = row.pid.map(|pid| LockParty { pid, label: None });
            if row.is_waiter {
                // A waiter has the number of the lock that it waits for, and comes after it.
                let holder =
                    found.iter_mut().find(|(number, lock)| *number == row.number && lock.file == *file);
                if let Some((_, lock)) = holder {
                    lock.waiters.extend(party);
                }
            } else if found.len() < MOST_LOCKS {
                let lock = LockBeside {
                    file: file.clone(),
                    kind: row.kind,
                    is_exclusive: row.is_write,
                    holder: party,
                    waiters: Vec::new(),
                };
                found.push((row.number, lock));
            }
        }
        found.into_iter().map(|(_, lock)| lock).collect()
    }

    fn list(&mut self, path: &Path, now: Instant) {
        let Some(folder) = path.parent() else { return };
        let Some(changed) = folder.metadata().ok().and_then(|it| it.modified().ok()) else { return };
        let is_known = |(at, known): (Instant, SystemTime)| {
            known == changed || now.saturating_duration_since(at) < PAUSE
        };
        if self.listed.is_some_and(is_known) {
            return;
        }
        self.listed = Some((now, changed));
        let Ok(entries) = fs::read_dir(folder) else { return self.names.clear() };
        let entries = entries.flatten().take(MOST_ENTRIES);
        let all: HashMap<String, u64> =
            entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.ino())).collect();
        let is_of_sqlite = |name: &str| {
            SIDECARS.iter().any(|suffix| name.ends_with(suffix))
                || SIDECARS.iter().any(|suffix| all.contains_key(&format!("{name}{suffix}")))
        };
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.names = all
            .iter()
            .filter(|(name, _)| own.as_ref() != Some(name) && !is_of_sqlite(name))
            .map(|(name, inode)| (*inode, name.clone()))
            .collect();
    }
}

// The lock that SQLite's VFS `unix-dotfile` makes for the database at `path` (`dotlockOpen` in SQLite's `os_unix.c`).
fn dotfile(path: &Path) -> Option<LockBeside> {
    let lock = files::sidecar(path, ".lock");
    let file = lock.file_name()?.to_string_lossy().into_owned();
    let found = LockBeside {
        file,
        kind: FileLockKind::Dotfile,
        is_exclusive: true,
        holder: None,
        waiters: Vec::new(),
    };
    lock.is_dir().then_some(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::observe::proc::mounts::MountTable;

    #[test]
    fn locks_on_files_of_the_folder_have_their_waiters() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["rpm.db", "rpm.db-shm", ".rpm.lock", "other.db", "other.db-wal"] {
            fs::write(at(name), "").expect("written");
        }
        let main = files::read_files(&at("rpm.db"), &at("rpm.db"), &MountTable::read("/proc".as_ref()));
        let main = main.expect("readable").expect("it is there");
        let row = |number, name: &str, pid, is_waiter| OtherRow {
            number,
            kind: FileLockKind::Posix,
            is_waiter,
            pid: Some(pid),
            is_write: true,
            device: main.lock_device,
            inode: at(name).metadata().expect("there").ino(),
        };
        let rows = [
            row(1, ".rpm.lock", 70, false),
            row(1, ".rpm.lock", 71, true),
            row(2, "other.db", 72, false),
            row(3, "rpm.db-shm", 73, false),
            row(4, "rpm.db", 74, false),
            row(9, ".rpm.lock", 75, true),
            OtherRow { device: (0xff, 0xff), ..row(5, ".rpm.lock", 76, false) },
        ];
        let mut beside = LocksBeside::default();
        let start = Instant::now();
        let found = beside.find(&rows, &at("rpm.db"), Some(&main), start);
        let outline: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(outline, [".rpm.lock: 70 has a POSIX lock on it; waiting: 71"]);
        assert_eq!(beside.find(&rows, &at("rpm.db"), None, start), []);
        // A folder that changes is read again after a pause.
        fs::write(at("big-lock"), "").expect("written");
        let new = [row(1, "big-lock", 70, false)];
        let count = |beside: &mut LocksBeside, later| {
            beside.find(&new, &at("rpm.db"), Some(&main), start + later).len()
        };
        assert_eq!([Duration::ZERO, PAUSE].map(|later| count(&mut beside, later)), [0, 1]);
    }
}
