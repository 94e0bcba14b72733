//! Real databases: who holds what.

use std::{fs, os::unix::fs::MetadataExt};

use waltop::{
    config::Config,
    diagnose::diagnose,
    snapshot::{FindingKind, JournalMode, LockHold, LockHolder, Presence, WalSource},
    state::places::Places,
};

use super::*;
use crate::{fake_proc::sidecar, python::Python, support::eventually};

#[test]
fn idle_reader_and_writer_are_each_found() {
    let scene = Scene::with_wal();
    let (mut idle, mut reader, mut writer) = (scene.actor(), scene.actor(), scene.actor());
    idle.sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)").sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (4)");

    let database = scene.look();
    let mut expected = [idle.pid(), reader.pid(), writer.pid()];
    expected.sort_unstable();
    assert_eq!(pids(&database), expected);
    assert_eq!(database.presence(), Presence::Live);
    assert!(process(&database, idle.pid()).holds.is_empty());
    assert!(process(&database, idle.pid()).holds_index);
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert!(process(&database, writer.pid()).holds.contains(&LockHold::Write));
    assert_eq!(reader_of(&database, reader.pid()), [(Some(1), Some(1))]);
    let wal = database.wal.expect("a log");
    assert_eq!((wal.frames, wal.backfilled, wal.pending), (Some(2), Some(0), Some(2)));
    assert_eq!((wal.source, wal.page_count), (WalSource::Index, Some(2)));
    assert_eq!(database.header.expect("a header").journal_mode, JournalMode::Wal);
}

#[test]
fn a_process_is_described() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    let database = scene.look();
    let row = process(&database, actor.pid());
    assert_eq!(row.name, "waltop");
    assert!(row.command_line().ends_with(&format!("actor {}", scene.path().display())));
    assert_eq!(row.parent, i32::try_from(std::process::id()).ok());
    assert_eq!(row.uid, Some(rustix::process::geteuid().as_raw()));
    assert!(row.user.is_some() && row.started_at.is_some() && row.memory_bytes > Some(0));
    assert_eq!(row.cpu_percent, None, "nothing to compare with");
    let handles = row.handles.expect("its descriptors can be read");
    assert_eq!((handles.db, handles.wal, handles.shm), (1, 1, 1));
    assert_eq!((row.read_only, row.index_read_only), (Some(false), Some(false)));
    assert_eq!((row.maps_database, row.maps_index), (Some(false), Some(true)));
    assert!(row.replaced.is_empty() && row.stale.is_none());
}

#[test]
fn the_cpu_of_a_process_that_spins_is_reported_once_it_is_known() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    actor.order("WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n");
    let mut observer = scene.observer();
    let mut cpu = || process(&only(observer.sample()), actor.pid()).cpu_percent;
    assert_eq!(cpu(), None, "nothing to compare with");
    let first = eventually("its CPU is known", &mut cpu);
    // It has a processor to itself or shares it with other tests; it is far from idle.
    assert!(first > 5.0, "{first}");
}

#[test]
fn read_only_openers_and_mappings_are_reported() {
    let scene = Scene::with_wal();
    let mut mapper = scene.actor();
    mapper.sql("PRAGMA mmap_size = 1000000").sql("SELECT * FROM t");
    let mut visitor = Actor::open_read_only(&scene.path());
    visitor.sql("SELECT * FROM t");
    let database = scene.look();
    assert_eq!(process(&database, mapper.pid()).maps_database, Some(true));
    assert_eq!(process(&database, mapper.pid()).read_only, Some(false));
    assert_eq!(process(&database, visitor.pid()).read_only, Some(true));
    assert_eq!(process(&database, visitor.pid()).index_read_only, Some(false));
}

