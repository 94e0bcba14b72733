//! A made-up `/proc`: what no test can make the kernel do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use waltop::snapshot::{LockHold, Presence, ProcessState, WalSource};

use super::*;
use crate::fake_proc::{FakeProc, lock_place, sidecar};

const SHARED: &str = "1073741826 1073742335";
const READ_WRITE: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t29\n";
const READ_ONLY: &str = "pos:\t0\nflags:\t02100000\nmnt_id:\t29\n";

/// A database in WAL mode whose sidecars lie there, so that rows can be made up for them.
struct Stage {
    scene: Scene,
    proc: FakeProc,
    db: PathBuf,
    wal: PathBuf,
    shm: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let scene = Scene::with_wal();
        let mut actor = scene.actor();
        actor.sql("INSERT INTO t VALUES (2)").sql("INSERT INTO t VALUES (3)");
        actor.kill();
        let db = scene.path();
        let (wal, shm) = (sidecar(&db, "-wal"), sidecar(&db, "-shm"));
        Self { scene, proc: FakeProc::new(), db, wal, shm }
    }

    /// An idle connection of `pid`, as it is seen in WAL mode.
    fn connect(&mut self, pid: i32, name: &str) {
        self.proc.process(pid, name);
        self.proc.descriptor(pid, 3, &self.db, READ_WRITE);
        self.proc.descriptor(pid, 4, &self.wal, READ_WRITE);
        self.proc.descriptor(pid, 5, &self.shm, READ_WRITE);
        self.lock(pid, "READ", "128 128");
        let row = format!("POSIX  ADVISORY  READ {pid}");
        self.proc.lock(&row, &self.db, SHARED);
    }

    fn lock(&mut self, pid: i32, kind: &str, bytes: &str) {
        self.proc.lock(&format!("POSIX  ADVISORY  {kind} {pid}"), &self.shm, bytes);
    }

    fn observer(&self) -> Observer {
        self.scene.observer_in(self.proc.path())
    }

    fn snapshot(&self) -> Snapshot {
        self.observer().sample()
    }

    fn look(&self) -> Database {
        only(self.snapshot())
    }
}

fn readers(database: &Database) -> Vec<(Option<i32>, Option<u8>, Option<u32>)> {
    database.locks.readers.iter().map(|reader| (reader.pid, reader.slot, reader.frame)).collect()
}

