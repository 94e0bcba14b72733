//! Real databases, held by real processes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
};

use waltop::snapshot::{Hold, JournalMode, Presence, WalSource};

use super::*;
use crate::{fake_proc::sidecar, support::eventually};

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
    assert_eq!(super::writer(&database), Some(writer.pid()));
    assert!(process(&database, writer.pid()).holds.contains(&Hold::Write));
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
    let mut observer = scene.observer();
    let database = only(observer.look());
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
    assert!(process(&only(observer.look()), actor.pid()).cpu_percent.is_some());
}

#[test]
fn read_only_openers_and_mappings_are_told() {
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
fn clean_leftover_and_missing_databases_are_told_apart() {
    let scene = Scene::new();
    let missing = scene.look();
    assert!(missing.files.db.is_none() && missing.header.is_none() && missing.wal.is_none());
    assert_eq!(missing.presence(), Presence::Clean);

    let scene = Scene::with_wal();
    assert_eq!(scene.look().presence(), Presence::Clean);

    let mut actor = scene.actor();
    actor.sql("INSERT INTO t VALUES (2)");
    actor.kill();
    assert_eq!(scene.look().presence(), Presence::Leftover);
}

#[test]
fn a_missing_database_is_no_trouble_and_is_seen_when_it_comes() {
    let scene = Scene::new();
    let mut observer = scene.observer();
    let snapshot = observer.look();
    assert!(snapshot.unseen.iter().all(|unseen| !unseen.what.contains("notes.db")), "{:?}", snapshot.unseen);
    let mut actor = scene.actor();
    actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    let database = only(observer.look());
    assert_eq!(pids(&database), [actor.pid()]);
    assert_eq!(database.wal.and_then(|wal| wal.frames), Some(2));
}

#[test]
fn databases_come_and_go() {
    let (first, second) = (Scene::with_wal(), Scene::with_wal());
    let mut actor = second.actor();
    actor.sql("SELECT * FROM t");
    let mut observer = first.observer();
    assert!(pids(&only(observer.look())).is_empty());
    observer.set_databases(vec![second.path(), first.path()]);
    let snapshot = observer.look();
    let paths: Vec<_> = snapshot.databases.iter().map(|database| database.path.clone()).collect();
    assert_eq!(paths, [second.path(), first.path()]);
    assert_eq!(pids(&snapshot.databases[0]), [actor.pid()]);
    assert!(pids(&snapshot.databases[1]).is_empty());
}

#[test]
fn frames_moved_and_waiting_are_those_of_the_checkpoint() {
    let scene = Scene::with_wal();
    let (mut reader, mut writer) = (scene.actor(), scene.actor());
    for value in 0..5 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
    reader.sql("BEGIN").sql("SELECT * FROM t");
    for value in 0..7 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
    writer.sql("PRAGMA wal_checkpoint(PASSIVE)");
    let database = scene.look();
    let wal = database.wal.as_ref().expect("a log");
    // Each insert changes one page; the reader is at the fifth, and holds the checkpoint there.
    assert_eq!((wal.frames, wal.backfilled, wal.pending), (Some(12), Some(5), Some(7)));
    assert_eq!(reader_of(&database, reader.pid()), [(Some(1), Some(5))]);
}

#[test]
fn a_restart_counts_from_one_again_whatever_the_size_of_the_file() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    for value in 0..20 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
    writer.sql("PRAGMA wal_checkpoint(RESTART)").sql("INSERT INTO t VALUES (99)");
    let wal = scene.look().wal.expect("a log");
    assert_eq!((wal.frames, wal.backfilled, wal.slots), (Some(1), Some(0), Some(20)));
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let database = scene.look();
    let wal = database.wal.expect("the index speaks for the empty log");
    assert_eq!((wal.frames, wal.pending), (Some(0), Some(0)));
    assert_eq!(database.files.wal.expect("there").bytes, 0);
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
    for (frame, reader) in (1..).zip(&readers) {
        let [(slot, seen)] = reader_of(&database, reader.pid())[..] else { panic!("one slot a reader") };
        assert!(slot >= Some(1) && slot <= Some(4));
        assert_eq!(seen, Some(frame.min(4)), "the fifth stands at the mark of the fourth");
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
fn a_spilling_writer_has_committed_nothing_yet() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("PRAGMA cache_size = 10");
    for value in 0..3 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
    writer.sql("BEGIN IMMEDIATE").sql(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO t SELECT randomblob(2000) FROM n",
    );
    let wal = scene.look().wal.expect("a log");
    assert!(wal.slots > Some(100), "it has spilt: {wal:?}");
    assert_eq!(wal.frames, Some(3));
    writer.kill();
    let wal = scene.look().wal.expect("a log");
    assert_eq!((wal.frames, wal.source), (Some(3), WalSource::Log), "nor has it when it is dead");
}

#[test]
fn after_the_last_holder_was_killed_the_log_is_counted_itself() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    for value in 0..4 {
        actor.sql(&format!("INSERT INTO t VALUES ({value})"));
    }
    actor.sql("PRAGMA wal_checkpoint(PASSIVE)").sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (5)");
    let mut observer = scene.observer();
    assert_eq!(only(observer.look()).wal.expect("a log").backfilled, Some(4));
    actor.kill();
    let database = only(observer.look());
    assert!(database.processes.is_empty() && database.locks.writer.is_none() && !database.locks.index_held);
    let wal = database.wal.expect("a log");
    assert_eq!((wal.source, wal.frames, wal.page_count), (WalSource::Log, Some(4), Some(2)));
    assert_eq!((wal.backfilled, wal.pending, wal.read_marks), (None, None, None));
}

