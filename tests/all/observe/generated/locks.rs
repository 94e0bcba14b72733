//! Rows of a generated lock table.

use super::*;

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
