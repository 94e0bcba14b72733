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
    let mut watch = scene.sampled_rollback(LONG_HOLD);
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
    let mut watch = scene.sampled_rollback(LONG_HOLD);
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
    let mut twin = scene.sampled_rollback(LONG_HOLD);
    for value in 0..50 {
        writer.sql(&format!("INSERT INTO t VALUES ({value})"));
        assert_healthy(&mut twin);
    }
}
