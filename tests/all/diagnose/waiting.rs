//! A holder of the write lock that waits for others: they are to blame, and not the holder.

use super::*;

const LONG_HOLD: Duration = Duration::from_millis(400);

#[test]
fn a_reader_that_a_checkpoint_waits_for() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader, mut checkpointer) = (scene.actor(), scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)");
    let mut watch = scene.sampled(LONG_HOLD);
    assert_healthy(&mut watch);
    checkpointer.sql("PRAGMA busy_timeout = 60000").order("PRAGMA wal_checkpoint(RESTART)");
    let finding = found(&mut watch, FindingKind::LongWriteLock, Some(reader.pid()));
    assert_eq!(finding.evidence["holder"], checkpointer.pid());
    assert_eq!(finding.evidence["waits_for"], serde_json::json!([reader.pid()]));
    assert_eq!(finding.remedy.command, Some(format!("kill -TERM {}", reader.pid())));
    reader.sql("COMMIT");
    checkpointer.answer();
    // The reader can no longer be named; the holder is not said to have written.
    let after = eventually("it is over", || {
        let database = look(&mut watch);
        database.locks.writer.is_none().then_some(database)
    });
    let holds = after.locks.write_holds.expect("sampled").by_process;
    let holds = holds.iter().find(|holds| holds.pid == Some(checkpointer.pid())).expect("its hold");
    assert!(holds.max_is_checkpoint, "{holds:?}");
}

#[test]
fn a_reader_of_the_main_file_that_a_checkpoint_waits_for() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader, mut checkpointer) = (scene.actor(), scene.actor(), scene.actor());
    // With nothing in the log a reader takes slot 0.
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (2)");
    checkpointer.sql("PRAGMA busy_timeout = 60000").order("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut watch = scene.sampled(LONG_HOLD);
    found(&mut watch, FindingKind::LongWriteLock, Some(reader.pid()));
    reader.sql("COMMIT");
    checkpointer.answer();
}

#[test]
fn a_writer_beside_a_reader_waits_for_nobody() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("BEGIN IMMEDIATE");
    let finding = found(&mut scene.sampled(LONG_HOLD), FindingKind::LongWriteLock, Some(writer.pid()));
    assert!(!finding.evidence.contains_key("waits_for"), "{finding:?}");
}

#[test]
fn a_reader_that_a_commit_with_a_rollback_journal_waits_for() {
    let scene = Scene::new("delete");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    reader.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("PRAGMA busy_timeout = 60000").sql("BEGIN").sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.sampled_without("journal_mode", LONG_HOLD);
    // Until it commits, the reader is not in its way.
    let hold = long_hold(&mut watch, writer.pid());
    assert!(!hold.evidence.contains_key("waits_for"), "{hold:?}");
    writer.order("COMMIT");
    let finding = long_hold(&mut watch, reader.pid());
    assert_eq!(finding.evidence["holder"], writer.pid());
    reader.sql("COMMIT");
    writer.answer();
}

/// Looks until a long hold is found about `pid`, beside whatever else is said of a shared rollback journal.
fn long_hold(watch: &mut Monitor, pid: i32) -> Finding {
    eventually("a long hold is found", || {
        let mut findings = look(watch).findings.into_iter();
        findings.find(|it| it.kind == FindingKind::LongWriteLock && it.pid == Some(pid))
    })
}

#[test]
fn a_hold_with_a_rollback_journal_is_as_long_as_it_is_however_often_its_process_runs() {
    let scene = Scene::new("delete");
    let mut writer = scene.actor();
    writer.sql("SELECT * FROM t");
    let mut watch = scene.sampled_without("journal_mode", LONG_HOLD);
    assert_healthy(&mut watch);
    writer.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    let finding = eventually("it is an error", || {
        // It runs between two looks, so that only samples can tell that it has not released the lock.
        writer.sql("SELECT * FROM t");
        let finding = long_hold(&mut watch, writer.pid());
        (finding.severity == Severity::Error).then_some(finding)
    });
    assert_eq!(finding.evidence["now"], true);
    writer.sql("COMMIT");
    let holds = look(&mut watch).locks.write_holds.expect("sampled");
    assert!(holds.max_ms >= 400.0 && holds.held_ratio > 0.0, "{holds:?}");
    // The healthy twin: as many short holds by the same process.
    let mut twin = scene.sampled_without("journal_mode", LONG_HOLD);
    for value in 0..50 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
        assert_healthy(&mut twin);
    }
}

#[test]
fn writers_that_leave_no_gap_for_a_third() {
    let scene = Scene::new("wal");
    let Some(mut first) = Python::open(&scene.path()) else { return };
    let Some(mut second) = Python::open(&scene.path()) else { return };
    // The gap lets the other one in now and then.
    let program = "exec('import time\\ndb.execute(\"PRAGMA busy_timeout = 60000\")\\nwhile True:\\n \
                   db.execute(\"BEGIN IMMEDIATE\"); time.sleep(0.02); \
                   db.execute(\"INSERT INTO t VALUES (1)\"); db.execute(\"COMMIT\"); time.sleep(0.002)')";
    first.start(program);
    let mut watch = scene.sampled_without("wal_autocheckpoint", LONG);
    // The healthy twin: one writer alone hurts nobody.
    eventually("the lock is busy", || {
        let database = look(&mut watch);
        assert!(serious(&database).is_empty(), "{:?}", database.findings);
        has(&database, FindingKind::BusyLock).then_some(())
    });
    second.start(program);
    let finding = eventually("both have written", || {
        let finding = found(&mut watch, FindingKind::BusyLock, None);
        (finding.severity > Severity::Info).then_some(finding)
    });
    let by = finding.evidence["by_process"].as_array().expect("a list");
    let mut pids: Vec<_> = by.iter().filter_map(|it| it["pid"].as_i64()).collect();
    pids.sort_unstable();
    let mut expected = [first.pid(), second.pid()].map(i64::from);
    expected.sort_unstable();
    assert_eq!(pids, expected);
}

#[test]
fn a_checkpoint_that_does_not_end() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.run("db.execute('SELECT * FROM t').fetchall()");
    let watch_with = |steps| {
        scene.watch_with(|config| {
            config.thresholds.long_checkpoint = steps;
            config.profile.pragmas.retain(|pragma| pragma.name != "wal_autocheckpoint");
        })
    };
    let mut watch = watch_with((Duration::from_millis(50), LONG));
    // A second descriptor on -shm that stays open: what a checkpoint locks, on a disk that does not answer.
    python.run("import fcntl; shm = open(path + '-shm', 'r+b', buffering=0)");
    assert!(!has(&look(&mut watch), FindingKind::LongCheckpoint));
    python.run("fcntl.lockf(shm, fcntl.LOCK_EX, 1, 121)");
    let finding = eventually("it is found", || {
        // The commits of others do not make it a new one.
        writer.sql("INSERT INTO t VALUES (3)");
        look(&mut watch).findings.into_iter().find(|it| it.kind == FindingKind::LongCheckpoint)
    });
    assert_eq!((finding.pid, finding.severity), (Some(python.pid()), Severity::Info));
    watch = watch_with((Duration::from_millis(1), Duration::from_millis(50)));
    let finding = found(&mut watch, FindingKind::LongCheckpoint, Some(python.pid()));
    assert_eq!(finding.severity, Severity::Warning);
}