#[test]
fn a_process_is_read_from_the_root_that_was_given() {
    let mut stage = Stage::new();
    stage.connect(4242, "bun");
    let snapshot = stage.snapshot();
    assert!(snapshot.unseen.is_empty(), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    let row = process(&database, 4242);
    assert_eq!((row.name.as_str(), row.command_line()), ("bun", "/usr/bin/bun --flag".to_owned()));
    assert_eq!((row.start_ticks, row.parent, row.state), (Some(4200), Some(1), ProcessState::Sleeping));
    assert!(row.started_at.is_some_and(|at| at.as_second() >= 1_700_000_000));
    assert_eq!(
        (row.cpu_percent, row.memory_bytes),
        (None, None),
        "those of the real process 4242 are another's"
    );
    assert_eq!(row.handles.map(|handles| (handles.db, handles.wal, handles.shm)), Some((1, 1, 1)));
    assert!(row.holds.is_empty() && row.holds_index);
}

#[test]
fn another_program_in_a_process_is_told_at_once() {
    let mut stage = Stage::new();
    stage.connect(4242, "sh");
    let mut observer = stage.observer();
    let command = |database: &Database| process(database, 4242).command_line();
    assert_eq!(command(&only(observer.sample())), "/usr/bin/sh --flag");
    stage.proc.process(4242, "bun");
    assert_eq!(command(&only(observer.sample())), "/usr/bin/bun --flag");
}

#[test]
fn merged_ranges_are_taken_apart() {
    let mut stage = Stage::new();
    stage.connect(10, "reader");
    stage.connect(11, "checkpointer");
    stage.proc.unlock_all();
    stage.lock(10, "READ", "127 128");
    stage.lock(11, "WRITE", "120 121");
    stage.lock(11, "READ", "128 128");
    let database = stage.look();
    assert_eq!(
        readers(&database).iter().map(|reader| (reader.0, reader.1)).collect::<Vec<_>>(),
        [(Some(10), Some(4))]
    );
    assert!(process(&database, 10).holds_index);
    assert_eq!(process(&database, 11).holds, [LockHold::Write, LockHold::Checkpoint]);
}

#[test]
fn waiters_and_other_software_hold_nothing() {
    let mut stage = Stage::new();
    stage.connect(10, "writer");
    stage.connect(11, "waiter");
    stage.lock(10, "WRITE", "120 120");
    let place = lock_place(&stage.shm);
    stage.proc.lock_line(&format!("-> POSIX  ADVISORY  WRITE 11 {place} 120 120"));
    stage.proc.lock_line(&format!(" -> POSIX  ADVISORY  WRITE 11 {place} 121 121"));
    stage.proc.lock_line(&format!("FLOCK  ADVISORY  WRITE 11 {place} 0 EOF"));
    let database = stage.look();
    assert_eq!(writer_of(&database), Some(10));
    assert!(database.locks.checkpointer.is_none() && database.locks.recoverer.is_none());
    assert!(process(&database, 11).holds.is_empty());
}

#[test]
fn an_ofd_lock_is_given_to_the_process_whose_descriptor_has_it() {
    let mut stage = Stage::new();
    stage.proc.process(10, "go");
    let place = lock_place(&stage.shm);
    let info = format!("{READ_WRITE}lock:\t1: OFDLCK ADVISORY  READ  -1 {place} 124 124\n");
    stage.proc.descriptor(10, 3, &stage.db, READ_WRITE).descriptor(10, 5, &stage.shm, &info);
    stage.proc.lock_line(&format!("OFDLCK ADVISORY  READ  -1 {place} 124 124"));
    stage.proc.lock_line(&format!("OFDLCK ADVISORY  WRITE -1 {place} 120 120"));
    let database = stage.look();
    assert_eq!(readers(&database), [(Some(10), Some(1), None)]);
    assert_eq!(process(&database, 10).holds, [LockHold::Read(1)]);
    let holder = database.locks.writer.as_ref().expect("held");
    assert_eq!(holder.pid, None, "nobody's descriptor has it: held, by whom cannot be told");
}

#[test]
fn ofd_locks_whose_rows_are_alike_are_each_given_to_their_process() {
    let mut stage = Stage::new();
    let place = lock_place(&stage.shm);
    let [index, slot] =
        ["128 128", "124 124"].map(|bytes| format!("OFDLCK ADVISORY  READ  -1 {place} {bytes}"));
    let info = format!("{READ_WRITE}lock:\t1: {index}\nlock:\t2: {slot}\n");
    for pid in [10, 11] {
        stage.proc.process(pid, "go");
        stage.proc.descriptor(pid, 3, &stage.db, READ_WRITE).descriptor(pid, 5, &stage.shm, &info);
        stage.proc.lock_line(&index).lock_line(&slot);
    }
    // A child has the same open file description, and a duplicate of a descriptor too: still one hold each.
    stage.proc.descriptor(11, 6, &stage.shm, &info);
    let database = stage.look();
    let readers: Vec<_> = readers(&database).iter().map(|&(pid, slot, _)| (pid, slot)).collect();
    assert_eq!(readers, [(Some(10), Some(1)), (Some(11), Some(1))]);
    for pid in [10, 11] {
        assert!(process(&database, pid).holds_index, "{pid}");
        assert_eq!(process(&database, pid).holds, [LockHold::Read(1)], "{pid}");
    }
}

#[test]
fn foreign_locks_and_rubbish_do_not_matter() {
    let mut stage = Stage::new();
    let row = |row: i32| format!("{row}: POSIX  ADVISORY  WRITE {} 00:1b:{row} 0 EOF\n", 5000 + row);
    let mut table: String = (0..1000).map(row).collect();
    table += "x: y\n1001: POSIX  ADVISORY  READ 1 <none>:0 0 EOF\n1002: POSIX  *NOINODE* WRITE 1 <none>:0 0 EOF\n\n";
    stage.proc.write("locks", &table);
    stage.connect(10, "writer");
    stage.lock(10, "WRITE", "120 120");
    let database = stage.look();
    assert_eq!(writer_of(&database), Some(10));
    assert_eq!(pids(&database), [10]);
}

#[test]
fn devices_are_compared_as_the_lock_table_prints_them() {
    let mut stage = Stage::new();
    stage.connect(10, "writer");
    // The file system makes up the device that stat reports; the kernel lists locks under another (btrfs, overlay).
    stage.proc.write("self/mountinfo", "22 1 0:43 / / rw - btrfs /dev/vdb rw\n");
    let ino = |path: &Path| lock_place(path).rsplit_once(':').expect("a place").1.to_owned();
    stage.proc.unlock_all();
    stage.proc.lock_line(&format!("POSIX  ADVISORY  WRITE 10 00:2b:{} 120 120", ino(&stage.shm)));
    let database = stage.look();
    assert_eq!(database.files.shm.as_ref().expect("there").device, "00:2b");
    assert_eq!(writer_of(&database), Some(10));

    // Another subvolume has the same inode number under the same device: its descriptors are the proof.
    stage.proc.process(11, "stranger");
    stage.proc.descriptor(11, 3, Path::new("/dev/null"), READ_WRITE);
    stage.proc.unlock_all();
    stage.proc.lock_line(&format!("POSIX  ADVISORY  WRITE 11 00:2b:{} 120 120", ino(&stage.shm)));
    let database = stage.look();
    assert!(database.locks.writer.is_none());
    assert_eq!(pids(&database), [10]);
}

/// A file system that makes up the device that `stat` reports, as btrfs does, and rows that mean the file of the
/// same inode in another subvolume.
fn strangers(proc: &mut FakeProc, shm: &Path, rows: &[&str]) {
    proc.write("self/mountinfo", "22 1 0:43 / / rw - btrfs /dev/vdb rw\n");
    proc.process(11, "stranger").descriptor(11, 3, Path::new("/dev/null"), READ_WRITE);
    let place = lock_place(shm);
    let (_, inode) = place.rsplit_once(':').expect("a place");
    for row in rows {
        let (kind, bytes) = row.split_once(" at ").expect("a row");
        proc.lock_line(&format!("{kind} 00:2b:{inode} {bytes}"));
    }
}

#[test]
fn rows_of_another_subvolume_vouch_for_no_index() {
    for row in ["POSIX  ADVISORY  READ 11 at 128 128", "OFDLCK ADVISORY  READ  -1 at 128 128"] {
        let mut stage = Stage::new();
        strangers(&mut stage.proc, &stage.shm, &[row]);
        let database = stage.look();
        assert_eq!(database.presence(), Presence::Leftover, "{row}");
        assert_eq!(database.wal.expect("a log").source, WalSource::Log, "{row}");
    }
}

#[test]
fn rows_of_another_subvolume_hide_no_holder() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("BEGIN IMMEDIATE");
    let mut proc = FakeProc::new();
    let rows = ["POSIX  ADVISORY  WRITE 11 at 120 120", "POSIX  ADVISORY  READ 11 at 128 128"];
    strangers(&mut proc, &sidecar(&scene.path(), "-shm"), &rows);
    let database = only(scene.observer_in(proc.path()).sample());
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert_eq!(database.presence(), Presence::Live);
    assert_eq!(database.wal.map(|wal| wal.source), Some(WalSource::Index));
    assert!(database.processes.is_empty());
}

