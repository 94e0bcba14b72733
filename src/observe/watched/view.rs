//! One sample of a database.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::note;
use crate::{
    file_format::INDEX_BYTE,
    observe::{
        files::{self, BirthId, FileSighting},
        header,
        lock_probe::{self, LockTableView, ProbeScope},
        lock_table::LockRow,
        locks::{self, DecodedLocks},
        opener::{DatabaseOpener, OpenerTarget},
        wal_index::{self, WalIndex},
    },
    snapshot::{
        DatabaseFiles, DatabaseLocks, FileHeader, Filesystem, FolderFacts, JournalMode, LockBeside,
        OverlayMount, PathReach, Unseen, WalState,
    },
};

/// One sample of a database, before its openers are known.
#[derive(Debug)]
pub struct DatabaseView {
    /// The main file as the user named it.
    pub named: PathBuf,
    /// Main file, `-wal` and `-shm`, by paths that reach them.
    pub paths: [PathBuf; 3],
    /// The same as the processes that have them open know them.
    pub texts: [PathBuf; 3],
    /// The mount namespace of those names; `None`: the namespace of this process.
    pub namespace: Option<PathBuf>,
    pub sights: [Option<FileSighting>; 3],
    /// The rollback journal beside them.
    pub journal: Option<FileSighting>,
    /// The header of the main file.
    pub header: Option<FileHeader>,
    /// The wal-index, if it is readable and a process vouches for it.
    pub index: Option<WalIndex>,
    /// The state of the log.
    pub wal: Option<WalState>,
    /// The file system of the main file.
    pub filesystem: Option<Filesystem>,
    pub folder: Option<FolderFacts>,
    /// Locks on other files of the folder.
    pub locks_beside: Vec<LockBeside>,
    /// How the path leads to it.
    pub reach: PathReach,
    /// The overlay mounts that show it under another path.
    pub overlays: Vec<OverlayMount>,
    /// Whether the same files were at the paths before and after the processes were examined.
    pub is_steady: bool,
    // The last known files of the paths without one, and the processes that used them.
    pub(super) former: [Option<BirthId>; 3],
    pub(super) users: BTreeSet<i32>,
    pub(super) main_rows: Vec<LockRow>,
    pub(super) index_rows: Vec<LockRow>,
    // Whether rows may be missing.
    pub(super) is_cut: bool,
    pub(super) holders: BTreeSet<i32>,
}

impl DatabaseView {
    /// The key of the stored times of the database; `None` if it has no file.
    pub fn name(&self) -> Option<String> {
        self.sights[0].as_ref().map(|sight| format!("{}:{}", sight.facts.device, sight.facts.inode))
    }

