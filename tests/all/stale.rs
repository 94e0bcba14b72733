//! Every cause of staleness on real processes, with a healthy twin of the same set-up that is left alone.

use std::{
    fs::File,
    io::Write,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    time::Duration,
};

use regex::Regex;
use tempfile::TempDir;
use waltop::{
    config::{Config, DaemonRule, Thresholds},
    observe::Observer,
    sampler::Monitor,
    snapshot::{
        Database, Finding, FindingKind, LostInput, ProcessManager, Severity, StaleCause, StaleVerdict,
    },
    state::places::Places,
};

use crate::{
    python::Python,
    support::{Actor, WALTOP, copy_program, eventually},
};

mod daemons;
mod orphans;
mod protected;
mod screen;

/// Longer than any test runs.
const LONG: Duration = Duration::from_hours(1);

/// An idleness that these tests can wait for, and no busy process has.
const LEAST_IDLE: Duration = Duration::from_millis(500);

/// A folder with a database, and a place in it for what an observer keeps.
struct Scene {
    folder: TempDir,
    config: Config,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let places = Places::under(&folder.path().join("state"));
        let mut scene = Self { folder, config: Config { readonly: true, ..Config::new(places) } };
        scene.config.thresholds.least_idle = LEAST_IDLE;
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

    fn watch(&self) -> Monitor {
        let observer = Observer::new(&self.config.places, vec![self.path()]);
        Monitor::new(observer, self.config.clone())
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

fn look(watch: &mut Monitor) -> Database {
    let mut databases = watch.sample().snapshot.databases.clone();
    assert_eq!(databases.len(), 1);
    databases.remove(0)
}

fn verdict(database: &Database, pid: i32) -> StaleVerdict {
    let process = database.process(pid).unwrap_or_else(|| panic!("no row of {pid}"));
    process.stale.clone().expect("it was judged")
}

fn causes(database: &Database, pid: i32) -> Vec<&'static str> {
    verdict(database, pid).causes.iter().map(StaleCause::name).collect()
}

/// Looks until `pid` is stale for `cause` alone, and is told as such; the cause.
fn stale(watch: &mut Monitor, pid: i32, cause: &str) -> StaleCause {
    eventually(&format!("{pid} is stale for {cause}"), || {
        let database = look(watch);
        let verdict = verdict(&database, pid);
        if verdict.causes.is_empty() {
            return None;
        }
        assert!(verdict.is_stale && verdict.protected.is_none(), "{verdict:?}");
        assert_eq!(causes(&database, pid), [cause], "{verdict:?}");
        let told = told(&database, FindingKind::StaleDaemon, Some(pid)).expect("it is told");
        assert_eq!(told.severity, Severity::Warning);
        assert!(told.message.contains(&verdict.causes[0].to_string()), "{}", told.message);
        let reap = format!("waltop reap {} --pid {pid}", database.path.display());
        let remedy = if cause == "split-wal" { "waltop explain split-wal".to_owned() } else { reap };
        assert_eq!(told.remedy.command, Some(remedy));
        Some(verdict.causes[0].clone())
    })
}

/// Looks until `kind` is found about `pid`.
fn found(watch: &mut Monitor, kind: FindingKind, pid: Option<i32>) -> Finding {
    eventually(&format!("{kind} of {pid:?}"), || told(&look(watch), kind, pid).cloned())
}

fn told(database: &Database, kind: FindingKind, pid: Option<i32>) -> Option<&Finding> {
    database.findings.iter().find(|finding| finding.kind == kind && finding.pid == pid)
}

fn is_idle_for(database: &Database, pid: i32, ms: f64) -> bool {
    database.process(pid).and_then(|process| process.idleness.idle_ms).is_some_and(|idle| idle >= ms)
}

#[test]
fn a_process_with_a_deleted_file() {
    let scene = Scene::new();
    let (mut victim, mut watch) = (scene.actor(), scene.watch());
    // Its log is empty, so that nothing is lost with it.
    victim.sql("SELECT * FROM t");
    assert_eq!(causes(&look(&mut watch), victim.pid()), [""; 0]);
    let log = scene.folder.path().join("notes.db-wal");
    std::fs::remove_file(&log).expect("removed");
    assert_eq!(causes(&look(&mut watch), victim.pid()), [""; 0], "it may be about to close it");
    let cause = stale(&mut watch, victim.pid(), "split-wal");
    let StaleCause::SplitWal { files } = &cause else { panic!("{cause}") };
    assert!(matches!(&files[..], [file] if file.contains("notes.db-wal")), "{files:?}");
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
    let cause = stale(&mut watch, old.pid(), "max-age");
    let StaleCause::MaxAge { rule, limit_ms, idle_ms, .. } = &cause else { panic!("{cause}") };
    assert!(rule == "old" && *limit_ms <= 1.0 && *idle_ms >= 500.0, "{cause:?}");
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
        let idleness = database.process(old.pid())?.idleness;
        assert_eq!(idleness.idle_ms, Some(0.0));
        idleness.cpu_idle_ms.filter(|ms| *ms > 1000.0)
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
    scene.config.thresholds =
        Thresholds { idle: Duration::from_millis(600), least_idle: LEAST_IDLE, ..Thresholds::default() };
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
    let cause = stale(&mut watch, older.pid(), "duplicate");
    found(&mut watch, FindingKind::StaleDaemon, Some(older.pid()));
    let [rule, newer_name, newer_label] = ["only"; 3].map(str::to_owned);
    assert_eq!(cause, StaleCause::Duplicate { rule, newer: newer.pid(), newer_name, newer_label });
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
    let cause = stale(&mut watch, pinner.pid(), "pinned-wal");
    let StaleCause::PinnedWal { database: name, frames, held_ms, .. } = &cause else { panic!("{cause}") };
    assert!(name == "notes.db" && *frames == 1 && *held_ms >= 600.0, "{cause:?}");
    let database = look(&mut watch);
    assert_eq!(
        causes(&database, newest.pid()),
        [""; 0],
        "it reads as long, and keeps nothing from being moved"
    );
    pinner.sql("COMMIT");
    assert_eq!(causes(&look(&mut watch), pinner.pid()), [""; 0]);
}

#[test]
fn one_whose_program_was_deleted_or_replaced() {
    let scene = Scene::new();
    let program = |name: &str| {
        let path = scene.folder.path().canonicalize().expect("there").join(name);
        copy_program(std::path::Path::new(WALTOP), &path);
        path
    };
    let [deleted, replaced, current] = ["deleted", "replaced", "current"].map(|name| {
        let path = program(name);
        (Actor::open_by(&path, &scene.path(), name), path)
    });
    let database = look(&mut scene.watch());
    for (actor, _) in [&deleted, &replaced, &current] {
        assert_eq!(causes(&database, actor.pid()), [""; 0]);
    }
    std::fs::remove_file(&deleted.1).expect("removed");
    // As a package manager does it.
    std::fs::rename(program("new"), &replaced.1).expect("replaced");
    let mut watch = scene.watch();
    let cause = stale(&mut watch, deleted.0.pid(), "executable");
    let path = deleted.1.display().to_string();
    assert_eq!(cause, StaleCause::Executable { path, is_replaced: false });
    let cause = stale(&mut watch, replaced.0.pid(), "executable");
    let path = replaced.1.display().to_string();
    assert_eq!(cause, StaleCause::Executable { path, is_replaced: true });
    assert_eq!(causes(&look(&mut watch), current.0.pid()), [""; 0]);
}

#[test]
fn an_old_one_that_computes_is_not_idle() {
    let mut scene = Scene::new();
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let pattern = Regex::new("python3 -c").expect("a pattern");
    scene.config.daemons =
        vec![DaemonRule { pattern, max_age: Some(Duration::from_millis(1)), ..rule("python") }];
    python.run("exec('def burn():\\n while not done: pass'); import threading; done = False");
    python.run("threading.Thread(target=burn, daemon=True).start()");
    let mut watch = scene.watch();
    eventually("it has been watched for long enough", || {
        let database = look(&mut watch);
        assert_eq!(causes(&database, python.pid()), [""; 0]);
        database.process(python.pid())?.idleness.watched_ms.filter(|ms| *ms > 1500.0)
    });
    python.run("done = True");
    stale(&mut scene.watch(), python.pid(), "max-age");
}

#[test]
fn idleness_is_counted_on_by_the_next_waltop() {
    let scene = Scene::ruled("old", |rule| rule.max_age = Some(Duration::from_millis(1)));
    let mut old = scene.actor_as("old");
    old.sql("SELECT * FROM t");
    let mut watch = scene.watch();
    stale(&mut watch, old.pid(), "max-age");
    drop(watch);
    // As a check from cron does: one look. It has the time of the one before, and no verdict of its own.
    let database = look(&mut scene.watch());
    assert!(is_idle_for(&database, old.pid(), 500.0), "{:?}", database.process(old.pid()));
    assert_eq!(causes(&database, old.pid()), [""; 0], "a short transaction in between was not seen");
    old.sql("BEGIN IMMEDIATE");
    assert!(!is_idle_for(&look(&mut scene.watch()), old.pid(), 500.0));
    old.sql("ROLLBACK");
    stale(&mut scene.watch(), old.pid(), "max-age");
}

/// Has `path` open, says who it is, and then does nothing.
const FORGOTTEN: &str = "import os, signal, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                         db.execute('SELECT * FROM t').fetchall(); \
                         open(sys.argv[2] + '.new', 'w').write(str(os.getpid())); \
                         os.rename(sys.argv[2] + '.new', sys.argv[2]); signal.pause()";
