//! Read-only clients and rollback journals.

use std::{os::unix::fs::PermissionsExt, process::Command};

use super::*;
use crate::namespace::may_change_namespaces;

#[test]
fn a_read_only_client() {
    let scene = Scene::new("wal");
    let mut owner = scene.actor();
    owner.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    assert!(!has(&look(&mut watch), FindingKind::ReadonlyTrap));
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    let finding = found(&mut watch, FindingKind::ReadonlyTrap, Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Info, "its -shm is open to write");
    reader.close();
    assert!(!has(&look(&mut watch), FindingKind::ReadonlyTrap));
}

#[test]
fn a_read_only_client_of_a_rollback_database_is_no_trap() {
    let scene = Scene::new("delete");
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    assert!(!has(&look(&mut scene.patient()), FindingKind::ReadonlyTrap));
}

#[test]
fn a_process_that_keeps_the_whole_file_locked() {
    for mode in ["wal", "delete"] {
        let scene = Scene::new(mode);
        let mut owner = scene.actor();
        // The healthy twin of the same set-up writes as much.
        owner.sql("INSERT INTO t VALUES (2)");
        let mut watch = scene.sampled_without("journal_mode", LONG);
        assert!(!has(&look(&mut watch), FindingKind::ExclusiveMode));
        owner.close();
        let mut owner = scene.actor();
        owner.sql("PRAGMA locking_mode = EXCLUSIVE").sql("INSERT INTO t VALUES (3)");
        let finding = found(&mut watch, FindingKind::ExclusiveMode, Some(owner.pid()));
        assert_eq!(finding.remedy.action, None, "a signal could cost what it has not written yet");
        let database = look(&mut watch);
        assert!(!has(&database, FindingKind::LongWriteLock), "{mode}: {:?}", database.findings);
        owner.close();
        assert!(!has(&look(&mut watch), FindingKind::ExclusiveMode));
    }
}

#[test]
fn a_rollback_journal_that_is_shared() {
    let scene = Scene::new("delete");
    let mut one = scene.actor();
    one.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert!(!has(&look(&mut watch), FindingKind::RollbackJournal));
    let two = scene.actor();
    let finding = found(&mut watch, FindingKind::RollbackJournal, None);
    let mut pids = [one.pid(), two.pid()];
    pids.sort_unstable();
    assert_eq!(finding.evidence["processes"], serde_json::json!(pids));
    assert_eq!(finding.remedy.command, Some(format!("waltop fix {}", scene.path().display())));
    two.close();
    assert!(!has(&look(&mut watch), FindingKind::RollbackJournal));
}

#[test]
fn a_read_only_client_whose_user_may_not_write_the_index() {
    if !may_change_namespaces() {
        return;
    }
    let scene = Scene::new("wal");
    let mut owner = scene.actor();
    owner.sql("INSERT INTO t VALUES (2)");
    fs::set_permissions(scene.folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    // The first python3 in the path may be where another user cannot go.
    let as_another =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "PATH=/usr/bin:/bin"];
    let can =
        Command::new(as_another[0]).args(&as_another[1..]).args(["python3", "-c", "import sqlite3"]).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("not tested: another user has no python3 with sqlite3 here");
        return;
    }
    let Some(mut reader) = Python::open_through(&as_another, &scene.path()) else { return };
    reader.sql("SELECT * FROM t");
    let finding = found(&mut watch, FindingKind::ReadonlyTrap, Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["index_read_only"], true);
    drop(reader);
    assert_healthy(&mut watch);
}