    /// The target for finding its openers.
    pub fn target(&self) -> OpenerTarget<'_> {
        OpenerTarget {
            paths: self.texts.each_ref().map(PathBuf::as_path),
            namespace: self.namespace.as_deref(),
            sights: self.sights.each_ref().map(Option::as_ref),
            former: self.former,
            users: &self.users,
            holders: &self.holders,
            is_cut: self.is_cut,
            ofd_rows: self.main_rows.iter().chain(&self.index_rows).filter(|row| row.is_ofd).collect(),
        }
    }

    /// The figures of the three files.
    pub fn files(&self) -> DatabaseFiles {
        let [db, wal, shm] =
            self.sights.each_ref().map(|sight| sight.as_ref().map(|sight| sight.facts.clone()));
        let journal = self.journal.as_ref().map(|journal| journal.facts.clone());
        DatabaseFiles { db, wal, shm, journal }
    }

    // Attributes open-file-description locks to the processes that took them, and removes rows of other files with the
    // same numbers.
    pub(super) fn settle(&mut self, openers: &BTreeMap<i32, DatabaseOpener>, unseen: &mut Vec<Unseen>) {
        for (rows, sight) in [(&mut self.main_rows, &self.sights[0]), (&mut self.index_rows, &self.sights[2])]
        {
            let Some(sight) = sight else { continue };
            let taken = rows_taken_by(sight, openers);
            rows.retain(|row| !(row.is_ofd && taken.iter().any(|taken| row.is_taken_as(taken))));
            let known: HashSet<LockRow> = rows.iter().cloned().collect();
            rows.extend(taken.into_iter().filter(|row| !known.contains(row)));
        }
        if self.sights.iter().flatten().any(FileSighting::is_ambiguous) {
            let [main, _, index] = &self.paths;
            for (rows, path, sight, places) in [
                (&mut self.main_rows, main, &self.sights[0], &locks::MAIN_PLACES[..]),
                (&mut self.index_rows, index, &self.sights[2], &locks::INDEX_PLACES[..]),
            ] {
                if let Some(sight) = sight
                    && let Err(error) = keep_own_rows(rows, path, sight, places, openers)
                {
                    note(unseen, "whose locks are those on", path, &error);
                }
            }
        }
        self.holders = self.main_rows.iter().chain(&self.index_rows).filter_map(|row| row.pid).collect();
    }

    /// Whether `pid` uses the database: it has files open, or holds locks.
    pub fn concerns(&self, pid: i32, opener: &DatabaseOpener) -> bool {
        self.holders.contains(&pid)
            || !opener.replaced.is_empty()
            || opener.handles.is_some_and(|handles| handles.db + handles.wal + handles.shm > 0)
    }

    /// Whether `lock`, a row of `fdinfo`, is on the main file.
    pub fn is_on_main(&self, lock: &LockRow) -> bool {
        self.sights[0].as_ref().is_some_and(|sight| sight.is(lock.device, lock.inode))
    }

    /// The same for the current `-shm`.
    pub fn is_on_index(&self, lock: &LockRow) -> bool {
        self.sights[2].as_ref().is_some_and(|sight| sight.is(lock.device, lock.inode))
    }

    /// Whether `pid` holds a lock on one of the files.
    pub fn is_holder(&self, pid: i32) -> bool {
        self.holders.contains(&pid)
    }

    pub fn decode(&self) -> DecodedLocks {
        let marks = self.index.as_ref().map(|index| &index.read_marks);
        locks::decode(self.mode(), &self.main_rows, &self.index_rows, marks)
    }

    /// WAL, WAL2 or rollback; if the header does not show it, a `-shm` does.
    pub fn mode(&self) -> JournalMode {
        let by_files = if self.sights[2].is_some() { JournalMode::Wal } else { JournalMode::Rollback };
        self.header.as_ref().map_or(by_files, |header| header.journal_mode)
    }

    /// Whether the bytes that the lock sampler reads are those that a writer locks: not with `locking_mode=EXCLUSIVE`, nor
    /// in rollback mode beside a `-shm` that was left.
    pub fn is_sampled(&self, locks: &DatabaseLocks) -> bool {
        match self.mode() {
            JournalMode::Wal | JournalMode::Wal2 => locks.exclusive.is_none(),
            JournalMode::Rollback => self.sights[2].is_none(),
        }
    }

    // Whether a process holds the byte that every process with the index open holds.
    pub(super) fn is_index_in_use(&self) -> bool {
        self.index_rows.iter().any(|row| row.covers(INDEX_BYTE))
    }

    pub(super) fn read_main(&mut self, unseen: &mut Vec<Unseen>) {
        let Some(sight) = &self.sights[0] else { return };
        let path = &self.paths[0];
        match files::open(path) {
            Ok(file) => {
                let rows = &mut self.main_rows;
                match lock_probe::complete(rows, &file, sight, &locks::MAIN_PLACES) {
                    // The part that a cut table lacks may contain the row.
                    Ok(_) if self.is_cut => {}
                    Ok(table) => note_match(&mut self.filesystem, table),
                    Err(error) => note(unseen, "hidden holders of locks on", path, &error),
                }
                self.header = header::read(&file)
                    .map_err(|error| note(unseen, "the header of", path, &error))
                    .unwrap_or_default();
            }
            Err(error) => note(unseen, "the header of", path, &error),
        }
    }

    pub(super) fn read_index(&mut self, unseen: &mut Vec<Unseen>) {
        let Some(sight) = &self.sights[2] else { return };
        let path = &self.paths[2];
        let file = match files::open(path) {
            Ok(file) => file,
            Err(error) => return note(unseen, "the wal-index", path, &error),
        };
        match lock_probe::complete(&mut self.index_rows, &file, sight, &locks::INDEX_PLACES) {
            Ok(_) if self.is_cut => {}
            Ok(table) => note_match(&mut self.filesystem, table),
            Err(error) => note(unseen, "hidden holders of locks on", path, &error),
        }
        if self.is_index_in_use() {
            self.index =
                wal_index::read(&file).map_err(|error| note(unseen, "the wal-index", path, &error)).ok();
        }
    }
}

