//! A process that waits for itself, beside one whose threads sleep for their own reasons.

use super::*;

/// A Python process with a connection that is not the one of its main thread, for as long as `code` takes.
fn in_threads(python: &mut Python, count: usize, code: &str) {
    python.run("import sqlite3, threading, time");
    python.run("connect = lambda: sqlite3.connect(path, timeout=600, isolation_level=None)");
    python.run(&format!("work = lambda: {code}"));
    python.run(&format!(
        "threads = [threading.Thread(target=work, daemon=True) for _ in range({count})]; [it.start() for it in threads]"
    ));
}

#[test]
fn threads_that_wait_for_a_lock_of_their_own_process() {
    let scene = Scene::new("wal");
    let Some(mut pool) = Python::open(&scene.path()) else { return };
    pool.sql("BEGIN IMMEDIATE");
    in_threads(&mut pool, 3, "connect().execute('BEGIN IMMEDIATE').execute('ROLLBACK')");
    let mut watch = scene.sampled_without("journal_mode", LONG);
    let finding = found(&mut watch, FindingKind::ContendedPool, Some(pool.pid()));
    assert_eq!(finding.severity, Severity::Info);
    let finding = eventually("all of them wait", || {
        let finding = found(&mut watch, FindingKind::ContendedPool, Some(pool.pid()));
        (finding.evidence["threads"] == 3).then_some(finding)
    });
    assert!(finding.evidence["connections"].as_u64() >= Some(2), "{finding:?}");
    pool.sql("COMMIT").run("[it.join() for it in threads]");
}

#[test]
fn threads_that_sleep_while_their_process_holds_the_lock_wait_for_nothing() {
    let scene = Scene::new("wal");
    let Some(mut healthy) = Python::open(&scene.path()) else { return };
    in_threads(&mut healthy, 3, "(connect().execute('SELECT 1').fetchall(), time.sleep(600))");
    healthy.run("import select; poll = lambda: [select.select([], [], [], 0.1) for _ in range(6000)]");
    healthy.run("threading.Thread(target=poll, daemon=True).start()");
    healthy.sql("BEGIN IMMEDIATE");
    let mut watch = scene.sampled_without("journal_mode", LONG);
    let pid = healthy.pid();
    eventually("its hold was sampled often enough", || {
        let database = look(&mut watch);
        assert!(!has(&database, FindingKind::ContendedPool), "{:?}", database.findings);
        let activity = database.process(pid)?.activity.as_ref()?;
        (activity.samples >= 20).then_some(())
    });
}
