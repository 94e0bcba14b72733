//! A process that has a database open, and the files that it has open.

#![cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux shows descriptors"))]

use std::{collections::BTreeSet, os::unix::ffi::OsStrExt, path::Path};

use crate::{
    observe::{
        files::{BirthId, FileSighting},
        lock_table::LockRow,
        locks::DecodedLocks,
    },
    paths::FileId,
    snapshot::{HandleCounts, Process, ProgramSample},
};

/// A database to find the openers of.
#[derive(Debug)]
pub struct OpenerTarget<'a> {
    /// The paths of main file, `-wal` and `-shm`.
    pub paths: [&'a Path; 3],
    /// The mount namespace of these paths; `None`: the namespace of this process.
    pub namespace: Option<&'a Path>,
    pub sights: [Option<&'a FileSighting>; 3],
    /// For each path without a file, the file that was last there.
    pub former: [Option<BirthId>; 3],
    /// The openers as of the previous sample.
    pub users: &'a BTreeSet<i32>,
    /// The processes that hold a lock on one of them.
    pub holders: &'a BTreeSet<i32>,
    /// Whether the lock table was cut, so that the locks of each descriptor have to be read.
    pub is_cut: bool,
    /// The open-file-description locks on them, for which the lock table names no process.
    pub ofd_rows: Vec<&'a LockRow>,
}

impl OpenerTarget<'_> {
    /// The index of the file with identity `birth`, which `pid` has open as `text`, if it was moved away after `pid`
    /// was seen to use it. A process that opened it at its new path does not count for the old one.
    pub fn moved(&self, pid: i32, birth: BirthId, text: &[u8]) -> Option<usize> {
        let which = self.former.iter().position(|&former| former == Some(birth))?;
        let is_elsewhere = text != self.paths[which].as_os_str().as_bytes() && !text.ends_with(b" (deleted)");
        (is_elsewhere && self.users.contains(&pid)).then_some(which)
    }
}

/// A process that has files of one database open, or holds locks on them.
#[derive(Debug, Clone, Default)]
pub struct DatabaseOpener {
    /// Descriptors on the files; `None` if they cannot be read.
    pub handles: Option<HandleCounts>,
    /// Descriptors on the main file that are read-only.
    pub read_only_db: u32,
    /// Whether the position of a read-only descriptor on the main file is past the beginning.
    pub has_moved: bool,
    /// Descriptors on the main file or `-wal` of the kind that another waltop has while it reads a header.
    pub glances: u32,
    /// Descriptors on `-shm` that are read-only.
    pub read_only_shm: u32,
    /// Files of an older generation that it has open.
    pub replaced: Vec<String>,
    /// Those of them that hold data and have no name left.
    pub deleted: Vec<String>,
    /// Bytes of them.
    pub deleted_bytes: u64,
    /// The current paths of those of them that were moved away.
    pub moved_to: Vec<String>,
    /// The open-file-description locks that it has taken on the files; if the lock table was cut, also its POSIX locks.
    pub taken_locks: Vec<LockRow>,
    /// The temporary files that the process has open, for this database or another.
    pub temporary: TemporaryFile,
    /// Descriptors on replaced files, except read-only ones on a `-shm`.
    pub writable_replaced: u32,
    /// Descriptors on files of the database, of any generation or name, that are open for writing.
    pub writable: u32,
    /// Descriptors on the current `-wal` that are open for writing.
    pub writable_log: u32,
    /// Its descriptors on the main file (0) and on `-shm` (2), on which locks are taken: the file, and the descriptor
    /// number.
    pub lockable: Vec<(usize, String)>,
    /// Logs and indexes of another name of the main file that it has open, as the kernel names them.
    pub other_log: Vec<String>,
    /// The same by device and inode.
    pub other_files: Vec<String>,
    /// The files of the database, including replaced ones, on which it has descriptors.
    pub files: Vec<FileId>,
}

impl DatabaseOpener {
    /// Records a descriptor on the file `id` of the database.
    pub fn note_file(&mut self, id: FileId) {
        if !self.files.contains(&id) {
            self.files.push(id);
        }
    }

    /// The program in `process`, with the files that it has open here.
    pub fn program(&self, process: &Process) -> ProgramSample {
        ProgramSample {
            executable: process.program.executable,
            files: self.handles.map(|_| self.files.clone()),
        }
    }

    /// Whether it took the open-file-description lock `row`.
    pub fn took(&self, row: &LockRow) -> bool {
        self.taken_locks.iter().any(|taken| row.is_taken_as(taken))
    }

