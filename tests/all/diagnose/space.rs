//! A log that is too large, for itself or for its disk.

use std::process::Command;

use super::{place::Mounted, *};
use crate::support::WALTOP;

/// A few pages.
const BLOB: usize = 10_000;

#[test]
fn a_log_that_is_large() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut writer, 5, BLOB);
    writer.sql("PRAGMA wal_checkpoint(PASSIVE)");
    // The healthy twin is the same log under a limit that it keeps.
    assert_healthy(&mut scene.patient());
    let mut watch = scene.watch_with(|config| config.thresholds.large_wal = 50_000);
    let finding = found(&mut watch, FindingKind::LargeWal, None);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["pending_frames"], 0);
    let path = scene.path();
    assert_eq!(finding.remedy.command, Some(format!("waltop checkpoint {} --mode truncate", path.display())));
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_healthy(&mut watch);
}

#[test]
fn a_log_that_is_large_loses_that_by_its_remedy() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut writer, 5, BLOB);
    let mut reader = scene.actor();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    let path = scene.path();
    let mut watch = scene.watch_with(|config| {
        config.thresholds.large_wal = 50_000;
        config.thresholds.pinned_wal = (Duration::from_millis(1), LONG);
    });
    let checkpoint = |options: &[&str]| {
        let run = Command::new(WALTOP).arg("checkpoint").arg(&path).args(options).output();
        run.expect("it runs").status.code()
    };
    // Whoever reads the newest frame keeps nothing from being moved, and the log from being cut.
    assert_eq!(checkpoint(&[]), Some(0));
    let stop = Some(format!("kill -TERM {}", reader.pid()));
    let finding = eventually("the reader has been there for long", || {
        let finding = found(&mut watch, FindingKind::LargeWal, None);
        (finding.remedy.command == stop).then_some(finding)
    });
    assert_eq!(finding.evidence["pending_frames"], 0);
    assert_eq!(checkpoint(&["--mode", "truncate"]), Some(1), "it is futile");
    reader.close();
    let truncate = Some(format!("waltop checkpoint {} --mode truncate", path.display()));
    assert_eq!(found(&mut watch, FindingKind::LargeWal, None).remedy.command, truncate);
    // PASSIVE leaves the log as large as it is.
    assert_eq!(checkpoint(&[]), Some(0));
    assert_eq!(found(&mut watch, FindingKind::LargeWal, None).remedy.command, truncate);
    assert_eq!(checkpoint(&["--mode", "truncate"]), Some(0));
    assert_healthy(&mut watch);
}

/// A watch for a large log, beside a reader that may stay for long.
fn large_log_watch(scene: &Scene) -> Monitor {
    scene.watch_with(|config| config.thresholds.large_wal = 50_000)
}

#[test]
fn a_checkpoint_is_not_proposed_beside_a_reader_that_keeps_all_frames() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    fill(&mut writer, 5, BLOB);
    let mut watch = large_log_watch(&scene);
    let finding = eventually("the reader stays", || {
        let finding = found(&mut watch, FindingKind::LargeWal, None);
        (finding.evidence["reader_in_the_way"] == reader.pid()).then_some(finding)
    });
    // It is too young to be ended.
    assert_eq!((finding.remedy.action, finding.remedy.command), (None, None));
    assert!(finding.message.contains(&reader.pid().to_string()), "{}", finding.message);
    // The healthy twin reads as long, and has seen the newest frame, so that all can be moved.
    reader.sql("COMMIT").sql("BEGIN").sql("SELECT * FROM t");
    let mut watch = large_log_watch(&scene);
    let finding = eventually("the reader stays", || {
        let database = look(&mut watch);
        database.locks.readers.first()?.held_ms.filter(|held_ms| *held_ms > 1_500.0)?;
        Some(found_in(&database, FindingKind::LargeWal, None))
    });
    assert_eq!(finding.remedy.command, Some(format!("waltop checkpoint {}", scene.path().display())));
}