#[test]
fn five_readers_share_four_slots() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    let mut readers: Vec<Actor> = (0..5).map(|_| scene.actor()).collect();
    for (value, reader) in readers.iter_mut().enumerate() {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
        reader.sql("BEGIN").sql("SELECT * FROM t");
    }
    let database = scene.look();
    assert_eq!(database.locks.readers.len(), 5);
    assert!(is_in_the_table(&scene, "127 128"), "the last slot and byte 128 are one row");
    for (frame, reader) in (1..).zip(&readers) {
        let [(slot, seen)] = reader_of(&database, reader.pid())[..] else { panic!("one slot a reader") };
        assert!(slot >= Some(1) && slot <= Some(4));
        assert_eq!(seen, Some(frame.min(4)), "the fifth stands at the mark of the fourth");
        assert!(process(&database, reader.pid()).holds_index);
    }
    for reader in &mut readers {
        reader.sql("COMMIT");
    }
    let database = scene.look();
    let marks = database.wal.expect("a log").read_marks.expect("known");
    assert!(marks[1..].iter().all(Option::is_some), "marks are left behind: {marks:?}");
    assert!(database.locks.readers.is_empty(), "and are no readers");
}

#[test]
fn a_reader_that_ignores_the_log_is_in_slot_0() {
    let scene = Scene::with_wal();
    let mut reader = scene.actor();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    assert_eq!(reader_of(&scene.look(), reader.pid()), [(Some(0), Some(0))]);
}

#[test]
fn exclusive_locking_mode_is_seen_before_and_after_the_first_access() {
    let scene = Scene::with_wal();
    let mut before = scene.actor();
    before.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (2)");
    let database = scene.look();
    assert!(database.files.shm.is_none(), "its index is in its memory");
    assert_eq!(writer_of(&database), Some(before.pid()));
    assert_eq!(process(&database, before.pid()).holds, [LockHold::Exclusive]);
    let wal = database.wal.expect("a log");
    assert_eq!((wal.source, wal.frames), (WalSource::Log, Some(1)));
    before.close();

    let mut after = scene.actor();
    after.sql("SELECT * FROM t").sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (3)");
    let database = scene.look();
    assert_eq!(writer_of(&database), Some(after.pid()));
    assert_eq!(database.locks.exclusive.and_then(|holder| holder.pid), Some(after.pid()));
    assert!(database.locks.index_held);
}

#[test]
fn rollback_mode_has_writers_and_readers_on_the_main_file() {
    let scene = Scene::new();
    let (mut writer, mut reader, mut idle) = (scene.actor(), scene.actor(), scene.actor());
    writer.sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
    idle.sql("SELECT * FROM t");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    let database = scene.look();
    assert_eq!(database.header.as_ref().expect("a header").journal_mode, JournalMode::Rollback);
    assert_eq!(writer_of(&database), Some(writer.pid()));
    assert_eq!(process(&database, writer.pid()).holds, [LockHold::Reserved]);
    assert_eq!(reader_of(&database, reader.pid()), [(None, None)]);
    assert_eq!(process(&database, reader.pid()).holds, [LockHold::Shared]);
    assert!(process(&database, idle.pid()).holds.is_empty(), "only a descriptor tells of it");
    assert!(database.locks.exclusive.is_none() && database.wal.is_none());

    writer.sql("PRAGMA busy_timeout = 0");
    assert!(writer.try_sql("COMMIT").contains("locked"));
    let database = scene.look();
    assert_eq!(process(&database, writer.pid()).holds, [LockHold::Pending]);
    reader.sql("COMMIT");
    writer.sql("COMMIT").sql("BEGIN EXCLUSIVE");
    let database = scene.look();
    assert_eq!(process(&database, writer.pid()).holds, [LockHold::Exclusive]);
    assert_eq!(database.locks.exclusive.and_then(|holder| holder.pid), Some(writer.pid()));
}