// Removes those of `rows` that are about another file with the same numbers. If the file system generates device
// numbers, a descriptor is proof; if none is visible, the kernel is asked. The holders that such a row hid are probed
// as well.
fn keep_own_rows(
    rows: &mut Vec<LockRow>,
    path: &Path,
    sight: &FileSighting,
    places: &[(ProbeScope, RangeInclusive<u64>)],
    openers: &BTreeMap<i32, DatabaseOpener>,
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let file = files::open(path)?;
    let is_ours = |row: &LockRow| {
        let handles = row.pid.and_then(|pid| openers.get(&pid)).and_then(|opener| opener.handles);
        if let Some(handles) = handles {
            return handles.db + handles.wal + handles.shm > 0;
        }
        let who = if row.is_write { ProbeScope::Writers } else { ProbeScope::Anybody };
        let mut bytes = places.iter().map(|(_, bytes)| bytes).filter(|bytes| row.overlaps(bytes));
        // If the kernel does not answer, the table decides.
        bytes.all(|bytes| !matches!(lock_probe::ask(&file, who, bytes.clone()), Ok(None)))
    };
    let before = rows.len();
    rows.retain(is_ours);
    if rows.len() != before {
        lock_probe::complete(rows, &file, sight, places)?;
    }
    Ok(())
}

// The table prints the locks of several open file descriptions as equal rows, so it does not show how many there are.
// Each descriptor shows its own. It also shows the POSIX locks of the process, which a cut table may lack.
fn rows_taken_by(sight: &FileSighting, openers: &BTreeMap<i32, DatabaseOpener>) -> Vec<LockRow> {
    let (mut rows, mut known) = (Vec::new(), HashSet::new());
    for (&pid, opener) in openers {
        for taken in opener.taken_locks.iter().filter(|taken| taken.inode == sight.id.inode) {
            let row = LockRow { pid: Some(pid), ..taken.clone() };
            if known.insert(row.clone()) {
                rows.push(row);
            }
        }
    }
    rows
}

