//! Other processes that want the same lock.

use waltop::snapshot::{BatchDecision, LockSharing};

use super::*;

#[test]
fn beside_others_the_lock_is_left_alone_between_two_batches() {
    let scene = Scene::with(6);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)").sql("SELECT * FROM theirs");
    go(&IngestRequest { batch: batch(1), ..scene.request() }).expect("it is ingested");
    other.close();
    let journal = scene.journal();
    let ends: Vec<_> = journal
        .iter()
        .filter(|line| matches!(line.event, JournalEvent::Batch { .. }))
        .map(|it| it.at)
        .collect();
    assert_eq!(ends.len(), 6);
    for pair in ends.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart.as_millis() >= 20, "{apart:?}");
    }
    let decided = decisions(&scene);
    assert!(decided.iter().all(|it| it.sharing == LockSharing::OpenElsewhere && it.gap_ms >= 20.0));
    assert_eq!((decided[0].most_files, decided[0].most_ms), (1, None));
}

#[test]
fn alone_there_are_no_gaps_and_the_journal_says_so() {
    let scene = Scene::with(6);
    go(&IngestRequest { hold: Duration::from_millis(10), ..scene.request() }).expect("it is ingested");
    for decided in decisions(&scene) {
        assert_eq!((decided.sharing, decided.gap_ms.to_bits()), (LockSharing::Alone, 0), "{decided:?}");
        assert!(decided.most_ms.is_some_and(|ms| ms < 10.0), "{decided:?}");
    }
}

fn decisions(scene: &Scene) -> Vec<BatchDecision> {
    let of = |line: &JournalLine| match line.event {
        JournalEvent::Batch { decided, .. } => Some(decided.expect("it is told")),
        _ => None,
    };
    scene.journal().iter().filter_map(of).collect()
}

#[test]
fn a_run_that_is_refused_the_lock_goes_on_when_it_is_free() {
    let scene = Scene::with(1);
    scene.run();
    let mut other = Actor::open(&scene.db());
    let mut runs = 1;
    // Whether the run comes before the lock is given back is not ours to say, so it is tried until it does.
    eventually("a run that was refused and went on", || {
        scene.write("new.md", &format!("number {runs}"));
        other.sql("BEGIN IMMEDIATE");
        let summary = thread::scope(|scope| {
            let run = scope.spawn(|| scene.run());
            runs += 1;
            eventually("the run is about to write", || scene.is_discovered(runs).then_some(()));
            thread::sleep(Duration::from_millis(10));
            other.sql("COMMIT");
            run.join().expect("it is ingested")
        });
        assert_eq!((summary.ingested, summary.exit_code()), (1, 0));
        (summary.retries > 0).then_some(())
    });
}

#[test]
fn a_lock_that_is_held_for_too_long_ends_the_run_with_what_is_in_kept() {
    let scene = Scene::with(2);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let request = IngestRequest { busy_budget: Duration::from_millis(100), ..scene.request() };
    let error = go(&request).expect_err("the lock is held").to_string();
    let by = format!("stayed locked for 0.1 s by {} (waltop); wait for it", other.pid());
    assert!(error.contains(&by), "{error}");
    assert_eq!(scene.end(), (RunOutcome::Failed, Some(error)));
    other.sql("ROLLBACK").sql("SELECT * FROM nodes");
    other.close();
    assert_eq!(scene.rows().nodes.len(), 2);
    assert_eq!(scene.run().ingested, 1);
}

#[test]
fn a_second_run_is_refused_with_the_process_of_the_first() {
    let scene = Scene::with(5);
    scene.run();
    scene.write("new.md", "new");
    let mut other = Actor::open(&scene.db());
    other.sql("BEGIN IMMEDIATE");
    let first = scene.child(&[]);
    let first_pid = i32::try_from(first.id()).expect("a PID fits");
    eventually("the first run is about to write", || scene.is_discovered(2).then_some(()));
    let refused = go(&scene.request()).expect_err("the first is at work");
    assert!(
        matches!(&refused, IngestError::Running { pid: Some(pid), .. } if *pid == first_pid),
        "{refused}"
    );
    let elsewhere = TempDir::new().expect("a folder");
    fs::write(elsewhere.path().join("x.md"), "other folder").expect("a file");
    other.sql("ROLLBACK");
    let output = first.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    go(&IngestRequest { folders: vec![elsewhere.path().to_owned()], root: None, ..scene.request() })
        .expect("it is free");
    assert_eq!(scene.run().unchanged, 6);
}