#[test]
fn a_checkpoint_that_waits_for_a_reader_holds_both_locks() {
    let scene = Scene::with_wal();
    let (mut reader, mut checkpointer) = (scene.actor(), scene.actor());
    checkpointer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    checkpointer.sql("INSERT INTO t VALUES (3)").sql("PRAGMA busy_timeout = 60000");
    checkpointer.order("PRAGMA wal_checkpoint(TRUNCATE)");
    let pid = checkpointer.pid();
    let database = eventually("the checkpoint waits", || {
        let database = scene.look();
        (process(&database, pid).holds.starts_with(&[LockHold::Write, LockHold::Checkpoint]))
            .then_some(database)
    });
    let holder = |holder: &Option<LockHolder>| holder.as_ref().and_then(|holder| holder.pid);
    assert!(is_in_the_table(&scene, "120 121"), "both locks are one row");
    assert_eq!(holder(&database.locks.checkpointer), Some(pid));
    assert_eq!(holder(&database.locks.writer), Some(pid));
    reader.sql("COMMIT");
    assert_eq!(checkpointer.answer(), "ok");
}

#[test]
fn a_hard_link_hides_no_holder() {
    let scene = Scene::with_wal();
    let link = scene.state.path().join("other-name.sqlite");
    // A hard link needs both folders on one file system, as two temporary folders are.
    fs::hard_link(scene.path(), &link).expect("linked");
    let mut actor = Actor::open(&link);
    actor.sql("SELECT * FROM t");
    let database = scene.look();
    assert_eq!(process(&database, actor.pid()).handles.expect("readable").db, 1);
}

#[test]
fn holders_by_open_file_descriptions_have_lost_nothing() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let (Some(mut one), Some(mut two)) = (Python::open(&scene.path()), Python::open(&scene.path())) else {
        return;
    };
    one.hold_index_by_ofd_locks();
    two.hold_index_by_ofd_locks();
    let mut observer = scene.observer();
    let (before, mut after) = (observer.sample(), observer.sample());
    diagnose(&mut after, Some(&before), &Config::new(Places::under(scene.state.path())));
    let database = only(after);
    for pid in [one.pid(), two.pid()] {
        let row = process(&database, pid);
        assert_eq!((row.maps_index, row.index_read_only), (Some(true), Some(false)));
        assert!(row.holds_index);
        assert_eq!(reader_of(&database, pid).iter().map(|reader| reader.0).collect::<Vec<_>>(), [Some(1)]);
    }
    assert!(
        database.findings.iter().all(|finding| finding.kind != FindingKind::LostLocks),
        "{:?}",
        database.findings
    );
}

// Whether the kernel lists a lock on these bytes of the scene's `-shm` in a row of its own.
fn is_in_the_table(scene: &Scene, bytes: &str) -> bool {
    let inode = sidecar(&scene.path(), "-shm").metadata().expect("there").ino();
    let table = fs::read_to_string("/proc/locks").expect("readable");
    table.lines().any(|line| line.ends_with(&format!(":{inode} {bytes}")))
}

#[test]
fn a_file_of_an_older_generation_is_recognised_by_its_inode() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("INSERT INTO t VALUES (2)");
    let wal = sidecar(&scene.path(), "-wal");
    fs::remove_file(&wal).expect("removed");
    for made_anew in [false, true] {
        if made_anew {
            fs::write(&wal, "").expect("made");
        }
        let database = scene.look();
        let row = process(&database, actor.pid());
        assert_eq!(row.replaced, [wal.to_string_lossy()], "made anew: {made_anew}");
        let handles = row.handles.expect("readable");
        assert_eq!((handles.db, handles.wal, handles.shm), (1, 0, 1));
    }
}

#[test]
fn a_file_whose_name_ends_with_the_word_for_deleted_is_there() {
    let scene = Scene::with_wal();
    let (mut ours, mut other) = (scene.actor(), Actor::open(&sidecar(&scene.path(), " (deleted)")));
    ours.sql("SELECT * FROM t");
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    assert_eq!(pids(&scene.look()), [ours.pid()]);
    // Nor is it another file where it is a second name of ours.
    let wal = sidecar(&scene.path(), "-wal");
    fs::hard_link(&wal, sidecar(&wal, " (deleted)")).expect("linked");
    assert!(process(&scene.look(), ours.pid()).replaced.is_empty());
}
