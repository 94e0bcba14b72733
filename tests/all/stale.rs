//! Every cause of staleness on real processes, with a healthy twin of the same set-up that is left alone.

use std::{path::PathBuf, time::Duration};

use regex::Regex;
use tempfile::TempDir;
use waltop::{
    config::{Config, DaemonRule, Places, Thresholds},
    observe::Observer,
    sampler::Watch,
    snapshot::{Database, Finding, Severity, Stale},
};

use crate::support::{Actor, eventually};

/// Longer than any test runs.
const LONG: Duration = Duration::from_hours(1);

/// A folder with a database, and a place for what an observer keeps.
struct Scene {
    folder: TempDir,
    state: TempDir,
    config: Config,
}

impl Scene {
    fn new() -> Self {
        let state = TempDir::new().expect("a folder");
        let config = Config { readonly: true, ..Config::new(Places::under(state.path())) };
        let scene = Self { folder: TempDir::new().expect("a folder"), state, config };
        let mut maker = scene.actor();
        maker.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        scene
    }

    /// The same where the user says something of the actors named `role`.
    fn ruled(role: &str, say: impl FnOnce(&mut DaemonRule)) -> Self {
        let mut scene = Self::new();
        scene.config.daemons.push(rule(role));
        say(&mut scene.config.daemons[0]);
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join("notes.db")
    }

    fn actor(&self) -> Actor {
        Actor::open(&self.path())
    }

    fn actor_as(&self, role: &str) -> Actor {
        Actor::open_as(&self.path(), role)
    }

    fn watch(&self) -> Watch {
        let observer = Observer::new(&self.config.places, vec![self.path()]);
        Watch::new(observer, self.config.clone())
    }
}

fn rule(role: &str) -> DaemonRule {
    DaemonRule {
        name: role.to_owned(),
        pattern: Regex::new(&format!("actor .*--role {role}$")).expect("a pattern"),
        singleton: false,
        max_age: None,
        pidfile: None,
        protect: false,
    }
}

fn look(watch: &mut Watch) -> Database {
    let mut databases = watch.look().snapshot.databases;
    assert_eq!(databases.len(), 1);
    databases.remove(0)
}

fn verdict(database: &Database, pid: i32) -> Stale {
    let process = database.process(pid).unwrap_or_else(|| panic!("no row of {pid}"));
    process.stale.clone().expect("it was judged")
}

fn causes(database: &Database, pid: i32) -> Vec<String> {
    verdict(database, pid).causes.into_iter().map(|cause| cause.cause).collect()
}

/// Looks until `pid` is stale for `cause` alone, and is told as such; the evidence.
fn stale(watch: &mut Watch, pid: i32, cause: &str) -> String {
    eventually(&format!("{pid} is stale for {cause}"), || {
        let database = look(watch);
        let verdict = verdict(&database, pid);
        if verdict.causes.is_empty() {
            return None;
        }
        assert!(verdict.is_stale && verdict.protected.is_none(), "{verdict:?}");
        assert_eq!(causes(&database, pid), [cause], "{verdict:?}");
        let told = finding(&database, "stale-daemon", pid).expect("it is told");
        assert_eq!(told.severity, Severity::Warning);
        assert!(told.message.contains(&verdict.causes[0].evidence), "{}", told.message);
        assert_eq!(told.remedy.command, Some(format!("waltop reap --pid {pid}")));
        Some(verdict.causes[0].evidence.clone())
    })
}

fn finding<'a>(database: &'a Database, name: &str, pid: i32) -> Option<&'a Finding> {
    database.findings.iter().find(|finding| finding.name == name && finding.pid == Some(pid))
}

fn is_idle_for(database: &Database, pid: i32, ms: f64) -> bool {
    database.process(pid).and_then(|process| process.activity.idle_ms).is_some_and(|idle| idle >= ms)
}

#[test]
fn a_process_with_a_deleted_file() {
    let scene = Scene::new();
    let (mut victim, mut watch) = (scene.actor(), scene.watch());
    victim.sql("INSERT INTO t VALUES (2)");
    assert_eq!(causes(&look(&mut watch), victim.pid()), [""; 0]);
    let log = scene.folder.path().join("notes.db-wal");
    std::fs::remove_file(&log).expect("removed");
    assert_eq!(causes(&look(&mut watch), victim.pid()), [""; 0], "it may be about to close it");
    let evidence = stale(&mut watch, victim.pid(), "split-wal");
    assert!(evidence.contains("notes.db-wal"), "{evidence}");
    // It has only the main file open, which is where it was.
    let healthy = scene.actor();
    for _ in 0..2 {
        assert_eq!(causes(&look(&mut watch), healthy.pid()), [""; 0]);
    }
}

