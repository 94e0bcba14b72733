//! Locks on files beside the database.

use waltop::snapshot::{FileLockKind, LockBeside};

use super::*;

fn locks(watch: &mut Monitor) -> Vec<LockBeside> {
    look(watch).locks_beside
}

/// A process with a lock on `file` in the folder of the scene, taken by `call`.
fn locker(scene: &Scene, file: &str, call: &str) -> Option<Python> {
    let mut python = Python::open(&scene.path())?;
    python.run("import fcntl, os, threading");
    python.run(&format!("lock = open(os.path.join(os.path.dirname(path), {file:?}), 'w')"));
    python.run(call);
    Some(python)
}

#[test]
fn a_process_that_waits_for_a_lock_of_the_program() {
    let scene = Scene::new("wal");
    let mut user = scene.actor();
    user.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert!(locks(&mut watch).is_empty());
    let Some(holder) = locker(&scene, ".program.lock", "fcntl.lockf(lock, fcntl.LOCK_EX)") else { return };
    let lock = eventually("the changed folder is read again", || locks(&mut watch).pop());
    assert_eq!(
        (lock.file.as_str(), lock.kind, lock.is_exclusive),
        (".program.lock", FileLockKind::Posix, true)
    );
    assert_eq!(lock.holder.as_ref().map(|it| it.pid), Some(holder.pid()));
    assert!(lock.waiters.is_empty() && !has(&look(&mut watch), FindingKind::LockBeside), "the healthy twin");
    let wait = "threading.Thread(target=lambda: fcntl.lockf(lock, fcntl.LOCK_EX), daemon=True).start()";
    let Some(waiter) = locker(&scene, ".program.lock", wait) else { return };
    let finding = found(&mut watch, FindingKind::LockBeside, Some(holder.pid()));
    assert_eq!(finding.severity, Severity::Info);
    assert_eq!(finding.evidence["waiting"], serde_json::json!([waiter.pid()]));
    assert_eq!(finding.remedy.action, None);
    drop(waiter);
    eventually("nobody waits any more", || (!has(&look(&mut watch), FindingKind::LockBeside)).then_some(()));
    assert_healthy(&mut watch);
}

#[test]
fn locks_of_other_kinds_are_facts_and_those_of_sqlite_are_none() {
    let scene = Scene::new("wal");
    let mut user = scene.actor();
    user.sql("SELECT * FROM t");
    // Another database in the same folder.
    let mut neighbour = Actor::open(&scene.folder.path().join("other.db"));
    neighbour.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("BEGIN IMMEDIATE");
    let mut watch = scene.patient();
    assert!(locks(&mut watch).is_empty(), "{:?}", look(&mut watch).locks_beside);
    let Some(holder) = locker(&scene, "big-lock", "fcntl.flock(lock, fcntl.LOCK_SH)") else { return };
    let found = eventually("the changed folder is read again", || locks(&mut watch).pop());
    assert_eq!(
        (found.file.as_str(), found.kind, found.is_exclusive),
        ("big-lock", FileLockKind::Flock, false)
    );
    assert_eq!(found.holder.map(|it| it.pid), Some(holder.pid()));
    assert_healthy(&mut watch);
}
