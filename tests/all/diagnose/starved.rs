//! A log that does not restart, by each of its reasons, beside a twin whose log does.

use super::*;

/// A watch that takes a window of any length for a long one. The limit of the profile is two frames, so that nine are
/// deep.
fn starved_watch(scene: &Scene) -> Monitor {
    let mut config = scene.config(LONG, LONG);
    config.thresholds.wal_starved = Duration::from_millis(1);
    // Each log here is larger than its database.
    config.thresholds.large_wal = 1 << 30;
    config
        .profile
        .pragmas
        .retain(|pragma| pragma.name == "busy_timeout" || pragma.name == "wal_autocheckpoint");
    scene.sampling(config)
}

/// Looks while `writer` commits, until the log is found starved.
fn starved(watch: &mut Monitor, writer: &mut Actor, pid: Option<i32>) -> Finding {
    eventually("the log is starved", || {
        writer.sql("INSERT INTO t VALUES (randomblob(10000))");
        let database = look(watch);
        let mut found = database.findings.into_iter().filter(|it| it.severity > Severity::Info);
        let finding = found.find(|it| it.kind == FindingKind::WalStarved)?;
        assert_eq!((found.next(), finding.pid), (None, pid));
        Some(finding)
    })
}

fn assert_cause(kind: &str, finding: &Finding) {
    assert_eq!(finding.evidence["cause"], kind, "{finding:?}");
}

#[test]
fn a_log_in_which_readers_relieve_each_other() {
    let scene = Scene::new("wal");
    let (mut writer, mut readers) = (scene.actor(), [scene.actor(), scene.actor()]);
    // The size alone is for `large-wal`.
    writer.sql("INSERT INTO t VALUES (zeroblob(1000000))").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    writer.sql("PRAGMA wal_autocheckpoint = 2");
    let mut watch = starved_watch(&scene);
    let mut turn = |writer: &mut Actor, overlap: bool| {
        for _ in 0..3 {
            if overlap {
                readers[1].sql("BEGIN").sql("SELECT count(*) FROM t");
                readers[0].try_sql("COMMIT");
            } else {
                readers[0].try_sql("COMMIT");
                writer.sql("INSERT INTO t VALUES (3)");
                readers[1].sql("BEGIN").sql("SELECT count(*) FROM t");
            }
            readers.swap(0, 1);
            writer.sql("INSERT INTO t VALUES (2)");
        }
    };
    // The healthy twin: there is a commit between two reads.
    for _ in 0..40 {
        turn(&mut writer, false);
        assert_healthy(&mut watch);
    }
    assert!(look(&mut watch).wal.and_then(|wal| wal.progress).is_some_and(|it| it.restarts > 0));
    let mut watch = starved_watch(&scene);
    let finding = eventually("the log is starved", || {
        turn(&mut writer, true);
        let database = look(&mut watch);
        has(&database, FindingKind::WalStarved).then(|| found_in(&database, FindingKind::WalStarved, None))
    });
    assert_cause("readers", &finding);
    assert_eq!(finding.evidence["reading"]["pids"].as_array().map(Vec::len), Some(2), "{finding:?}");
    for reader in &mut readers {
        // One of them reads.
        reader.try_sql("COMMIT");
    }
    writer.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_healthy(&mut watch);
}

