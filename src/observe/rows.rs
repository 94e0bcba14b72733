//! The processes of one database and their relation to it, from their descriptors, their mappings and the lock table.

use std::{collections::BTreeMap, time::Instant};

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use super::{
    Observer, lock_table,
    locks::DecodedLocks,
    mappings::MappingFreshness,
    opener::DatabaseOpener,
    proc::{self, ProcessFolder, mounts::MountTable},
    watched::DatabaseView,
};
use crate::{
    file_format::{INDEX_BYTE, SHARED_BYTES},
    snapshot::{LockBeside, PairingFacts, Process, ProcessState, Unseen},
};

impl Observer {
    /// A row for each of `openers` that uses the database of `view`.
    pub(super) fn rows(
        &mut self,
        view: &DatabaseView,
        openers: &BTreeMap<i32, DatabaseOpener>,
        decoded: &DecodedLocks,
        now: Instant,
        unseen: &mut Vec<Unseen>,
    ) -> Vec<Process> {
        let mut rows = Vec::new();
        for (&pid, opener) in openers.iter().filter(|&(&pid, opener)| view.concerns(pid, opener)) {
            let Some(process) = self.describer.describe(pid) else {
                // It exited a moment ago, or /proc hides it from waltop.
                if view.is_holder(pid) && self.exists(pid, view) {
                    let what = format!("process {pid}, which holds locks");
                    unseen.push(Unseen { what, why: "it is not visible in /proc".to_owned() });
                }
                continue;
            };
            let sights = view.sights.each_ref().map(Option::as_ref);
            // A process with the index open and mapped, without a lock on it, has lost its locks: both must be true at
            // this moment.
            let holds_index = decoded.index_holders.contains(&pid);
            let has_index_open = opener.handles.is_some_and(|handles| handles.shm > 0);
            let freshness = if has_index_open && !holds_index {
                MappingFreshness::OfNow
            } else {
                MappingFreshness::OfLate
            };
            let mapped = self.mappings.of(&process, opener.handles, sights, freshness, now);
            let read_shm = opener.handles.map(|_| opener.read_only_shm > 0);
            let mut row = Process {
                handles: opener.handles,
                read_only: opener.read_only(),
                index_read_only: read_shm,
                temp_files: opener.temporary.confirmed_count(),
                temp_bytes: opener.temporary.confirmed_bytes(),
                maps_database: mapped.map(|[db, _, _]| db.is_some()),
                maps_index: mapped.map(|[_, _, shm]| shm.is_some()),
                holds_index,
                replaced: opener.replaced.clone(),
                deleted: opener.deleted.clone(),
                deleted_bytes: opener.deleted_bytes,
                moved_to: opener.moved_to.clone(),
                holds: decoded.holds.get(&pid).into_iter().flatten().copied().collect(),
                program: opener.program(&process),
                ..process
            };
            row.pairing = PairingFacts {
                holds_main: decoded.main_holders.contains(&pid),
                only_reads_files: opener.only_reads_files(&row, decoded),
                writes_log: opener.writable_log > 0,
                other_log: opener.other_log.clone(),
                other_files: opener.other_files.clone(),
                reads_in_order: opener.has_moved,
                index_address: mapped.and_then(|[_, _, shm]| shm),
                ..PairingFacts::default()
            };
            if row.only_reads_files() {
                row.pairing.outdated = std::mem::take(&mut row.replaced);
                row.moved_to.clear();
            }
            self.confirm_locks(&mut row, opener, view);
            self.note_freezer(&mut row);
            if row.copies_by_page() {
                row.read_bytes = ProcessFolder::of(&self.proc, pid).read_bytes();
            }
            rows.push(row);
        }
        self.note_inheritance(&mut rows);
        let mapped = self.mappings.take_libraries();
        if let Some(sqlite) = &mut self.sqlite {
            sqlite.ask(mapped);
        }
        rows
    }

    // Their processes need not have the database open.
    pub(super) fn labelled(&mut self, mut locks: Vec<LockBeside>) -> Vec<LockBeside> {
        for lock in &mut locks {
            for party in lock.holder.iter_mut().chain(&mut lock.waiters) {
                party.label = self.describer.describe(party.pid).map(|process| process.label);
            }
        }
        locks
    }

    // Only of those that keep others waiting: it takes three files.
    fn note_freezer(&self, row: &mut Process) {
        let folder = ProcessFolder::of(&self.proc, row.pid);
        if !row.holds.is_empty() && folder.is_frozen(row.state, || MountTable::read(&self.proc)) {
            row.state = ProcessState::Frozen;
        }
    }

