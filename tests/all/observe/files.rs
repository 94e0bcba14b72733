//! Real databases: what the files say, and files that come, go and change under their holders.

use std::fs;

use waltop::snapshot::{Presence, WalSource};

use super::*;
use crate::fake_proc::sidecar;

#[test]
fn clean_leftover_and_missing_databases_are_distinguished() {
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
    let snapshot = observer.sample();
    assert!(snapshot.unseen.iter().all(|unseen| !unseen.what.contains("notes.db")), "{:?}", snapshot.unseen);
    let mut actor = scene.actor();
    actor.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)");
    let database = only(observer.sample());
    assert_eq!(pids(&database), [actor.pid()]);
    assert_eq!(database.wal.and_then(|wal| wal.frames), Some(2));
}

#[test]
fn databases_come_and_go() {
    let (first, second) = (Scene::with_wal(), Scene::with_wal());
    let mut actor = second.actor();
    actor.sql("SELECT * FROM t");
    let mut observer = first.observer();
    assert!(pids(&only(observer.sample())).is_empty());
    observer.set_databases(vec![second.path(), first.path()]);
    let snapshot = observer.sample();
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
    assert_eq!(only(observer.sample()).wal.expect("a log").backfilled, Some(4));
    actor.kill();
    let database = only(observer.sample());
    assert!(database.processes.is_empty() && database.locks.writer.is_none() && !database.locks.index_held);
    let wal = database.wal.expect("a log");
    assert_eq!((wal.source, wal.frames, wal.page_count), (WalSource::Log, Some(4), Some(2)));
    assert_eq!((wal.backfilled, wal.pending, wal.read_marks), (None, None, None));
}

#[test]
fn a_deleted_database_is_reported_of_its_holder() {
    let scene = Scene::with_wal();
    let mut actor = scene.actor();
    actor.sql("INSERT INTO t VALUES (2)");
    let mut observer = scene.observer();
    assert!(process(&only(observer.sample()), actor.pid()).replaced.is_empty());
    let paths = ["", "-wal", "-shm"].map(|suffix| sidecar(&scene.path(), suffix));
    for path in &paths {
        fs::remove_file(path).expect("removed");
    }
    let mut expected = paths.map(|path| path.to_string_lossy().into_owned()).to_vec();
    expected.sort();
    for database in [only(observer.sample()), scene.look()] {
        let row = process(&database, actor.pid());
        let mut replaced = row.replaced.clone();
        replaced.sort();
        assert_eq!(replaced, expected);
        assert!(!row.has_main_file());
    }
}

#[test]
fn a_replaced_database_is_reported_of_the_one_who_has_the_old_one() {
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
