//! Files replaced under their users, and locks that were lost.

use super::*;

#[test]
fn a_log_that_was_deleted_under_its_writer() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    std::fs::remove_file(scene.sidecar("-wal")).expect("removed");
    let finding = found(&mut watch, FindingKind::SplitWal, Some(writer.pid()));
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.evidence["replaced"], serde_json::json!([scene.sidecar("-wal")]));
}

#[test]
fn a_database_that_was_replaced_under_its_writer() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let copy = scene.folder.path().join("copy.db");
    std::fs::copy(scene.path(), &copy).expect("a copy");
    // As a restore from a backup does it.
    std::fs::rename(copy, scene.path()).expect("in its place");
    let finding = found(&mut watch, FindingKind::SplitWal, Some(writer.pid()));
    assert!(finding.message.contains("notes.db"), "{}", finding.message);
    assert_eq!(writer.try_sql("SELECT 1"), "ok");
}

#[test]
fn a_process_that_lost_its_locks() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    python.lose_locks();
    let finding = found(&mut watch, FindingKind::LostLocks, Some(python.pid()));
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.remedy.command, Some(format!("kill -TERM {}", python.pid())));
}

#[test]
fn locks_lost_beside_one_that_has_his() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let mut sound = scene.actor();
    sound.sql("SELECT * FROM t");
    python.sql("SELECT * FROM t");
    python.lose_locks();
    found(&mut scene.patient(), FindingKind::LostLocks, Some(python.pid()));
}

#[test]
fn a_forked_child_has_not_lost_what_it_never_had() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    // The child does nothing but wait for its parent's end.
    python.run("import os, signal; read, write = os.pipe()");
    python.run("child = os.fork() or (os.close(write), os.read(read, 1), os._exit(0))");
    let child: i32 = python.run("print(child)")[0].parse().expect("a PID");
    let mut watch = scene.patient();
    eventually("the child is seen", || look(&mut watch).process(child).map(|_| ()));
    assert_healthy(&mut watch);
    python.run("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)");
}