#[test]
fn a_deleted_database_is_told_of_its_holder() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("INSERT INTO t VALUES (2)");
    let mut observer = scene.observer();
    assert!(process(&only(observer.look()), actor.pid()).replaced.is_empty());
    let paths = ["", "-wal", "-shm"].map(|suffix| sidecar(&scene.path(), suffix));
    for path in &paths {
        fs::remove_file(path).expect("removed");
    }
    let mut expected = paths.map(|path| path.to_string_lossy().into_owned()).to_vec();
    expected.sort();
    for database in [only(observer.look()), scene.look()] {
        let row = process(&database, actor.pid());
        let mut replaced = row.replaced.clone();
        replaced.sort();
        assert_eq!(replaced, expected);
        assert!(!row.has_main_file());
    }
}

#[test]
fn a_replaced_database_is_told_of_the_one_who_has_the_old_one() {
    let scene = Scene::with_wal();
    let mut old = scene.actor();
    old.sql("INSERT INTO t VALUES (2)");
    let copy = scene.folder.path().join("copy.db");
    fs::copy(scene.path(), &copy).expect("copied");
    fs::rename(&copy, scene.path()).expect("replaced");
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(sidecar(&scene.path(), suffix)).expect("removed");
    }
    let mut new = scene.actor();
    new.sql("SELECT * FROM t");
    let database = scene.look();
    assert_eq!(process(&database, old.pid()).replaced.len(), 3);
    assert_eq!(process(&database, old.pid()).handles.expect("readable").db, 0);
    assert!(process(&database, new.pid()).replaced.is_empty());
    assert!(process(&database, new.pid()).holds_index && !process(&database, old.pid()).holds_index);
}