#[test]
fn a_run_and_a_busy_neighbour_both_get_their_work_done() {
    let scene = Scene::with(556);
    let mut other = Actor::open(&scene.db());
    other.sql("PRAGMA busy_timeout = 5000").sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)");
    let done = AtomicBool::new(false);
    let (summary, theirs) = thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut rows = 0;
            while !done.load(Ordering::Relaxed) {
                other.sql("INSERT INTO theirs VALUES (1)");
                rows += 1;
            }
            rows
        });
        let summary = scene.run();
        done.store(true, Ordering::Relaxed);
        (summary, neighbour.join().expect("it was never refused"))
    });
    assert_eq!((summary.ingested, summary.exit_code()), (556, 0));
    assert!(theirs > 0);
    assert_eq!(scene.rows().nodes.len(), 556);
}

#[test]
fn a_run_that_another_keeps_out_leaves_the_database_as_it_is() {
    let scene = Scene::with(1);
    let mut other = Actor::open(&scene.db());
    other.sql("CREATE TABLE theirs (x)");
    let before = fs::read(scene.db()).expect("the database");
    other.sql("BEGIN IMMEDIATE");
    let mut first = scene.child(&[]);
    eventually("the first run waits, and its journal tells that it does", || scene.journal().pop());
    let refused = go(&scene.request()).expect_err("the first is at work");
    assert!(matches!(refused, IngestError::Running { .. }), "{refused}");
    assert_eq!(fs::read(scene.db()).expect("the database"), before);
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
}

/// Writes a row into `theirs` every 20 ms, with Python's `sqlite3` and a timeout of 5 s, until it is told to stop.
const BYSTANDER: &str = r"
import threading, time
stop, seen = threading.Event(), {'rows': 0, 'refused': 0}
def write():
    own = sqlite3.connect(path, timeout=5, isolation_level=None)
    while not stop.is_set():
        try:
            own.execute('INSERT INTO theirs VALUES (1)')
            seen['rows'] += 1
        except sqlite3.OperationalError:
            seen['refused'] += 1
        time.sleep(0.02)
    own.close()
thread = threading.Thread(target=write)
thread.start()
";

#[test]
fn two_runs_and_two_bystanders_all_get_their_work_done_and_none_is_refused() {
    let one = Scene::with(300);
    let other = Scene { db: one.db(), root: "others", ..Scene::with(300) };
    let mut maker = Actor::open(&one.db());
    maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE theirs (x)");
    let bystanders: Option<Vec<Python>> = (0..2).map(|_| Python::open(&one.db())).collect();
    let Some(mut bystanders) = bystanders else { return };
    for bystander in &mut bystanders {
        bystander.run("import sqlite3");
        bystander.run(&format!("exec({BYSTANDER:?}, globals())"));
    }
    maker.close();
    let children = [&one, &other].map(|scene| scene.child(&["--json"]));
    let mut ingested = Vec::new();
    for child in children {
        let said = Said::of(child.wait_with_output().expect("it ends"));
        assert_eq!(said.code, Some(0), "{said:?}");
        let summary: RunSummary = serde_json::from_str(&said.out).expect("a summary");
        ingested.push(summary.ingested);
    }
    assert_eq!(ingested, [300, 300]);
    for bystander in &mut bystanders {
        bystander.run("stop.set(); thread.join()");
        assert_eq!(bystander.run("print(seen['refused'])"), ["0"]);
        assert_ne!(bystander.run("print(seen['rows'])"), ["0"]);
    }
    assert_eq!(one.rows().nodes.len(), 600);
}

#[test]
fn the_budget_can_be_set_and_who_had_the_lock_is_named() {
    let scene = Scene::with(2);
    scene.run();
    scene.write("new.md", "new");
    let Some(mut other) = Python::open(&scene.db()) else { return };
    other.sql("BEGIN IMMEDIATE");
    let said = scene.said(&["--budget", "300ms"]);
    let line = said.refusal();
    let by = format!("notes.db stayed locked for 0.3 s by {} (python3", other.pid());
    assert!(line.contains(&by) && line.contains("run this again to resume"), "{line}");
    other.sql("ROLLBACK");
    assert_eq!(scene.run().ingested, 1);
    let said = scene.said(&["--budget", "soon"]);
    assert!(said.refusal().contains("give a duration as in 500ms, 2s or 1m"), "{said:?}");
}