    /// Whether every descriptor on the main file is read-only.
    pub fn read_only(&self) -> Option<bool> {
        self.handles.filter(|handles| handles.db > 0).map(|handles| self.read_only_db == handles.db)
    }

    /// Whether it only reads files: every descriptor is read-only, and `row`, the same process, maps no `-shm` and
    /// holds none of the locks of `decoded`. `None` if that is not visible.
    pub fn only_reads_files(&self, row: &Process, decoded: &DecodedLocks) -> Option<bool> {
        self.handles?;
        let holds = row.holds_index || !row.holds.is_empty() || decoded.main_holders.contains(&row.pid);
        Some(self.writable == 0 && !row.maps_index? && !holds)
    }

    /// Whether it is another waltop, which probes through a read-only descriptor on `-shm`, and at most reads a header.
    pub fn is_observer(&self) -> bool {
        self.writable_replaced == 0
            && self.taken_locks.is_empty()
            && self.handles.is_some_and(|handles| {
                handles.db + handles.wal == self.glances && handles.shm == self.read_only_shm
            })
    }
}

/// Temporary files that a process has open, identified by the names of its descriptors in the kernel.
///
/// SQLite deletes a temporary file as soon as it is created. Most builds first give it a name, `etilqs_` and a random
/// number (`SQLITE_TEMP_FILE_PREFIX` of its `os.h`). Some create it without a name (`O_TMPFILE`), as other programs
/// also do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TemporaryFile {
    /// Its descriptors cannot be read.
    #[default]
    Unseen,
    /// The number of SQLite's files, and whether there are others that may be.
    Seen {
        /// Files with a name that only SQLite uses.
        named: u32,
        /// Bytes of them.
        bytes: u64,
        /// Files without a name, whose creator is unknown.
        nameless: bool,
    },
}

impl TemporaryFile {
    /// No temporary file so far.
    pub const NONE: Self = Self::Seen { named: 0, bytes: 0, nameless: false };

    /// Records a descriptor whose link has the target `text`; `size` reads the size of its file.
    pub fn note(&mut self, text: &[u8], size: impl FnOnce() -> Option<u64>) {
        let Self::Seen { named, bytes, nameless } = self else { return };
        let Some(path) = text.strip_suffix(b" (deleted)") else { return };
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        // `sqlite_` was the prefix until 2006 (a comment in that `os.h` gives the reason), and a build may still set
        // it.
        if name.starts_with(b"etilqs_") || name.starts_with(b"sqlite_") {
            *named += 1;
            *bytes += size().unwrap_or_default();
        }
        *nameless |= name.strip_prefix(b"#").is_some_and(|number| number.iter().all(u8::is_ascii_digit));
    }

    /// How many are certainly SQLite's; `None` if there is none, but some may be.
    pub fn confirmed_count(self) -> Option<u32> {
        match self {
            Self::Unseen | Self::Seen { named: 0, nameless: true, .. } => None,
            Self::Seen { named, .. } => Some(named),
        }
    }