    // A row can be missed while the lock table is printed. Before a process is accused of a missing lock, its
    // descriptors are therefore checked as well; if they are closed by now, nothing is concluded.
    fn confirm_locks(&self, row: &mut Process, opener: &DatabaseOpener, view: &DatabaseView) {
        let lacks_one = !row.holds_index || !row.pairing.holds_main;
        if row.maps_index != Some(true) || !lacks_one {
            return;
        }
        let [main, index] = [0, 2].map(|which| {
            let numbers = opener.lockable.iter().filter(|(of, _)| *of == which).map(|(_, number)| number);
            let mut read = proc::lock_infos(&self.proc, row.pid, numbers);
            // The number may belong to another file by now.
            let inode = view.sights[which].as_ref().map(|sight| sight.id.inode);
            read.retain(|it| it.inode.is_none() || it.inode == inode);
            read
        });
        let had = opener.handles.unwrap_or_default();
        row.pairing.has_closed = had.db > 0 && main.is_empty() || had.shm > 0 && index.is_empty();
        let mut locks = index.iter().flat_map(|it| &it.locks);
        row.holds_index |= locks.any(|lock| view.is_on_index(lock) && lock.covers(INDEX_BYTE));
        let mut locks = main.iter().flat_map(|it| &it.locks);
        row.pairing.holds_main |= locks.any(|lock| view.is_on_main(lock) && lock.overlaps(&SHARED_BYTES));
    }

    // Two processes never map one file at the same address by chance: a fork copies the mapping.
    fn note_inheritance(&self, rows: &mut [Process]) {
        let mapped: Vec<(i32, u64)> =
            rows.iter().filter_map(|row| Some((row.pid, row.pairing.index_address?))).collect();
        for row in rows.iter_mut().filter(|row| !row.holds_index) {
            let Some(address) = row.pairing.index_address else { continue };
            let twins = mapped.iter().filter(|(pid, at)| *pid != row.pid && *at == address);
            let mut related = twins.filter(|(pid, _)| proc::are_related(&self.proc, row.pid, *pid));
            row.pairing.inherited_from = related.next().map(|(pid, _)| *pid);
        }
    }

    // Whether `pid` exists although /proc does not show it. The kernel reports that for every process; if the PIDs are
    // those of another /proc, a process that still holds locks exists.
    fn exists(&self, pid: i32, view: &DatabaseView) -> bool {
        if self.is_own_proc {
            let is_there = Pid::from_raw(pid).map(test_kill_process);
            return is_there.is_some_and(|answer| answer != Err(Errno::SRCH));
        }
        let inodes: Vec<u64> = view.sights.iter().flatten().map(|sight| sight.id.inode).collect();
        lock_table::read(&self.proc, &inodes)
            .is_ok_and(|table| table.rows.iter().any(|row| row.pid == Some(pid)))
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture,
        observe::{
            proc::fake::lock_row,
            tests::{Scene, USER, now},
        },
        snapshot::HandleCounts,
    };

    #[test]
    fn a_file_that_was_closed_meanwhile_says_nothing_about_its_locks() {
        let mut scene = Scene::new();
        let view = scene.view();
        for (open, expected) in [(&[3, 5][..], false), (&[3], true), (&[5], true), (&[], true)] {
            scene.proc.process(USER);
            for (number, path) in [(3, &scene.paths[0]), (5, &scene.paths[2])] {
                if open.contains(&number) {
                    scene.proc.descriptor(USER, number, path, "flags:\t0100002\n");
                }
            }
            let opener = DatabaseOpener {
                handles: Some(HandleCounts { db: 1, wal: 1, shm: 1 }),
                lockable: vec![(0, "3".to_owned()), (2, "5".to_owned())],
                ..DatabaseOpener::default()
            };
            let mut row = Process { holds_index: false, ..fixture::process(USER, "bun") };
            scene.observer.confirm_locks(&mut row, &opener, &view);
            assert_eq!(row.pairing.has_closed, expected, "{open:?}");
            std::fs::remove_dir_all(scene.proc.path().join(USER.to_string())).expect("removed");
        }
    }