// One file whose locks the table lists under no known device is sufficient.
fn note_match(filesystem: &mut Option<Filesystem>, table: LockTableView) {
    let Some(filesystem) = filesystem else { return };
    match table {
        LockTableView::Empty => {}
        LockTableView::Complete => filesystem.locks_match = filesystem.locks_match.or(Some(true)),
        LockTableView::Lacks => filesystem.locks_match = Some(false),
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        file_format::WRITE_BYTE,
        observe::{lock_probe::tests::lock, tests::Scene},
        snapshot::HandleCounts,
    };

    #[test]
    fn a_row_about_another_file_hides_no_holder() {
        let mut scene = Scene::new();
        let path = scene.paths[2].clone();
        let sight = scene.view().sights[2].clone().expect("there is an index");
        let row = |pid| LockRow {
            pid: Some(pid),
            is_ofd: false,
            is_write: true,
            device: sight.lock_device,
            inode: sight.id.inode,
            bytes: WRITE_BYTE..=WRITE_BYTE,
        };
        let with = |shm| DatabaseOpener {
            handles: Some(HandleCounts { db: 1, wal: 1, shm }),
            ..DatabaseOpener::default()
        };
        let none = DatabaseOpener { handles: Some(HandleCounts::default()), ..DatabaseOpener::default() };
        let openers = BTreeMap::from([(70, with(1)), (71, none)]);
        let kept = |mut rows: Vec<LockRow>| {
            keep_own_rows(&mut rows, &path, &sight, &locks::INDEX_PLACES, &openers).expect("readable");
            rows.into_iter().map(|row| row.pid).collect::<Vec<_>>()
        };
        assert_eq!(kept(vec![row(70)]), [Some(70)], "it has the index open");
        assert_eq!(kept(vec![row(71)]), [], "it has nothing open here");
        assert_eq!(kept(vec![row(72)]), [], "unknown, and the kernel knows no lock");
        let _holder = lock(&path, &(WRITE_BYTE..=WRITE_BYTE));
        assert_eq!(kept(vec![row(71)]), [None], "the lock of another, which no process is named for");
        assert_eq!(kept(vec![row(72)]), [Some(72)], "the kernel knows a lock there");
        assert_eq!(kept(vec![]), [], "the probe before has added all");
    }

    #[test]
    fn a_lock_of_an_open_file_belongs_to_the_process_whose_descriptor_shows_it() {
        let mut scene = Scene::new();
        let mut view = scene.view();
        let sight = view.sights[2].clone().expect("there is an index");
        let row = |pid, inode| LockRow {
            pid,
            is_ofd: true,
            is_write: false,
            device: sight.lock_device,
            inode,
            bytes: INDEX_BYTE..=INDEX_BYTE,
        };
        let other = LockRow { bytes: 124..=124, ..row(None, sight.id.inode) };
        view.index_rows = vec![row(None, sight.id.inode), other.clone()];
        let taken = |inode| DatabaseOpener {
            handles: Some(HandleCounts { db: 1, wal: 1, shm: 1 }),
            taken_locks: vec![row(None, inode), row(None, inode)],
            ..DatabaseOpener::default()
        };
        let openers = BTreeMap::from([(70, taken(sight.id.inode)), (71, taken(u64::MAX))]);
        view.settle(&openers, &mut Vec::new());
        assert_eq!(view.index_rows, [other, row(Some(70), sight.id.inode)]);
        assert!(view.is_holder(70) && !view.is_holder(71));
        view.settle(&openers, &mut Vec::new());
        assert_eq!(view.index_rows.len(), 2, "each once");
    }

    #[test]
    fn the_figures_of_each_file_are_told() {
        let mut scene = Scene::new();
        std::fs::write(&scene.paths[0], [0; 512]).expect("written");
        std::fs::write(scene.paths[0].with_extension("db-journal"), [0; 28]).expect("written");
        std::fs::remove_file(&scene.paths[1]).expect("removed");
        let files = scene.view().files();
        let bytes = [files.db, files.wal, files.shm, files.journal].map(|file| file.map(|file| file.bytes));
        assert_eq!(bytes, [Some(512), None, Some(32_768), Some(28)]);
    }

    #[test]
    fn locks_are_sampled_where_a_writer_takes_them() {
        let mut scene = Scene::new();
        let mut view = scene.view();
        let exclusive = DatabaseLocks {
            exclusive: Some(crate::snapshot::LockHolder { pid: Some(70), label: None, held_ms: None }),
            ..DatabaseLocks::default()
        };
        assert_eq!(view.mode(), JournalMode::Wal, "there is an index");
        assert!(view.is_sampled(&DatabaseLocks::default()) && !view.is_sampled(&exclusive));
        view.sights[2] = None;
        assert_eq!(view.mode(), JournalMode::Rollback);
        assert!(view.is_sampled(&exclusive), "RESERVED of the main file");
    }

    #[test]
    fn whether_the_lock_table_lists_a_file_is_decided_by_the_first_proof_against_it() {
        let mut scene = Scene::new();
        scene.proc.write("self/mountinfo", "36 35 98:0 / / rw - ext4 /dev/root rw\n");
        let known = scene.view().filesystem.expect("it is known");
        let told = |tables: &[LockTableView]| {
            let mut filesystem = Some(Filesystem { locks_match: None, ..known.clone() });
            for table in tables {
                note_match(&mut filesystem, *table);
            }
            filesystem.and_then(|it| it.locks_match)
        };
        assert_eq!(told(&[LockTableView::Empty]), None);
        assert_eq!(told(&[LockTableView::Complete, LockTableView::Empty]), Some(true));
        assert_eq!(told(&[LockTableView::Complete, LockTableView::Lacks]), Some(false));
        assert_eq!(told(&[LockTableView::Lacks, LockTableView::Complete]), Some(false));
    }

    #[test]
    fn a_row_is_on_the_file_whose_numbers_it_has() {
        let mut scene = Scene::new();
        let view = scene.view();
        let row = |which: usize| {
            let sight = view.sights[which].as_ref().expect("it is there");
            LockRow {
                pid: Some(70),
                is_ofd: false,
                is_write: false,
                device: sight.lock_device,
                inode: sight.id.inode,
                bytes: INDEX_BYTE..=INDEX_BYTE,
            }
        };
        let on = [0, 1, 2].map(|which| (view.is_on_main(&row(which)), view.is_on_index(&row(which))));
        assert_eq!(on, [(true, false), (false, false), (false, true)]);
    }
}