#[test]
fn a_holder_that_proc_hides_keeps_its_locks() {
    let mut stage = Stage::new();
    stage.lock(77, "WRITE", "120 120");
    let snapshot = stage.snapshot();
    assert!(snapshot.unseen.iter().any(|unseen| unseen.what.contains("77")), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    assert_eq!(writer_of(&database), Some(77));
    assert!(database.processes.is_empty());
}

#[test]
fn what_is_missing_is_told_and_the_rest_is_seen() {
    let mut stage = Stage::new();
    stage.connect(10, "bun");
    fs::remove_file(stage.proc.path().join("locks")).expect("removed");
    let snapshot = stage.snapshot();
    assert!(snapshot.unseen.iter().any(|unseen| unseen.what == "the lock table"), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    assert_eq!(pids(&database), [10]);
    assert!(database.wal.is_some());

    // A file where the folder of descriptors should be: no more of that process can be seen.
    fs::remove_dir_all(stage.proc.path().join("10/fd")).expect("removed");
    stage.proc.write("10/fd", "").write("locks", "");
    stage.lock(10, "WRITE", "120 120");
    let database = stage.look();
    assert_eq!(process(&database, 10).handles, None, "unknown, and not zero");
    assert_eq!(process(&database, 10).read_only, None);
}

#[test]
fn without_a_holder_of_byte_128_the_index_is_not_believed() {
    let mut stage = Stage::new();
    let log = stage.look().wal.expect("a log");
    assert_eq!((log.source, log.frames, log.backfilled), (WalSource::Log, Some(2), None));
    stage.lock(10, "READ", "128 128");
    let index = stage.look().wal.expect("a log");
    assert_eq!((index.source, index.frames, index.backfilled), (WalSource::Index, Some(2), Some(0)));

    // An index that is not whole is unavailable, which is not zero frames.
    let mut bytes = fs::read(&stage.shm).expect("readable");
    bytes[17] ^= 0xff;
    fs::write(&stage.shm, bytes).expect("written");
    let snapshot = stage.snapshot();
    assert!(snapshot.unseen.iter().any(|unseen| unseen.what.contains("wal-index")), "{:?}", snapshot.unseen);
    let wal = only(snapshot).wal.expect("a log");
    assert_eq!((wal.frames, wal.pending, wal.commits), (None, None, None));
}

#[test]
fn the_same_path_in_another_container_is_another_file() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("INSERT INTO t VALUES (2)");
    // Its paths are ours and were deleted, but what lies there now is on another file system.
    for path in [scene.path(), sidecar(&scene.path(), "-wal"), sidecar(&scene.path(), "-shm")] {
        fs::remove_file(path).expect("removed");
    }
    symlink("/proc/version", scene.path()).expect("linked");
    let proc = FakeProc::new();
    proc.process(10, "inside");
    for folder in ["fd", "fdinfo"] {
        let (theirs, shown) =
            (format!("/proc/{}/{folder}", actor.pid()), proc.path().join("10").join(folder));
        // There is an empty folder of descriptors.
        let _ = fs::remove_dir(&shown);
        symlink(theirs, shown).expect("linked");
    }
    let look = || only(scene.observer_in(proc.path()).sample());
    assert_eq!(process(&look(), 10).replaced.len(), 3, "nothing says that it lives elsewhere");

    proc.write("self/ns/of", "").write("10/ns/of", "");
    symlink("mnt:[4026531841]", proc.path().join("self/ns/mnt")).expect("linked");
    symlink("mnt:[4026532999]", proc.path().join("10/ns/mnt")).expect("linked");
    assert!(look().processes.is_empty());
}

#[test]
fn processes_of_other_users_are_counted_and_kernel_threads_are_not() {
    let stage = Stage::new();
    stage.proc.process(11, "theirs").process(12, "theirs").process(13, "kworker");
    let stat = fs::read_to_string(stage.proc.path().join("13/stat")).expect("readable");
    stage.proc.write("13/stat", &stat.replace(" 4194304 ", " 2129984 "));
    let folders = [11, 12, 13].map(|pid| stage.proc.path().join(format!("{pid}/fd")));
    for folder in &folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o000)).expect("changed");
    }
    // The superuser may look everywhere.
    let expected: &[&str] = match fs::read_dir(&folders[0]) {
        Ok(_) => &[],
        Err(_) => &["open files of 2 processes of other users"],
    };
    let snapshot = stage.snapshot();
    let unseen: Vec<_> = snapshot.unseen.iter().map(|unseen| unseen.what.as_str()).collect();
    assert_eq!(unseen, expected);
    for folder in &folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("changed");
    }
}

