//! Twins and pidfiles, with real processes.

use std::{fs, process::Command};

use super::*;

#[test]
fn the_older_of_a_singleton_pair_is_one_finding_and_the_newer_none() {
    let scene = Scene::ruled("only", |rule| rule.singleton = true);
    let mut older = scene.actor_as("only");
    older.sql("SELECT * FROM t");
    let mut watch = scene.watch();
    let about = |database: &Database, pid: i32| {
        let findings = database.findings.iter().filter(|finding| finding.pid == Some(pid));
        findings.map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(about(&look(&mut watch), older.pid()), []);
    let newer = scene.actor_as("only");
    let finding = found(&mut watch, FindingKind::StaleDaemon, Some(older.pid()));
    assert_eq!((finding.severity, finding.label.as_deref()), (Severity::Warning, Some("only")));
    assert_eq!(finding.evidence["causes"], serde_json::json!(["duplicate"]));
    assert_eq!(finding.evidence["processes"], serde_json::json!([older.pid(), newer.pid()]));
    let command = format!("waltop reap {} --pid {}", scene.path().display(), older.pid());
    assert_eq!(finding.remedy.command, Some(command));
    let database = look(&mut watch);
    assert_eq!(about(&database, older.pid()), [FindingKind::StaleDaemon], "one row");
    assert_eq!(about(&database, newer.pid()), [], "the healthy twin");
    newer.close();
    assert_eq!(about(&look(&mut watch), older.pid()), []);
}

#[test]
fn a_protected_older_twin_is_a_duplicate_and_not_stale() {
    let scene = Scene::ruled("only", |rule| (rule.singleton, rule.protect) = (true, true));
    let (mut older, newer) = (scene.actor_as("only"), scene.actor_as("only"));
    older.sql("SELECT * FROM t");
    let mut watch = scene.watch();
    let finding = found(&mut watch, FindingKind::DuplicateDaemon, Some(older.pid()));
    assert_eq!((finding.severity, finding.remedy.command), (Severity::Warning, None));
    assert_eq!(finding.evidence["processes"], serde_json::json!([older.pid(), newer.pid()]));
    assert!(told(&look(&mut watch), FindingKind::StaleDaemon, Some(older.pid())).is_none());
}

#[test]
fn twins_without_a_rule_are_worth_knowing_unless_they_are_siblings() {
    let scene = Scene::new();
    let (one, sibling) = (scene.actor(), scene.actor());
    let mut watch = scene.watch();
    let twins = |database: &Database| {
        let twins = database.findings.iter().filter(|finding| finding.kind == FindingKind::DuplicateDaemon);
        twins.cloned().collect::<Vec<_>>()
    };
    let database = look(&mut watch);
    assert_eq!(database.processes.len(), 2);
    assert_eq!(twins(&database), []);
    // The shell stays, since it has something left to do.
    let _nephew = Actor::open_through(&["sh", "-c", "\"$0\" \"$@\"; true"], &scene.path());
    let found = eventually("the twins are told", || twins(&look(&mut watch)).into_iter().next());
    assert_eq!(found.severity, Severity::Info);
    assert!([one.pid(), sibling.pid()].contains(&found.pid.expect("the oldest")), "{found:?}");
    assert_eq!(found.evidence["processes"].as_array().map(Vec::len), Some(2), "no sibling among them");
    let database = look(&mut watch);
    assert!(database.processes.iter().all(|process| !process.is_stale()), "it is no cause");
}

fn doubles(database: &Database) -> Vec<Finding> {
    let doubles = database.findings.iter().filter(|finding| finding.kind == FindingKind::DuplicateDaemon);
    doubles.cloned().collect()
}

#[test]
fn a_daemon_that_is_started_twice_on_other_ports() {
    let mut scene = Scene::new();
    scene.config.thresholds.separate_runs = Duration::from_millis(10);
    let start = |script: &str, options: &[&str]| {
        Python::open_script(&scene.folder.path().join(script), &scene.path(), options)
    };
    let mut watch = scene.watch();
    let Some(_worker) = start("pool.py", &["--worker-id", "1"]) else { return };
    let _other_worker = start("pool.py", &["--worker-id", "2"]);
    let old = start("daemon.py", &["--port", "4545"]).expect("Python is here");
    assert_eq!(doubles(&look(&mut watch)), [], "a pool, and one daemon");
    let new = start("daemon.py", &["--port", "5000"]).expect("Python is here");
    let found = eventually("the second one is found", || doubles(&look(&mut watch)).pop());
    assert_eq!((found.severity, found.pid), (Severity::Info, Some(old.pid())));
    assert_eq!(found.evidence["relation"], "other-arguments");
    assert_eq!(found.evidence["processes"], serde_json::json!([old.pid(), new.pid()]));
    assert_eq!(doubles(&look(&mut watch)).len(), 1);
}

#[test]
fn a_job_that_waits_for_its_last_run() {
    let mut scene = Scene::new();
    scene.config.thresholds.separate_runs = Duration::from_millis(10);
    let script = scene.folder.path().join("job.py");
    let Some(mut last) = Python::open_script(&script, &scene.path(), &[]) else { return };
    let mut next = Python::open_script(&script, &scene.path(), &[]).expect("Python is here");
    last.sql("BEGIN IMMEDIATE");
    let mut observer = Observer::new(&scene.config.places, vec![scene.path()]);
    observer.watch_locks();
    let mut watch = Monitor::new(observer, scene.config.clone());
    let is_held = |database: &Database| {
        let held = database.locks.writer.as_ref().and_then(|writer| writer.held_ms);
        held.is_some_and(|ms| ms > 100.0)
    };
    eventually("the lock is held for a while", || is_held(&look(&mut watch)).then_some(()));
    assert_eq!(doubles(&look(&mut watch)), [], "two children of one parent, and neither waits");
    next.sql("PRAGMA busy_timeout = 3600000").start("db.execute('BEGIN IMMEDIATE')");
    let found = eventually("the overlap is found", || doubles(&look(&mut watch)).pop());
    assert_eq!((found.severity, found.pid), (Severity::Info, Some(last.pid())));
    assert_eq!(found.evidence["relation"], "earlier-run");
    assert_eq!(found.evidence["processes"], serde_json::json!([last.pid(), next.pid()]));
}

#[test]
fn a_pidfile_that_names_no_process_or_another() {
    let mut scene = Scene::ruled("daemon", |_| {});
    let pidfile = scene.folder.path().join("daemon.pid");
    scene.config.daemons[0].pidfile = Some(pidfile.clone());
    let (daemon, stranger) = (scene.actor_as("daemon"), scene.actor_as("stranger"));
    let mut watch = scene.watch();
    let is_told = |watch: &mut Monitor| {
        look(watch);
        told(&look(watch), FindingKind::DeadPidfile, None).is_some()
    };
    assert!(!is_told(&mut watch), "there is none");
    fs::write(&pidfile, format!("{}\n", daemon.pid())).expect("written");
    assert!(!is_told(&mut watch), "it is the daemon's");

    fs::write(&pidfile, stranger.pid().to_string()).expect("written");
    let finding = found(&mut watch, FindingKind::DeadPidfile, None);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["pid"], stranger.pid());
    assert!(finding.evidence["command"].is_string(), "{finding:?}");
    assert_eq!(finding.remedy.command, Some(format!("rm {}", pidfile.display())));

    let mut ended = Command::new("true").spawn().expect("it starts");
    let gone = ended.id();
    ended.wait().expect("it ends");
    fs::write(&pidfile, gone.to_string()).expect("written");
    let finding = found(&mut watch, FindingKind::DeadPidfile, None);
    assert_eq!(
        (&finding.evidence["pid"], &finding.evidence["command"]),
        (&gone.into(), &serde_json::Value::Null)
    );
    fs::remove_file(&pidfile).expect("removed");
    assert!(!is_told(&mut watch));
}

#[test]
fn a_pidfile_is_reported_once_however_many_databases_there_are() {
    let mut scene = Scene::ruled("daemon", |_| {});
    let pidfile = scene.folder.path().join("daemon.pid");
    scene.config.daemons[0].pidfile = Some(pidfile.clone());
    let other = Scene::new();
    let paths = vec![scene.path(), other.path()];
    let mut watch = Monitor::new(Observer::new(&scene.config.places, paths), scene.config.clone());
    // Nobody has the largest PID that there can be.
    fs::write(&pidfile, i32::MAX.to_string()).expect("written");
    let once = watch.sample().snapshot.databases.clone();
    assert!(once.iter().all(|database| database.findings.is_empty()), "one look proves nothing");
    let databases = watch.sample().snapshot.databases.clone();
    let count = |database: &Database| {
        database.findings.iter().filter(|finding| finding.kind == FindingKind::DeadPidfile).count()
    };
    assert_eq!(databases.iter().map(count).collect::<Vec<_>>(), [1, 0]);
}
