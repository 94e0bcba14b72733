//! How often and how much processes commit.

use super::*;

/// Python code that runs in a thread until `stop` is set: it executes `sql` on a connection of its own.
fn repeat(python: &mut Python, sql: &str, then: &str) {
    python.run("import sqlite3, threading, time; stop = threading.Event()");
    python.run(&format!("step = lambda db: (db.executescript({sql:?}), {then})"));
    python.run(
        "work = lambda db: [step(db) for _ in iter(stop.is_set, True)]; \
         thread = threading.Thread(target=lambda: work(sqlite3.connect(path, timeout=60, isolation_level=None)), \
         daemon=True); thread.start()",
    );
}

fn scene_with_rows() -> Scene {
    let scene = Scene::new("wal");
    let mut maker = scene.actor();
    maker.sql("CREATE TABLE goals(id INTEGER PRIMARY KEY, v)").sql("INSERT INTO goals VALUES (1, 0)");
    maker.close();
    scene
}

#[test]
fn the_same_page_by_a_commit_of_its_own_each_time() {
    let scene = scene_with_rows();
    let Some(mut app) = Python::open(&scene.path()) else { return };
    repeat(&mut app, "PRAGMA wal_autocheckpoint = 10; UPDATE goals SET v = v + 1 WHERE id = 1", "None");
    // What it takes on a slow disk is not the point here.
    let mut config = scene.config(LONG, LONG);
    config.thresholds.commit_storm = 20;
    // With the limit of the program its log is not too large.
    config.profile.pragmas.retain(|it| !["journal_mode", "wal_autocheckpoint"].contains(&it.name.as_str()));
    let mut watch = scene.sampling(config);
    let finding = found(&mut watch, FindingKind::CommitStorm, Some(app.pid()));
    assert_eq!(finding.severity, Severity::Info);
    assert!(finding.evidence["pages_per_commit"].as_f64().is_some_and(|it| it <= 2.0), "{finding:?}");
    assert!(finding.evidence["pages"].as_u64() < finding.evidence["frames"].as_u64(), "{finding:?}");
    let rate = look(&mut watch).commits.expect("counted");
    let newest = rate.newest_frames.expect("read");
    assert!(newest.frames >= newest.commits && newest.pages == 1, "{newest:?}");
    app.run("stop.set(); thread.join()");
}

#[test]
fn an_import_in_large_transactions_is_no_storm() {
    let scene = scene_with_rows();
    let Some(mut import) = Python::open(&scene.path()) else { return };
    let sql = "BEGIN; INSERT INTO goals SELECT NULL, randomblob(1500) FROM \
               (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40) SELECT x FROM n); COMMIT";
    repeat(&mut import, sql, "None");
    let mut config = scene.config(LONG, LONG);
    config.thresholds.commit_storm = 1;
    config.profile.pragmas.retain(|it| it.name != "journal_mode");
    let mut watch = scene.sampling(config);
    let rate = eventually("its commits were counted", || {
        let database = look(&mut watch);
        assert!(!has(&database, FindingKind::CommitStorm), "{:?}", database.findings);
        database.commits.filter(|rate| rate.commits > 0)
    });
    if let Some(newest) = rate.newest_frames {
        assert!(newest.pages_per_commit() > 10.0, "{newest:?}");
    }
    let pid = import.pid();
    eventually("what it writes is known", || look(&mut watch).process(pid)?.write_rate);
    import.run("stop.set(); thread.join()");
}

#[test]
fn every_transaction_with_a_rollback_journal_is_counted() {
    let scene = Scene::new("delete");
    let mut writer = scene.actor();
    let mut watch = scene.patient();
    eventually("two samples are a second apart", || look(&mut watch).commits);
    let count = |watch: &mut Monitor| look(watch).header.expect("a header").change_counter.expect("known");
    let before = count(&mut watch);
    for _ in 0..7 {
        writer.sql("INSERT INTO t VALUES (2)");
    }
    assert_eq!(count(&mut watch), before + 7);
    let rate = look(&mut watch).commits.expect("the samples are apart");
    assert_eq!((rate.restarts_per_second, rate.newest_frames), (None, None));
}
