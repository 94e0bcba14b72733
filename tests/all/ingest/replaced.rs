//! A database that is replaced or removed while it is written to.

use waltop::{database::factory::OpenError, ingest::StoreError};

use super::*;

/// Does something once the first batch is in.
struct AfterFirst<F: FnMut()>(Option<F>);

impl<F: FnMut()> RunProgress for AfterFirst<F> {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &CommittedBatch) {
        if let Some(mut act) = self.0.take() {
            act();
        }
    }
    fn failed(&mut self, _file: &FailedFile) {}
    fn warned(&mut self, _file: &FailedFile) {}
    fn finished(&mut self, _summary: &RunSummary) {}
}

/// A copy made by another process: closing what this one opens would drop the locks of its connection.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().expect("cp runs").success());
}

/// Runs into a database to which `act` happens after the first batch; the error of the run.
fn interfered(scene: &Scene, act: impl FnMut()) -> String {
    let request = IngestRequest { batch: batch(1), ..scene.request() };
    let error =
        ingest::run(&request, &StopFlag::default(), &mut AfterFirst(Some(act))).expect_err("it is seen");
    assert!(matches!(error, IngestError::Store(StoreError::Replaced { .. })), "{error}");
    let error = error.to_string();
    assert_eq!(scene.end(), (RunOutcome::Failed, Some(error.clone())));
    assert_eq!(scene.batches(), 1, "nothing after it");
    error
}

#[test]
fn another_file_in_its_place_is_left_alone_and_the_old_one_too() {
    let scene = Scene::with(5);
    let at = |name: &str| scene.dir.path().join(name);
    let mut maker = Actor::open(&at("new.db"));
    maker.sql("CREATE TABLE theirs (x)").sql("INSERT INTO theirs VALUES (7)");
    maker.close();
    let new = fs::read(at("new.db")).expect("a database");
    interfered(&scene, || {
        fs::hard_link(scene.db(), at("old.db")).expect("a second name");
        fs::rename(at("new.db"), scene.db()).expect("in its place");
        for (from, to) in [("old.db", "old.copy"), ("notes.db-wal", "wal.copy")] {
            copy(&at(from), &at(to));
        }
    });
    let same = |a: &str, b: &str| fs::read(at(a)).expect("a file") == fs::read(at(b)).expect("a file");
    assert!(new == fs::read(scene.db()).expect("a database"), "the new one was written");
    assert!(same("old.db", "old.copy") && same("notes.db-wal", "wal.copy"), "the old one was written");
    // With its log beside it, under its own name, the old one has what was committed.
    fs::rename(at("notes.db-wal"), at("old.db-wal")).expect("the log");
    fs::remove_file(at("notes.db-shm")).expect("the index");
    assert_eq!(Rows::of(&at("old.db")).nodes.len(), 1);
    assert_eq!(scene.run().ingested, 5);
    let theirs = Connection::open(scene.db()).expect("the database");
    let kept: i64 = theirs.query_row("SELECT x FROM theirs", [], |row| row.get(0)).expect("their row");
    assert_eq!(kept, 7);
}

#[test]
fn one_that_was_removed_is_not_created_again() {
    let scene = Scene::with(5);
    interfered(&scene, || fs::remove_file(scene.db()).expect("it was there"));
    assert!(!scene.db().exists());
    let error = go(&scene.request()).expect_err("its log lies there");
    assert!(matches!(error, IngestError::Store(StoreError::Open(OpenError::Stray { .. }))), "{error}");
    for sidecar in ["notes.db-wal", "notes.db-shm"] {
        fs::remove_file(scene.dir.path().join(sidecar)).expect("it was left");
    }
    assert_eq!(scene.run().ingested, 5);
}

#[test]
fn one_whose_log_was_removed_gets_nothing_that_would_be_lost() {
    let scene = Scene::with(5);
    interfered(&scene, || {
        fs::remove_file(scene.dir.path().join("notes.db-wal")).expect("it was there");
    });
    fs::remove_file(scene.dir.path().join("notes.db-shm")).expect("it was left");
    scene.run();
    assert_eq!(scene.rows().nodes.len(), 5);
}
