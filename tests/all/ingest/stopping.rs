//! Runs that are asked to end.

use super::*;

#[test]
fn a_run_that_waits_for_the_lock_can_be_stopped() {
    let scene = Scene::with(2);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let stop = StopFlag::default();
    let summary = thread::scope(|scope| {
        let run = scope.spawn(|| ingest::run(&scene.request(), &stop, &mut SilentProgress));
        eventually("the run is about to write", || scene.is_discovered(2).then_some(()));
        stop.raise();
        run.join().expect("no panic").expect("a stop is no error")
    });
    assert_eq!((summary.outcome, summary.exit_code(), summary.ingested), (RunOutcome::Stopped, 130, 0));
}

/// Raises its flag at the first batch.
struct StopAtFirst(StopFlag);

impl RunProgress for StopAtFirst {
    fn discovered(&mut self, _files: u64, _unchanged: u64) {}
    fn batch(&mut self, _batch: &CommittedBatch) {
        self.0.raise();
    }
    fn failed(&mut self, _file: &FailedFile) {}
    fn warned(&mut self, _file: &FailedFile) {}
    fn finished(&mut self, _summary: &RunSummary) {}
}

#[test]
fn a_stopped_run_ends_after_its_batch_and_the_next_carries_on() {
    let scene = Scene::with(10);
    let request = IngestRequest { batch: batch(3), ..scene.request() };
    let stop = StopFlag::default();
    let summary = ingest::run(&request, &stop, &mut StopAtFirst(stop.clone())).expect("a stop is no error");
    assert_eq!((summary.outcome, summary.exit_code(), summary.ingested), (RunOutcome::Stopped, 130, 3));
    assert_eq!(scene.rows().nodes.len(), 3);
    let summary = scene.run();
    assert_eq!((summary.ingested, summary.unchanged, summary.outcome), (7, 3, RunOutcome::Completed));
}

#[test]
fn a_run_that_is_stopped_while_it_walks_leaves_nothing_behind() {
    let scene = Scene::with(3);
    let before = scene.entries();
    let stop = StopFlag::default();
    stop.raise();
    let summary = ingest::run(&scene.request(), &stop, &mut SilentProgress).expect("a stop is no error");
    assert_eq!((summary.outcome, summary.exit_code(), summary.run), (RunOutcome::Stopped, 130, None));
    assert_eq!(scene.entries(), before);
}

#[test]
fn sigterm_ends_a_run_after_its_batch() {
    let scene = Scene::with(200);
    // With a neighbour there are gaps, so that the run cannot be over before the signal comes.
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    let child = scene.child(&["--batch", "1", "--json"]);
    eventually("two batches", || (scene.batches() >= 2).then_some(()));
    terminate(&child);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let summary: RunSummary = serde_json::from_slice(&output.stdout).expect("a summary");
    assert_eq!((summary.outcome, summary.ingested), (RunOutcome::Stopped, scene.batches() as u64));
    assert_eq!(scene.end(), (RunOutcome::Stopped, None), "what somebody asked for is no error");
}