    /// Bytes of those that are certainly SQLite's; `None` as for [`confirmed_count`](Self::confirmed_count).
    pub fn confirmed_bytes(self) -> Option<u64> {
        match self {
            Self::Seen { bytes, .. } => self.confirmed_count().map(|_| bytes),
            Self::Unseen => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmed_count(texts: &[&str]) -> Option<u32> {
        let mut temporary = TemporaryFile::NONE;
        for text in texts {
            temporary.note(text.as_bytes(), || Some(4096));
        }
        let count = temporary.confirmed_count();
        assert_eq!(temporary.confirmed_bytes(), count.map(|count| u64::from(count) * 4096));
        count
    }

    #[test]
    fn only_what_sqlite_names_is_surely_its_own() {
        assert_eq!(confirmed_count(&[]), Some(0));
        assert_eq!(
            confirmed_count(&["/var/tmp/etilqs_df2cb092fcdb242b (deleted)", "/tmp/sqlite_1 (deleted)"]),
            Some(2)
        );
        for other in
            ["/tmp/etilqs_1", "/tmp/etilqs_1/notes (deleted)", "/tmp/#x (deleted)", "/tmp/a (deleted)"]
        {
            assert_eq!(confirmed_count(&[other]), Some(0), "{other}");
        }
        assert_eq!(confirmed_count(&["/tmp/#4711 (deleted)"]), None, "anybody may make one");
        assert_eq!(confirmed_count(&["/tmp/#4711 (deleted)", "/tmp/etilqs_1 (deleted)"]), Some(1));
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let mut unseen = TemporaryFile::Unseen;
        unseen.note(b"/tmp/etilqs_1 (deleted)", || Some(1));
        assert_eq!(unseen.confirmed_count(), None);
    }

    #[test]
    fn a_user_has_a_file_that_was_moved_away_only_where_it_lies_elsewhere_now() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let Some(birth) = BirthId::of(&file.as_file().metadata().expect("it is there")) else {
            eprintln!("not tested: the file system keeps no time of birth");
            return;
        };
        let (users, holders) = (BTreeSet::from([70]), BTreeSet::new());
        let target = OpenerTarget {
            paths: ["/srv/a.db", "/srv/a.db-wal", "/srv/a.db-shm"].map(Path::new),
            namespace: None,
            sights: [None; 3],
            former: [None, Some(birth), None],
            users: &users,
            holders: &holders,
            is_cut: false,
            ofd_rows: Vec::new(),
        };
        assert_eq!(target.moved(70, birth, b"/old/a.db-wal"), Some(1));
        assert_eq!(target.moved(71, birth, b"/old/a.db-wal"), None, "it never used the database");
        assert_eq!(target.moved(70, birth, b"/srv/a.db-wal"), None, "it lies where it lay");
        assert_eq!(target.moved(70, birth, b"/srv/a.db-wal (deleted)"), None, "it lies nowhere");
    }

    #[test]
    fn the_program_to_be_stopped_later_is_known_by_its_executable_and_its_files() {
        let [executable, main, log] = [1, 2, 3].map(|inode| FileId { device: 1, inode });
        let mut process = crate::diagnose::fixture::process(70, "bun");
        process.program.executable = Some(executable);
        let mut opener = DatabaseOpener::default();
        let unlisted = ProgramSample { executable: Some(executable), files: None };
        assert_eq!(opener.program(&process), unlisted, "its descriptors cannot be read");
        opener.handles = Some(HandleCounts { db: 2, wal: 1, shm: 0 });
        for file in [main, log, main] {
            opener.note_file(file);
        }
        let expected = ProgramSample { executable: Some(executable), files: Some(vec![main, log]) };
        assert_eq!(opener.program(&process), expected);
    }

    #[test]
    fn who_can_write_maps_the_index_or_holds_a_lock_does_more_than_read_files() {
        let reads = || {
            (DatabaseOpener { handles: Some(HandleCounts::default()), ..DatabaseOpener::default() }, {
                let process = crate::diagnose::fixture::process(70, "tar");
                Process { maps_index: Some(false), holds_index: false, holds: Vec::new(), ..process }
            })
        };
        let only_reads = |(opener, row): (DatabaseOpener, Process), main_holder: i32| {
            let mut decoded =
                crate::observe::locks::decode(crate::snapshot::JournalMode::Wal, &[], &[], None);
            decoded.main_holders.insert(main_holder);
            opener.only_reads_files(&row, &decoded)
        };
        let with = |change: &dyn Fn(&mut DatabaseOpener, &mut Process)| {
            let (mut opener, mut row) = reads();
            change(&mut opener, &mut row);
            only_reads((opener, row), 71)
        };
        assert_eq!(with(&|_, _| {}), Some(true));
        assert_eq!(with(&|opener, _| opener.writable = 1), Some(false));
        assert_eq!(with(&|_, row| row.maps_index = Some(true)), Some(false));
        assert_eq!(with(&|_, row| row.holds_index = true), Some(false));
        assert_eq!(with(&|_, row| row.holds = vec![crate::snapshot::LockHold::Reserved]), Some(false));
        assert_eq!(only_reads(reads(), 70), Some(false), "it holds a lock on the main file");
        assert_eq!(with(&|opener, _| opener.handles = None), None, "its descriptors are hidden");
        assert_eq!(with(&|_, row| row.maps_index = None), None, "its mappings are hidden");
    }

    #[test]
    fn another_waltop_only_glances_at_files_and_reads_the_index() {
        let handles = |db, wal, shm| Some(HandleCounts { db, wal, shm });
        let waltop = || DatabaseOpener {
            handles: handles(1, 1, 1),
            glances: 2,
            read_only_shm: 1,
            ..DatabaseOpener::default()
        };
        assert!(waltop().is_observer());
        assert!(!DatabaseOpener { glances: 1, ..waltop() }.is_observer(), "it has one open for longer");
        assert!(!DatabaseOpener { handles: handles(2, 0, 1), glances: 1, ..waltop() }.is_observer());
        assert!(!DatabaseOpener { read_only_shm: 0, ..waltop() }.is_observer(), "it writes to the index");
        assert!(!DatabaseOpener { writable_replaced: 1, ..waltop() }.is_observer());
        assert!(!DatabaseOpener { handles: None, ..waltop() }.is_observer(), "it is not known");
    }
}