#[test]
fn one_that_is_past_its_age_and_idle() {
    let scene = Scene::ruled("old", |rule| rule.max_age = Some(Duration::from_millis(1)));
    let (mut old, mut other) = (scene.actor_as("old"), scene.actor_as("another"));
    for actor in [&mut old, &mut other] {
        actor.sql("SELECT * FROM t");
    }
    let mut watch = scene.watch();
    assert_eq!(causes(&look(&mut watch), old.pid()), [""; 0], "one look proves nothing");
    let evidence = stale(&mut watch, old.pid(), "max-age");
    assert!(evidence.contains("no tick of CPU time and no lock of a transaction"), "{evidence}");
    let database = look(&mut watch);
    assert!(is_idle_for(&database, other.pid(), 500.0), "as idle, and as old");
    assert_eq!(causes(&database, other.pid()), [""; 0]);
}

#[test]
fn an_old_one_that_reads_is_not_idle() {
    let scene = Scene::ruled("old", |rule| rule.max_age = Some(Duration::from_millis(1)));
    let mut old = scene.actor_as("old");
    old.sql("BEGIN").sql("SELECT * FROM t");
    let mut watch = scene.watch();
    eventually("it has used no CPU time for long enough", || {
        let database = look(&mut watch);
        assert_eq!(causes(&database, old.pid()), [""; 0]);
        let activity = database.process(old.pid())?.activity;
        assert_eq!(activity.idle_ms, Some(0.0));
        activity.cpu_idle_ms.filter(|ms| *ms > 1000.0)
    });
    old.sql("COMMIT");
    // It was active in the window, so that it takes as long an idleness as the threshold says.
    eventually("it is idle again", || {
        let database = look(&mut watch);
        assert_eq!(causes(&database, old.pid()), [""; 0]);
        is_idle_for(&database, old.pid(), 1000.0).then_some(())
    });
    // Whoever looks from now on sees nothing but idleness.
    stale(&mut scene.watch(), old.pid(), "max-age");
}

#[test]
fn age_alone_is_no_cause() {
    let mut scene = Scene::ruled("old", |_| {});
    scene.config.thresholds = Thresholds { idle: Duration::from_millis(600), ..Thresholds::default() };
    let mut old = scene.actor_as("old");
    old.sql("SELECT * FROM t");
    let mut watch = scene.watch();
    eventually("it is idle past every threshold", || {
        let database = look(&mut watch);
        assert_eq!(causes(&database, old.pid()), [""; 0]);
        is_idle_for(&database, old.pid(), 1500.0).then_some(())
    });
}

#[test]
fn the_older_of_a_singleton_pair() {
    let scene = Scene::ruled("only", |rule| rule.singleton = true);
    let mut older = scene.actor_as("only");
    older.sql("SELECT * FROM t");
    let mut watch = scene.watch();
    assert_eq!(causes(&look(&mut watch), older.pid()), [""; 0], "there is one");
    let (mut newer, mut other) = (scene.actor_as("only"), scene.actor_as("another"));
    newer.sql("SELECT * FROM t");
    other.sql("SELECT * FROM t");
    let evidence = stale(&mut watch, older.pid(), "duplicate");
    assert!(evidence.starts_with(&format!("{} (only) is newer", newer.pid())), "{evidence}");
    let database = look(&mut watch);
    for pid in [newer.pid(), other.pid()] {
        assert_eq!(causes(&database, pid), [""; 0]);
    }
}

#[test]
fn one_that_pins_the_log_and_does_nothing() {
    let mut scene = Scene::new();
    scene.config.thresholds.pinned_wal = (LONG, Duration::from_millis(600));
    let (mut writer, mut pinner, mut newest) = (scene.actor(), scene.actor(), scene.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    pinner.sql("BEGIN").sql("SELECT * FROM t");
    writer.sql("INSERT INTO t VALUES (3)");
    newest.sql("BEGIN").sql("SELECT * FROM t");
    let mut watch = scene.watch();
    let evidence = stale(&mut watch, pinner.pid(), "pinned-wal");
    assert!(evidence.starts_with("it has pinned 1 frame of notes.db for "), "{evidence}");
    let database = look(&mut watch);
    assert_eq!(
        causes(&database, newest.pid()),
        [""; 0],
        "it reads as long, and keeps nothing from being moved"
    );
    pinner.sql("COMMIT");
    assert_eq!(causes(&look(&mut watch), pinner.pid()), [""; 0]);
}
