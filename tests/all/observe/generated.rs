//! A generated `/proc`: what no test can make the kernel do.

mod locks;

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
fn another_program_in_a_process_is_reported_at_once() {
    let mut stage = Stage::new();
    stage.connect(4242, "sh");
    let mut observer = stage.observer();
    let command = |database: &Database| process(database, 4242).command_line();
    assert_eq!(command(&only(observer.sample())), "/usr/bin/sh --flag");
    stage.proc.process(4242, "bun");
    assert_eq!(command(&only(observer.sample())), "/usr/bin/bun --flag");
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
fn what_is_missing_is_reported_and_the_rest_is_seen() {
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