#[test]
fn a_checkpoint_is_not_proposed_beside_one_that_runs() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    fill(&mut writer, 5, BLOB);
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.run("db.execute('SELECT * FROM t').fetchall()");
    let mut watch = scene.watch_with(|config| {
        config.thresholds.large_wal = 50_000;
        config.profile.pragmas.retain(|pragma| pragma.name != "wal_autocheckpoint");
    });
    let finding = found(&mut watch, FindingKind::LargeWal, None);
    assert!(finding.remedy.action.is_some(), "nothing is in the way: {finding:?}");
    // What a checkpoint locks, on a disk that does not answer.
    python.run("import fcntl; shm = open(path + '-shm', 'r+b', buffering=0)");
    python.run("fcntl.lockf(shm, fcntl.LOCK_EX, 1, 121)");
    let finding = eventually("it is named", || {
        let finding = found(&mut watch, FindingKind::LargeWal, None);
        finding.message.contains(&python.pid().to_string()).then_some(finding)
    });
    assert_eq!((finding.remedy.action, finding.remedy.command), (None, None));
}

#[test]
fn a_log_that_is_deep_and_larger_than_the_database() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    // The limit of this profile is two frames, so eight may wait.
    writer.sql("INSERT INTO t VALUES (2)").sql("INSERT INTO t VALUES (3)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    fill(&mut writer, 5, BLOB);
    let finding = found(&mut watch, FindingKind::LargeWal, None);
    assert!(finding.evidence["pending_frames"].as_u64() > Some(8), "{finding:?}");
    assert!(finding.evidence["wal_bytes"].as_u64() > finding.evidence["database_bytes"].as_u64());
    let finding = eventually("its growth is known", || {
        fill(&mut writer, 1, BLOB);
        let finding = found(&mut watch, FindingKind::LargeWal, None);
        finding.evidence["growth_bytes_per_second"].as_f64().filter(|it| *it > 0.0).map(|_| finding)
    });
    assert!(finding.evidence["disk_full_in_ms"].as_f64().is_some_and(|it| it > 0.0), "{finding:?}");
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_healthy(&mut watch);
}

#[test]
fn a_disk_without_room_for_the_log() {
    let Some(mounted) = Mounted::new("a small disk", "mkdir disk; mount -t tmpfs -o size=1m none disk")
    else {
        return;
    };
    let mut writer = mounted.make("disk/notes.db");
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    assert!(serious(&mounted.look("disk/notes.db")).is_empty(), "there is room for a small log");
    fill(&mut writer, 45, BLOB);
    let database = mounted.look("disk/notes.db");
    let finding = found_in(&database, FindingKind::DiskLow, None);
    assert_eq!(finding.severity, Severity::Error);
    let (free, log) = (finding.evidence["free_bytes"].as_u64(), finding.evidence["wal_bytes"].as_u64());
    assert!(free < log && log > Some(500_000), "{free:?} {log:?}");
    assert_eq!(finding.evidence["mounted_at"], mounted.at("disk").display().to_string());
}

#[test]
fn a_checkpoint_is_not_proposed_where_the_main_file_has_no_room_to_grow() {
    let Some(mounted) = Mounted::new("a small disk", "mkdir disk; mount -t tmpfs -o size=1m none disk")
    else {
        return;
    };
    let mut writer = mounted.make("disk/notes.db");
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    // The healthy twin writes one row again and again, which takes no room in the main file.
    for _ in 0..45 {
        writer.sql("UPDATE t SET x = randomblob(10000)");
    }
    let finding = found_in(&mounted.look("disk/notes.db"), FindingKind::DiskLow, None);
    assert!(finding.remedy.command.is_some_and(|it| it.starts_with("waltop checkpoint")));
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    fill(&mut writer, 50, BLOB);
    let finding = found_in(&mounted.look("disk/notes.db"), FindingKind::DiskLow, None);
    assert!(finding.evidence["missing_bytes"].as_u64() > Some(0), "{finding:?}");
    assert_eq!((finding.remedy.action, finding.remedy.command), (None, None));
    let refused = writer.try_sql("PRAGMA wal_checkpoint(PASSIVE)");
    assert!(refused.contains("full"), "{refused}");
}