#[test]
fn exclusive_locking_mode_is_seen_before_and_after_the_first_access() {
    let scene = Scene::with_wal();
    let mut before = scene.actor();
    before.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (2)");
    let database = scene.look();
    assert!(database.files.shm.is_none(), "its index is in its memory");
    assert_eq!(super::writer(&database), Some(before.pid()));
    assert_eq!(process(&database, before.pid()).holds, [Hold::Exclusive]);
    let wal = database.wal.expect("a log");
    assert_eq!((wal.source, wal.frames), (WalSource::Log, Some(1)));
    before.close();

    let mut after = scene.actor();
    after.sql("SELECT * FROM t").sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (3)");
    let database = scene.look();
    assert_eq!(super::writer(&database), Some(after.pid()));
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
    assert_eq!(super::writer(&database), Some(writer.pid()));
    assert_eq!(process(&database, writer.pid()).holds, [Hold::Reserved]);
    assert_eq!(reader_of(&database, reader.pid()), [(None, None)]);
    assert_eq!(process(&database, reader.pid()).holds, [Hold::Shared]);
    assert!(process(&database, idle.pid()).holds.is_empty(), "only a descriptor tells of it");
    assert!(database.locks.exclusive.is_none() && database.wal.is_none());

    writer.sql("PRAGMA busy_timeout = 0");
    assert!(writer.try_sql("COMMIT").contains("locked"));
    let database = scene.look();
    assert_eq!(process(&database, writer.pid()).holds, [Hold::Pending]);
    reader.sql("COMMIT");
    writer.sql("COMMIT").sql("BEGIN EXCLUSIVE");
    let database = scene.look();
    assert_eq!(process(&database, writer.pid()).holds, [Hold::Exclusive]);
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
        (process(&database, pid).holds.starts_with(&[Hold::Write, Hold::Checkpoint])).then_some(database)
    });
    let holder = |holder: &Option<waltop::snapshot::Holder>| holder.as_ref().and_then(|holder| holder.pid);
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
fn held_times_go_on_counting_in_the_next_observer() {
    let scene = Scene::with_wal();
    let (mut reader, mut writer) = (scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let held = |database: &Database| {
        let readers = database.locks.readers.iter();
        let reader = readers.filter(|other| other.pid == Some(reader.pid())).find_map(|other| other.held_ms);
        (
            reader.expect("held"),
            database.locks.writer.as_ref().and_then(|writer| writer.held_ms).expect("held"),
        )
    };
    let first = held(&scene.look());
    let kept = fs::metadata(scene.places(Path::new("/proc")).first_seen).expect("written");
    assert_eq!(kept.mode() & 0o777, 0o600);
    eventually("time goes by", || {
        let (reader, writer) = held(&scene.look());
        assert!(reader >= first.0 && writer >= first.1);
        (reader > first.0 && writer > first.1 && reader >= 20.0 && writer >= 20.0).then_some(())
    });
}

#[test]
fn a_state_folder_that_cannot_be_written_is_told_and_is_no_error() {
    let scene = Scene::with_wal();
    let mut reader = scene.actor();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let mut places = scene.places(Path::new("/proc"));
    fs::write(scene.state.path().join("file"), "").expect("written");
    places.first_seen = scene.state.path().join("file/first-seen.json");
    let snapshot = Observer::new(&places, vec![scene.path()]).look();
    assert!(
        snapshot.unseen.iter().any(|unseen| unseen.what.contains("earlier looks")),
        "{:?}",
        snapshot.unseen
    );
    assert_eq!(reader_of(&only(snapshot), reader.pid()).len(), 1);
}

#[test]
fn sampled_holds_name_their_process() {
    let scene = Scene::with_wal();
    let mut writer = scene.actor();
    writer.sql("SELECT * FROM t");
    let mut observer = scene.observer();
    let unsampled = only(observer.look());
    assert!(unsampled.locks.window_ms.is_none() && unsampled.locks.write_holds.is_none());
    observer.watch_locks();
    let mut round = 0;
    let database = eventually("two holds are seen", || {
        round += 1;
        writer.sql("BEGIN IMMEDIATE").sql(&format!("INSERT INTO t VALUES ({round})"));
        // The lock is kept until the sampler has seen it, however slow this machine is.
        eventually("the hold is seen", || {
            let holds = only(observer.look()).locks.write_holds?;
            (holds.count >= round).then_some(())
        });
        writer.sql("COMMIT");
        (round >= 2).then(|| only(observer.look()))
    });
    assert!(database.locks.window_ms.is_some());
    let holds = database.locks.write_holds.expect("sampled");
    assert!(holds.by_process.iter().all(|part| part.pid == Some(writer.pid())), "{holds:?}");
    assert!(holds.max_ms > 0.0 && holds.held_ratio > 0.0);
    let trend = observer.trend(0);
    assert_eq!(trend.lanes.len(), 1);
    assert_eq!((trend.lanes[0].pid, trend.lanes[0].name.as_str()), (Some(writer.pid()), "waltop"));
    assert_eq!(observer.trend(7), waltop::history::Trend::default());
}

#[test]
fn the_sampler_follows_a_new_index() {
    let scene = Scene::with_wal();
    let mut observer = scene.observer();
    observer.watch_locks();
    // Whoever opens the database alone makes -shm anew, and takes it away at the end.
    for count in 1..=2 {
        let mut writer = scene.actor();
        writer.sql("BEGIN IMMEDIATE");
        eventually("the hold is seen", || {
            let holds = only(observer.look()).locks.write_holds?;
            (holds.count >= count && holds.by_process.iter().any(|part| part.pid == Some(writer.pid())))
                .then_some(())
        });
        writer.close();
    }
}

#[test]
fn a_look_changes_nothing_and_holds_nothing() {
    let clean = Scene::with_wal();
    let leftover = Scene::with_wal();
    let mut killed = leftover.actor();
    killed.sql("INSERT INTO t VALUES (2)");
    killed.kill();
    let live = Scene::with_wal();
    let mut holder = live.actor();
    holder.sql("INSERT INTO t VALUES (2)").sql("BEGIN IMMEDIATE");
    for scene in [&clean, &leftover, &live] {
        let before = listing(scene.folder.path());
        let mut observer = scene.observer();
        observer.look();
        observer.watch_locks();
        let database = only(observer.look());
        assert_eq!(listing(scene.folder.path()), before);
        assert_eq!(database.files.shm.is_some(), before.len() == 3);
        for suffix in ["", "-wal"] {
            assert_eq!(descriptors_on(&sidecar(&scene.path(), suffix)), 0, "{suffix}");
        }
        assert_eq!(locks_on(scene, std::process::id()), 0);
        drop(observer);
        assert_eq!(descriptors_on(&sidecar(&scene.path(), "-shm")), 0, "the sampler lets go");
    }
    assert!(
        locks_on(&live, u32::try_from(holder.pid()).expect("positive")) > 0,
        "the holder still has its locks"
    );
    holder.sql("COMMIT");
}

#[test]
fn another_observer_is_no_row() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("SELECT * FROM t");
    // As the sampler of another waltop does: -shm open for reading, and nothing else.
    let mut other = Command::new("sh")
        .arg("-c")
        .arg("exec 3<\"$1\"; read line")
        .arg("sh")
        .arg(sidecar(&scene.path(), "-shm"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    eventually("it has the file open", || {
        let fd = format!("/proc/{}/fd/3", other.id());
        fs::metadata(fd).ok().filter(|open| open.ino() == ino(&sidecar(&scene.path(), "-shm")))
    });
    assert_eq!(pids(&scene.look()), [actor.pid()]);
    other.kill().expect("it can be killed");
    other.wait().expect("it ends");
}

fn ino(path: &Path) -> u64 {
    path.metadata().expect("there").ino()
}

fn reader_of(database: &Database, pid: i32) -> Vec<(Option<u8>, Option<u32>)> {
    let readers = database.locks.readers.iter().filter(|reader| reader.pid == Some(pid));
    readers.map(|reader| (reader.slot, reader.frame)).collect()
}

// Name, inode, owner, group, mode, size and times of change of everything in `folder`.
fn listing(folder: &Path) -> BTreeMap<String, [i64; 7]> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable"));
    let facts = entries.map(|entry| {
        let file = entry.metadata().expect("there");
        let number = |value: u64| i64::try_from(value).expect("small");
        let facts = [
            number(file.ino()),
            file.uid().into(),
            file.gid().into(),
            file.mode().into(),
            number(file.len()),
            file.mtime_nsec(),
            file.ctime_nsec(),
        ];
        (entry.file_name().to_string_lossy().into_owned(), facts)
    });
    facts.collect()
}

fn descriptors_on(path: &Path) -> usize {
    let Ok(file) = path.metadata() else { return 0 };
    let open = fs::read_dir("/proc/self/fd")
        .expect("readable")
        .flatten()
        .filter_map(|fd| fs::metadata(fd.path()).ok());
    open.filter(|open| (open.dev(), open.ino()) == (file.dev(), file.ino())).count()
}

fn locks_on(scene: &Scene, pid: u32) -> usize {
    let table = fs::read_to_string("/proc/locks").expect("readable");
    let files = ["", "-wal", "-shm"].map(|suffix| sidecar(&scene.path(), suffix));
    let inodes: Vec<_> =
        files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.ino()).collect();
    let is_ours = |line: &&str| {
        line.split_whitespace().any(|field| field == pid.to_string())
            && inodes.iter().any(|inode| line.contains(&format!(":{inode} ")))
    };
    table.lines().filter(is_ours).count()
}