#[test]
fn a_process_that_pins_its_own_log() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.run("import sqlite3; other = sqlite3.connect(path, isolation_level=None)");
    python.run("db.execute('INSERT INTO t VALUES (zeroblob(1000000))')");
    python.run("db.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()");
    let commit = "db.execute('INSERT INTO t VALUES (randomblob(10000))')";
    // The healthy twin reads to the end.
    python.run("rows = other.execute('SELECT rowid FROM t'); rows.fetchall()");
    python.run("db.execute('PRAGMA wal_autocheckpoint = 2').fetchall()");
    let mut watch = starved_watch(&scene);
    for _ in 0..10 {
        python.run(commit);
        assert_healthy(&mut watch);
    }
    python.run("rows = other.execute('SELECT rowid FROM t'); rows.fetchone()");
    let mut watch = starved_watch(&scene);
    let pid = python.pid();
    let finding = eventually("the log is starved", || {
        python.run(commit);
        let database = look(&mut watch);
        // Before it has been seen for a second, it is a reader like any other.
        let is_it = |it: &Finding| it.kind == FindingKind::WalStarved && it.pid == Some(pid);
        let is_named = database.findings.iter().any(is_it);
        is_named.then(|| found_in(&database, FindingKind::WalStarved, Some(pid)))
    });
    assert_cause("self-pin", &finding);
    assert_eq!(finding.remedy.action, None, "no checkpoint helps");
    // Once it is old, it is a pin.
    let mut watch = scene.sampling({
        let mut config = scene.config(Duration::from_secs(1), LONG);
        config.profile.pragmas.retain(|pragma| pragma.name == "wal_autocheckpoint");
        config.thresholds.large_wal = 1 << 30;
        config
    });
    let finding = eventually("it is old, and writes", || {
        python.run(commit);
        let database = look(&mut watch);
        let pinned = database.findings.into_iter().find(|it| it.kind == FindingKind::PinnedWal)?;
        (pinned.evidence.get("is_only_writer") == Some(&true.into())).then_some(pinned)
    });
    assert_eq!(finding.pid, Some(pid));
}

#[test]
fn a_log_that_no_process_checkpoints() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (zeroblob(1000000))").sql("PRAGMA wal_checkpoint(TRUNCATE)");
    // The healthy twin checkpoints by itself.
    writer.sql("PRAGMA wal_autocheckpoint = 2");
    let mut watch = starved_watch(&scene);
    for _ in 0..10 {
        writer.sql("INSERT INTO t VALUES (randomblob(10000))");
        assert_healthy(&mut watch);
    }
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    let mut watch = starved_watch(&scene);
    let finding = starved(&mut watch, &mut writer, None);
    assert_cause("no-checkpoint", &finding);
    assert_eq!(finding.remedy.command, Some(format!("waltop checkpoint {}", scene.path().display())));
    found(&mut watch, FindingKind::WalStarved, None);
}

#[test]
fn a_log_with_the_frames_of_an_open_transaction() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("PRAGMA cache_size = 10").sql("PRAGMA wal_autocheckpoint = 2");
    let mut watch = starved_watch(&scene);
    let fill = "INSERT INTO t VALUES (zeroblob(200000))";
    writer.sql(fill).sql(fill);
    assert_healthy(&mut watch);
    assert_open_transaction(&mut watch, &mut writer, fill);
    writer.sql("ROLLBACK");
    let after = look(&mut watch);
    assert!(!has(&after, FindingKind::WalStarved), "what was rolled back is no transaction: {:?}", after.wal);
    // The same in an empty log, by a process that has never written to it.
    let mut second = scene.actor();
    second.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    let mut third = scene.actor();
    third.sql("PRAGMA cache_size = 10");
    assert_open_transaction(&mut watch, &mut third, fill);
    // It writes its pages again, whose frames have no salts before the commit.
    for _ in 0..20 {
        third.sql("UPDATE t SET x = randomblob(length(x))");
    }
    let wal = look(&mut watch).wal.expect("a log");
    assert_eq!((wal.frames, wal.uncommitted_frames), (Some(0), wal.slots));
}

fn assert_open_transaction(watch: &mut Monitor, writer: &mut Actor, fill: &str) {
    writer.sql("BEGIN IMMEDIATE");
    let finding = eventually("it is told", || {
        writer.sql(fill);
        let database = look(watch);
        assert!(serious(&database).is_empty(), "{:?}", database.findings);
        database.findings.into_iter().find(|it| it.kind == FindingKind::WalStarved)
    });
    assert_cause("open-transaction", &finding);
    assert_eq!((finding.severity, finding.pid), (Severity::Info, Some(writer.pid())));
    assert!(finding.evidence["uncommitted_frames"].as_u64() > Some(40), "{finding:?}");
}
