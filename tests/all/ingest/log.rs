//! A log that readers keep from beginning anew.

use super::*;

/// A scene with documents, and a log of some 50 MB that a reader keeps as it is.
fn pinned() -> (Scene, Actor) {
    let scene = Scene::with(60);
    let mut writer = Actor::open(&scene.db());
    writer
        .sql("PRAGMA journal_mode = wal")
        .sql("PRAGMA wal_autocheckpoint = 0")
        .sql("CREATE TABLE theirs (x)");
    let mut reader = Actor::open(&scene.db());
    reader.sql("BEGIN").sql("SELECT * FROM theirs");
    writer.sql("INSERT INTO theirs VALUES (randomblob(49500000))");
    writer.kill();
    (scene, reader)
}

fn log_bytes(scene: &Scene) -> u64 {
    fs::metadata(scene.dir.path().join("notes.db-wal")).map_or(0, |it| it.len())
}

fn is_pinned(scene: &Scene, by: i32) -> bool {
    scene
        .journal()
        .iter()
        .any(|line| matches!(line.event, JournalEvent::LogPinned { pid, .. } if pid == Some(by)))
}

#[test]
fn a_reader_is_waited_for_and_the_log_stays_within_its_bound() {
    let (scene, mut reader) = pinned();
    let mut child = scene.child(&["--batch", "1"]);
    eventually("the run says that it waits", || is_pinned(&scene, reader.pid()).then_some(()));
    assert!(child.try_wait().expect("it is ours").is_none());
    assert!(log_bytes(&scene) < 64 << 20, "{}", log_bytes(&scene));
    reader.sql("COMMIT");
    let said = Said::of(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, Some(0), "{said:?}");
    let line = format!("waiting: {} (waltop) reads from the log, which has grown to ", reader.pid());
    assert_eq!(said.err.matches(&line).count(), 1, "{said:?}");
    assert!(log_bytes(&scene) < 64 << 20, "{}", log_bytes(&scene));
    reader.close();
    assert_eq!(scene.rows().nodes.len(), 60);
}

#[test]
fn a_reader_that_stays_ends_the_run_by_name_and_what_is_in_is_kept() {
    let (scene, reader) = pinned();
    let said = scene.said(&["--batch", "1", "--budget", "200ms"]);
    let line = said.refusal();
    assert!(line.starts_with(&format!("{} (waltop) reads from the log", reader.pid())), "{line}");
    assert!(
        line.contains("for 0.2 s; end the reader of ") && line.ends_with("run this again to resume"),
        "{line}"
    );
    assert_eq!(scene.end().0, RunOutcome::Failed);
    let ingested = scene.batches() as u64;
    reader.close();
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged), (60 - ingested, ingested));
    assert_eq!(scene.rows().nodes.len(), 60);
}

#[test]
fn a_run_that_waits_for_a_reader_can_be_stopped() {
    let (scene, reader) = pinned();
    let child = scene.child(&["--batch", "1"]);
    eventually("the run says that it waits", || is_pinned(&scene, reader.pid()).then_some(()));
    terminate(&child);
    assert_eq!(Said::of(child.wait_with_output().expect("it ends")).code, Some(130));
    assert_eq!(scene.end(), (RunOutcome::Stopped, None));
}