#[test]
fn what_the_lock_table_leaves_out_is_asked_of_the_kernel() {
    let scene = Scene::with_wal();
    let (mut pinned, mut busy) = (scene.actor(), scene.actor());
    busy.sql("INSERT INTO t VALUES (2)");
    pinned.sql("BEGIN").sql("SELECT * FROM t");
    busy.sql("BEGIN IMMEDIATE");
    // In another PID namespace the table omits rows; here it is empty.
    let proc = FakeProc::new();
    let database = only(scene.observer_in(proc.path()).sample());
    assert!(database.locks.index_held);
    assert_eq!(writer_of(&database), Some(busy.pid()));
    assert!(!database.locks.readers.is_empty() && database.wal.expect("a log").frames == Some(1));
    assert!(database.processes.is_empty());
}

#[test]
fn a_lock_table_that_is_too_long_is_cut_and_the_descriptors_are_asked() {
    let mut stage = Stage::new();
    stage.connect(10, "bun");
    let place = lock_place(&stage.shm);
    let held = |bytes: &str, kind: &str| format!("lock:\t1: POSIX  ADVISORY  {kind} 10 {place} {bytes}\n");
    let info = format!("{READ_WRITE}{}{}", held("128 128", "READ"), held("120 120", "WRITE"));
    stage.proc.write("10/fdinfo/5", &info);
    let whole = stage.snapshot();
    assert_eq!(whole.unseen, []);
    assert!(only(whole).is_complete);

    let rows = fs::read_to_string(stage.proc.path().join("locks")).expect("readable");
    let foreign = "9: POSIX  ADVISORY  WRITE 77 fe:00:1 2 2\n".repeat((16 << 20) / 40 + 1);
    stage.proc.write("locks", &(foreign + &rows));
    let snapshot = stage.snapshot();
    assert!(snapshot.unseen.iter().any(|unseen| unseen.what == "the lock table"), "{:?}", snapshot.unseen);
    let database = only(snapshot);
    assert!(!database.is_complete);
    assert!(process(&database, 10).holds_index);
    assert_eq!(writer_of(&database), Some(10));
}

