//! Waits that are not for a lock: the disk, or something that is no database at all.

use super::*;

/// Whether the process `pid` waits for its disk nearly all the time: where the disk is fast or in memory it does not.
fn waits_for_disk(watch: &mut Monitor, pid: i32) -> bool {
    eventually("its hold was sampled often enough", || {
        let activity = look(watch).process(pid)?.activity.clone()?;
        let named = || serde_json::to_value(activity.named()).unwrap_or_default();
        (activity.samples >= 30 && activity.span_ms > 3000.0).then(|| named()["class"] == "disk")
    })
}

#[test]
fn a_holder_that_waits_for_its_disk() {
    let scene = Scene::new("wal");
    let Some(mut writer) = Python::open(&scene.path()) else { return };
    // Past the page cache, so that each write waits; not every file system allows it.
    writer.run("import mmap, os; block = mmap.mmap(-1, 1 << 24); block.write(os.urandom(1 << 24))");
    let open = r"try:\n out = os.open(path + '.out', os.O_RDWR | os.O_CREAT | os.O_DIRECT)\nexcept OSError: out = None";
    writer.run(&format!("exec(\"{open}\")"));
    if writer.run("print(out is None)") == ["True"] {
        eprintln!("not tested: this file system writes through the page cache only");
        return;
    }
    let mut sleeper = scene.actor();
    sleeper.sql("BEGIN IMMEDIATE");
    let mut watch = scene.sampling(Config {
        thresholds: Thresholds { disk_pressure: 0.01, ..Thresholds::default() },
        ..scene.config(LONG, Duration::from_secs(4))
    });
    // The healthy twin holds the lock as long, and sleeps.
    eventually("a long hold", || has(&look(&mut watch), FindingKind::LongWriteLock).then_some(()));
    let sleeping = look(&mut watch);
    assert!(!has(&sleeping, FindingKind::SlowDisk), "{:?}", sleeping.findings);
    assert_eq!(sleeping.locks.disk_wait, None, "nothing is read for it");
    sleeper.sql("COMMIT");
    writer.sql("BEGIN IMMEDIATE");
    writer.start("while True: os.pwritev(out, [block], 0)");
    if !waits_for_disk(&mut watch, writer.pid()) {
        eprintln!("not tested: no process waits for this disk");
        return;
    }
    let finding = eventually("the pressure of ten seconds", || {
        let findings = serde_json::to_value(&look(&mut watch).findings).expect("JSON");
        findings.as_array().into_iter().flatten().find(|it| it["name"] == "slow-disk").cloned()
    });
    assert_eq!((&finding["severity"], &finding["pid"]), (&"info".into(), &writer.pid().into()));
}

#[test]
fn a_lock_that_is_free_is_not_what_a_program_waits_for() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    let mut watch = scene.sampling(Config {
        thresholds: Thresholds { free_lock_window: Duration::from_millis(500), ..Thresholds::default() },
        ..scene.config(LONG, LONG)
    });
    writer.sql("INSERT INTO t VALUES (2)");
    let free = eventually("it was free for long enough", || {
        look(&mut watch).locks.availability.filter(|it| it.is_free)
    });
    assert!(free.refused.is_none() && free.window_ms >= 500.0, "{free:?}");
    assert!(!free.not_visible.is_empty(), "it was not traced");
    writer.sql("BEGIN IMMEDIATE");
    eventually("it is held for most of the time", || {
        let held = look(&mut watch).locks.availability?;
        (!held.is_free).then_some(())
    });
}