    #[test]
    fn a_holder_of_locks_that_proc_hides_is_reported_and_one_that_has_ended_is_not() {
        let mut scene = Scene::new();
        let table = lock_row("READ", USER, &scene.paths[2], "128 128");
        for (still_held, expected) in
            [(table.as_str(), vec![format!("process {USER}, which holds locks")]), ("", vec![])]
        {
            scene.proc.write("locks", &table);
            let view = scene.view();
            scene.proc.write("locks", still_held);
            let openers = BTreeMap::from([(USER, DatabaseOpener::default())]);
            let mut unseen = Vec::new();
            let rows = scene.observer.rows(&view, &openers, &view.decode(), now().instant, &mut unseen);
            assert!(rows.is_empty(), "it is not visible");
            assert_eq!(unseen.into_iter().map(|it| it.what).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_process_concerns_a_database_by_an_open_file_by_a_replaced_one_or_by_a_lock() {
        let mut scene = Scene::new();
        scene.proc.write("locks", &lock_row("READ", USER, &scene.paths[2], "128 128"));
        let view = scene.view();
        let opener = |handles| DatabaseOpener { handles, ..DatabaseOpener::default() };
        assert!(view.concerns(USER, &opener(None)), "it holds a lock");
        for handles in [None, Some(HandleCounts::default())] {
            assert!(!view.concerns(71, &opener(handles)), "{handles:?}");
        }
        for (db, wal, shm) in [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 1)] {
            assert!(view.concerns(71, &opener(Some(HandleCounts { db, wal, shm }))), "{db} {wal} {shm}");
        }
        let replaced =
            DatabaseOpener { replaced: vec!["/srv/a.db-wal".to_owned()], ..DatabaseOpener::default() };
        assert!(view.concerns(71, &replaced));
    }

    #[test]
    fn a_missing_lock_is_looked_for_at_the_descriptors_of_a_process_that_maps_the_index() {
        let mut scene = Scene::with_user(["1073741826 1073742335", "128 128"]);
        let view = scene.view();
        let opener = DatabaseOpener {
            handles: Some(HandleCounts { db: 1, wal: 1, shm: 1 }),
            lockable: vec![(0, "3".to_owned()), (2, "5".to_owned())],
            ..DatabaseOpener::default()
        };
        let confirmed = |maps_index, [main, index]: [bool; 2]| {
            let mut row = Process { maps_index, holds_index: index, ..fixture::process(USER, "bun") };
            row.pairing.holds_main = main;
            scene.observer.confirm_locks(&mut row, &opener, &view);
            ([row.pairing.holds_main, row.holds_index], row.pairing.has_closed)
        };
        for listed in [[false, false], [false, true], [true, false], [true, true]] {
            assert_eq!(confirmed(Some(true), listed), ([true, true], false), "{listed:?}");
            assert_eq!(confirmed(Some(false), listed), (listed, false), "{listed:?}, and no index is mapped");
        }
        std::fs::remove_dir_all(scene.proc.path().join(USER.to_string())).expect("removed");
        assert_eq!(confirmed(Some(true), [true, true]), ([true, true], false), "there is none to look for");
        assert_eq!(confirmed(None, [false, false]), ([false, false], false), "it may have no index");
        assert_eq!(confirmed(Some(true), [true, false]), ([true, false], true), "it has closed its files");
    }

    #[test]
    fn a_row_tells_all_that_a_process_has_open() {
        let mut scene = Scene::with_user(["1073741826 1073742335", "128 128"]);
        scene.proc.write("locks", &lock_row("READ", USER, &scene.paths[2], "128 128"));
        let view = scene.view();
        let opener = |writable| DatabaseOpener {
            handles: Some(HandleCounts { db: 2, wal: 1, shm: 1 }),
            read_only_db: 2,
            read_only_shm: 1,
            replaced: vec!["/srv/a.db-wal".to_owned()],
            deleted: vec!["/srv/a.db-wal".to_owned()],
            moved_to: vec!["/srv/old.db".to_owned()],
            temporary: crate::observe::opener::TemporaryFile::Seen { named: 3, bytes: 0, nameless: false },
            writable,
            writable_log: writable,
            other_log: vec!["/mnt/a.db-wal".to_owned()],
            other_files: vec!["1:5".to_owned()],
            ..DatabaseOpener::default()
        };
        let mut row = |opener: DatabaseOpener| {
            let openers = BTreeMap::from([(USER, opener)]);
            let decoded = view.decode();
            scene.observer.rows(&view, &openers, &decoded, now().instant, &mut Vec::new()).remove(0)
        };
        let client = row(opener(1));
        assert_eq!(
            (client.read_only, client.index_read_only, client.temp_files),
            (Some(true), Some(true), Some(3))
        );
        assert_eq!(
            (client.maps_database, client.maps_index, client.holds_index),
            (Some(false), Some(true), true)
        );
        assert_eq!(client.replaced, ["/srv/a.db-wal"]);
        assert_eq!(
            (client.deleted, client.moved_to),
            (vec!["/srv/a.db-wal".to_owned()], vec!["/srv/old.db".to_owned()])
        );
        let pairing = client.pairing;
        assert_eq!((pairing.writes_log, pairing.only_reads_files), (true, Some(false)));
        assert_eq!(
            (pairing.other_log, pairing.other_files),
            (vec!["/mnt/a.db-wal".to_owned()], vec!["1:5".to_owned()])
        );
        assert_eq!((pairing.index_address, pairing.outdated), (Some(0x7f00_0000), vec![]));
        let hidden = row(DatabaseOpener { handles: None, ..opener(1) });
        assert_eq!((hidden.read_only, hidden.index_read_only, hidden.program.files), (None, None, None));
    }

    #[test]
    fn a_process_that_only_reads_an_older_file_uses_no_replaced_one() {
        let mut scene = Scene::new();
        scene.proc.process(USER);
        let view = scene.view();
        let opener = |writable| DatabaseOpener {
            handles: Some(HandleCounts::default()),
            replaced: vec!["/srv/a.db".to_owned()],
            moved_to: vec!["/srv/old.db".to_owned()],
            writable,
            ..DatabaseOpener::default()
        };
        let mut row = |opener| {
            let openers = BTreeMap::from([(USER, opener)]);
            let row = scene
                .observer
                .rows(&view, &openers, &view.decode(), now().instant, &mut Vec::new())
                .remove(0);
            (row.replaced.len(), row.moved_to.len(), row.pairing.outdated.len())
        };
        assert_eq!(row(opener(0)), (0, 0, 1), "a copy of it is made");
        assert_eq!(row(opener(1)), (1, 1, 0));
    }

    #[test]
    fn a_mapping_at_the_same_address_in_a_relative_is_inherited() {
        let scene = Scene::new();
        let family = [(70, 1), (71, 70), (72, 99), (73, 70), (74, 70)];
        for (pid, parent) in family {
            let text = format!("{pid} (bun) S {parent} 1 1 0 -1 0 {}1 0 4200 9 9\n", "0 ".repeat(10));
            scene.proc.process(pid).write(&format!("{pid}/stat"), &text);
        }
        let row = |pid, index_address, holds_index| {
            let mut row = Process { holds_index, ..fixture::process(pid, "bun") };
            row.pairing.index_address = index_address;
            row
        };
        let mut rows = vec![
            row(70, Some(0x1000), true),
            row(71, Some(0x1000), false),
            row(72, Some(0x1000), false),
            row(73, Some(0x2000), false),
            row(74, None, false),
        ];
        scene.observer.note_inheritance(&mut rows);
        let inherited: Vec<_> = rows.iter().map(|row| row.pairing.inherited_from).collect();
        assert_eq!(inherited, [None, Some(70), None, None, None]);
        assert_eq!(rows.len(), family.len());
    }

    #[test]
    fn a_process_that_has_only_the_index_open_has_closed_no_main_file() {
        let mut scene = Scene::with_user(["", ""]);
        let view = scene.view();
        let closed = |handles, lockable: &[(usize, &str)]| {
            let lockable = lockable.iter().map(|(which, number)| (*which, (*number).to_owned())).collect();
            let opener = DatabaseOpener { handles: Some(handles), lockable, ..DatabaseOpener::default() };
            let mut row = Process { holds_index: false, ..fixture::process(USER, "bun") };
            scene.observer.confirm_locks(&mut row, &opener, &view);
            row.pairing.has_closed
        };
        assert!(!closed(HandleCounts { db: 0, wal: 1, shm: 1 }, &[(2, "5")]));
        assert!(!closed(HandleCounts { db: 1, wal: 1, shm: 0 }, &[(0, "3")]));
        assert!(closed(HandleCounts { db: 1, wal: 1, shm: 1 }, &[(0, "3"), (2, "9")]), "its index is closed");
        assert!(
            closed(HandleCounts { db: 1, wal: 1, shm: 1 }, &[(0, "9"), (2, "5")]),
            "its main file is closed"
        );
    }
}