#[test]
fn a_process_whose_first_thread_has_ended_is_seen_through_another() {
    let mut stage = Stage::new();
    stage.connect(10, "bun");
    let seen = stage.look();
    let root = stage.proc.path();
    let stat = fs::read_to_string(root.join("10/stat")).expect("readable");
    // As the kernel shows it: the process itself has neither files nor memory.
    let ended = stat.replace(") S ", ") Z ");
    stage.proc.write("10/stat", &ended.replace(" 20 0 1 0 4200 ", " 20 0 2 0 4200 "));
    stage.proc.write("10/task/10/stat", &ended).write("10/task/11/stat", &stat);
    for name in ["fd", "fdinfo", "cmdline", "maps"] {
        fs::rename(root.join("10").join(name), root.join("10/task/11").join(name)).expect("moved");
    }
    fs::create_dir(root.join("10/fd")).expect("made");
    stage.proc.write("10/cmdline", "").write("10/maps", "");
    let (before, after) = (process(&seen, 10), stage.look());
    let after = process(&after, 10);
    assert_eq!((after.handles, &after.command, after.state), (before.handles, &before.command, before.state));
    assert_eq!((after.start_ticks, after.maps_index), (before.start_ticks, before.maps_index));

    // One that has ended altogether is no row.
    stage.proc.write("10/stat", &ended).write("locks", "");
    fs::remove_dir_all(stage.proc.path().join("10/task/11")).expect("removed");
    assert!(stage.look().processes.is_empty());
}

#[test]
fn observers_of_the_index_are_no_rows_unless_they_hold_a_lock() {
    let mut stage = Stage::new();
    stage.proc.process(20, "waltop").descriptor(20, 9, &stage.shm, READ_ONLY);
    assert!(stage.look().processes.is_empty());
    stage.lock(20, "READ", "128 128");
    let database = stage.look();
    assert_eq!(process(&database, 20).index_read_only, Some(true));
}

#[test]
fn an_observer_that_reads_a_header_is_no_row_and_an_idle_reader_is_one() {
    const GLANCE: &str = "pos:\t0\nflags:\t02104000\nmnt_id:\t29\n";
    let stage = Stage::new();
    for (pid, glanced) in [(20, &stage.db), (21, &stage.wal)] {
        stage.proc.process(pid, "waltop").descriptor(pid, 9, &stage.shm, READ_ONLY);
        stage.proc.descriptor(pid, 10, glanced, GLANCE);
    }
    assert!(pids(&stage.look()).is_empty());
    stage.proc.process(22, "sqlite3").descriptor(22, 3, &stage.db, READ_ONLY);
    assert_eq!(pids(&stage.look()), [22]);
}

#[test]
fn new_openers_are_found_at_once_and_the_gone_are_dropped() {
    let mut stage = Stage::new();
    stage.connect(10, "first");
    let mut observer = stage.observer();
    assert_eq!(pids(&only(observer.sample())), [10]);
    // One that holds no lock yet, and one that had nothing open before.
    stage.proc.process(11, "second").descriptor(11, 3, &stage.db, READ_ONLY);
    assert_eq!(pids(&only(observer.sample())), [10, 11]);
    assert_eq!(process(&only(observer.sample()), 11).read_only, Some(true));
    stage.proc.end(10).end(11).write("locks", "");
    assert!(only(observer.sample()).processes.is_empty());
}

#[test]
fn processes_are_listed_again_only_where_a_pid_was_given_since() {
    let mut stage = Stage::new();
    stage.connect(10, "first");
    stage.proc.write("loadavg", "0.00 0.00 0.00 1/2 10\n");
    let mut observer = stage.observer();
    assert_eq!(pids(&only(observer.sample())), [10]);
    // Nothing that the kernel would do: a process that nobody was given the PID for.
    stage.proc.process(11, "second").descriptor(11, 3, &stage.db, READ_ONLY);
    assert_eq!(pids(&only(observer.sample())), [10]);
    stage.proc.write("loadavg", "0.00 0.00 0.00 1/3 11\n");
    assert_eq!(pids(&only(observer.sample())), [10, 11]);
    stage.proc.end(10).write("locks", "");
    assert_eq!(pids(&only(observer.sample())), [11]);
}

#[test]
fn a_mapping_of_the_main_file_is_seen_by_its_inode() {
    let mut stage = Stage::new();
    stage.connect(10, "mapper");
    let place = lock_place(&stage.db);
    let (device, inode) = place.rsplit_once(':').expect("a place");
    let maps = format!(
        "7f0000000000-7f0000001000 r-xp 00000000 00:00 0 [vdso]\n\
         7f0000001000-7f0000002000 r--s 00000000 {device} {inode}          /another/name\n"
    );
    stage.proc.write("10/maps", &maps);
    let database = stage.look();
    assert_eq!(
        (process(&database, 10).maps_database, process(&database, 10).maps_index),
        (Some(true), Some(false))
    );
}

#[test]
fn times_of_holders_that_are_gone_are_forgotten() {
    let mut stage = Stage::new();
    stage.connect(10, "reader");
    stage.lock(10, "READ", "124 124");
    let kept = || fs::read_to_string(stage.scene.state.path().join("first-seen.json")).unwrap_or_default();
    stage.look();
    assert!(kept().contains("\"pid\":10"), "{}", kept());
    stage.proc.end(10).write("locks", "");
    stage.look();
    assert!(!kept().contains("\"pid\":10"), "{}", kept());
}
