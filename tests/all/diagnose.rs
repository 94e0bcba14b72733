//! Each rule on real processes, by name and PID, with a healthy twin of the same set-up that has nothing to find.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use waltop::{
    config::{Config, Places, Thresholds},
    diagnose::RULES,
    observe::Observer,
    profile::Profile,
    sampler::Watch,
    snapshot::{Database, Finding, Severity},
};

use crate::{
    python::Python,
    support::{Actor, eventually},
};

/// A folder with a database, and a place for what an observer keeps.
struct Scene {
    folder: TempDir,
    state: TempDir,
}

impl Scene {
    fn new(journal_mode: &str) -> Self {
        let scene =
            Self { folder: TempDir::new().expect("a folder"), state: TempDir::new().expect("a folder") };
        let mut maker = scene.actor();
        maker.sql(&format!("PRAGMA journal_mode = {journal_mode}")).sql("CREATE TABLE t(x)");
        maker.sql("INSERT INTO t VALUES (1)");
        maker.close();
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join("notes.db")
    }

    fn sidecar(&self, suffix: &str) -> PathBuf {
        let mut path = self.path().into_os_string();
        path.push(suffix);
        path.into()
    }

    fn actor(&self) -> Actor {
        Actor::open(&self.path())
    }

    /// Finds a pin after `pin`, and a hold of the write lock after half of `hold`.
    fn config(&self, pin: Duration, hold: Duration) -> Config {
        let mut profile = Profile::hardened();
        for pragma in &mut profile.pragmas {
            match pragma.name.as_str() {
                "busy_timeout" => pragma.expected = hold.as_millis().to_string(),
                "wal_autocheckpoint" => "2".clone_into(&mut pragma.expected),
                _ => {}
            }
        }
        let places = Places::under(self.state.path());
        let thresholds = Thresholds { pinned_wal: (pin, LONG), ..Thresholds::default() };
        Config { profile, thresholds, readonly: true, ..Config::new(places) }
    }

    fn watch(&self, pin: Duration, hold: Duration) -> Watch {
        let config = self.config(pin, hold);
        Watch::new(Observer::new(&config.places, vec![self.path()]), config)
    }

    /// The same, with the write lock sampled between the looks.
    fn sampled(&self, hold: Duration) -> Watch {
        let config = self.config(LONG, hold);
        let mut observer = Observer::new(&config.places, vec![self.path()]);
        observer.watch_locks();
        Watch::new(observer, config)
    }

    /// A watch for what does not depend on time.
    fn patient(&self) -> Watch {
        self.watch(LONG, LONG)
    }
}

/// Longer than any test runs.
const LONG: Duration = Duration::from_hours(1);

fn look(watch: &mut Watch) -> Database {
    let mut databases = watch.look().snapshot.databases;
    assert_eq!(databases.len(), 1);
    databases.remove(0)
}

fn serious(database: &Database) -> Vec<&Finding> {
    database.findings.iter().filter(|finding| finding.severity > Severity::Info).collect()
}

// Two looks a moment apart find nothing that is a warning or an error.
fn assert_healthy(watch: &mut Watch) {
    for _ in 0..2 {
        let database = look(watch);
        assert!(serious(&database).is_empty(), "{:?}", database.findings);
    }
}

/// Looks until `rule` finds something about `pid`, which must then be all that is serious.
fn found(watch: &mut Watch, rule: &str, pid: Option<i32>) -> Finding {
    assert!(RULES.iter().any(|it| it.name() == rule), "{rule} is a rule");
    eventually(&format!("{rule} of {pid:?}"), || {
        let database = look(watch);
        let finding = database.findings.iter().find(|it| it.name == rule && it.pid == pid)?;
        let others: Vec<_> =
            serious(&database).into_iter().filter(|it| it.name != rule || it.pid != pid).collect();
        assert!(others.is_empty(), "{others:?}");
        if let Some(pid) = pid {
            assert!(finding.message.starts_with(&format!("{pid} (")), "{}", finding.message);
        }
        Some(finding.clone())
    })
}

fn signal(actor: &Actor, signal: Signal) {
    kill_process(Pid::from_raw(actor.pid()).expect("a PID"), signal).expect("it lives");
}

/// A writer that moves nothing by itself, and a reader at a frame of its own.
fn pair(scene: &Scene) -> (Actor, Actor) {
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    writer.sql("PRAGMA wal_autocheckpoint = 0").sql("INSERT INTO t VALUES (2)");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    (writer, reader)
}

#[test]
fn a_reader_that_pins_the_log() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = pair(&scene);
    // The healthy twin: it reads for as long, and keeps fewer frames than are moved at a time.
    writer.sql("INSERT INTO t VALUES (3)").sql("INSERT INTO t VALUES (4)");
    let mut watch = scene.watch(Duration::from_millis(50), LONG);
    eventually("the reader has been there for long enough", || {
        assert_healthy(&mut watch);
        let held = look(&mut watch).locks.readers.iter().find(|it| it.pid == Some(reader.pid()))?.held_ms?;
        (held > 100.0).then_some(())
    });
    writer.sql("INSERT INTO t VALUES (5)");
    let finding = found(&mut watch, "pinned-wal", Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.evidence["pinned_frames"], 3);
    assert_eq!(finding.evidence["frame"], 1);
    assert_eq!(finding.remedy.command, Some(format!("kill -TERM {}", reader.pid())));
    reader.sql("COMMIT");
    assert_healthy(&mut watch);
}

#[test]
fn a_reader_of_the_main_file_alone_pins_it_too() {
    let scene = Scene::new("wal");
    let (mut writer, mut reader) = (scene.actor(), scene.actor());
    // With nothing in the log a reader takes slot 0.
    writer.sql("PRAGMA wal_autocheckpoint = 0");
    reader.sql("BEGIN").sql("SELECT * FROM t");
    for _ in 0..3 {
        writer.sql("INSERT INTO t VALUES (2)");
    }
    let mut watch = scene.watch(Duration::from_millis(50), LONG);
    let finding = found(&mut watch, "pinned-wal", Some(reader.pid()));
    assert_eq!(finding.evidence["slot"], 0);
    assert_eq!(finding.evidence["pinned_frames"], 3);
}

#[test]
fn a_write_lock_that_is_held_for_long() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("BEGIN IMMEDIATE");
    assert_healthy(&mut scene.patient());
    let mut watch = scene.watch(LONG, Duration::from_millis(400));
    let finding = found(&mut watch, "long-write-lock", Some(writer.pid()));
    assert_eq!(finding.evidence["busy_timeout_ms"], 400.0);
    assert_eq!(finding.evidence["now"], true);
    eventually("it becomes an error", || {
        let finding = found(&mut watch, "long-write-lock", Some(writer.pid()));
        (finding.severity == Severity::Error).then_some(())
    });
    writer.sql("COMMIT");
    assert_healthy(&mut watch);
}

#[test]
fn a_long_hold_is_found_after_it_is_over() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("SELECT * FROM t");
    let mut watch = scene.sampled(Duration::from_millis(100));
    assert_healthy(&mut watch);
    writer.sql("BEGIN IMMEDIATE");
    found(&mut watch, "long-write-lock", Some(writer.pid()));
    writer.sql("COMMIT");
    let finding = eventually("it is over", || {
        let finding = found(&mut watch, "long-write-lock", Some(writer.pid()));
        (finding.evidence["now"] == false).then_some(finding)
    });
    assert!(finding.message.contains(" at a stretch in the last "), "{}", finding.message);
    assert_eq!(finding.remedy.command, None, "it is over");
}

#[test]
fn a_stopped_process_that_holds_a_lock() {
    let scene = Scene::new("wal");
    let (mut holder, mut idle) = (scene.actor(), scene.actor());
    idle.sql("SELECT * FROM t");
    holder.sql("BEGIN IMMEDIATE");
    let mut watch = scene.patient();
    // The healthy twin is stopped as well, and holds what any idle connection holds.
    signal(&idle, Signal::STOP);
    eventually("the idle one is stopped", || {
        let database = look(&mut watch);
        database.process(idle.pid()).is_some_and(waltop::snapshot::Process::is_stopped).then_some(())
    });
    assert_healthy(&mut watch);
    signal(&holder, Signal::STOP);
    let finding = found(&mut watch, "stopped-holder", Some(holder.pid()));
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.message.contains("the write lock"), "{}", finding.message);
    assert_eq!(finding.remedy.command, Some(format!("kill -CONT {}", holder.pid())));
    for actor in [&idle, &holder] {
        signal(actor, Signal::CONT);
    }
    holder.sql("COMMIT");
    eventually("all is well", || serious(&look(&mut watch)).is_empty().then_some(()));
}

#[test]
fn a_read_only_client() {
    let scene = Scene::new("wal");
    let mut owner = scene.actor();
    owner.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert!(look(&mut watch).findings.is_empty());
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    let finding = found(&mut watch, "readonly-trap", Some(reader.pid()));
    assert_eq!(finding.severity, Severity::Info, "its -shm is open to write");
    reader.close();
    assert!(look(&mut watch).findings.is_empty());
}

#[test]
fn a_read_only_client_of_a_rollback_database_is_no_trap() {
    let scene = Scene::new("delete");
    let mut reader = Actor::open_read_only(&scene.path());
    reader.sql("SELECT * FROM t");
    assert!(look(&mut scene.patient()).findings.is_empty());
}

#[test]
fn a_rollback_journal_that_is_shared() {
    let scene = Scene::new("delete");
    let mut one = scene.actor();
    one.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let two = scene.actor();
    let finding = found(&mut watch, "rollback-journal", None);
    let mut pids = [one.pid(), two.pid()];
    pids.sort_unstable();
    assert_eq!(finding.evidence["processes"], serde_json::json!(pids));
    assert_eq!(finding.remedy.command, Some(format!("waltop fix {}", scene.path().display())));
    two.close();
    assert_healthy(&mut watch);
}

#[test]
fn a_log_that_was_deleted_under_its_writer() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    std::fs::remove_file(scene.sidecar("-wal")).expect("removed");
    let finding = found(&mut watch, "split-wal", Some(writer.pid()));
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.evidence["replaced"], serde_json::json!([scene.sidecar("-wal")]));
}

#[test]
fn a_database_that_was_replaced_under_its_writer() {
    let scene = Scene::new("wal");
    let mut writer = scene.actor();
    writer.sql("INSERT INTO t VALUES (2)");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    let copy = scene.folder.path().join("copy.db");
    std::fs::copy(scene.path(), &copy).expect("a copy");
    // As a restore from a backup does it.
    std::fs::rename(copy, scene.path()).expect("in its place");
    let finding = found(&mut watch, "split-wal", Some(writer.pid()));
    assert!(finding.message.contains("notes.db"), "{}", finding.message);
    assert_eq!(writer.try_sql("SELECT 1"), "ok");
}

#[test]
fn a_process_that_lost_its_locks() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    let mut watch = scene.patient();
    assert_healthy(&mut watch);
    python.lose_locks();
    let finding = found(&mut watch, "lost-locks", Some(python.pid()));
    assert_eq!(finding.severity, Severity::Error);
    assert_eq!(finding.remedy.command, Some(format!("kill -TERM {}", python.pid())));
}

#[test]
fn locks_lost_beside_one_that_has_his() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    let mut sound = scene.actor();
    sound.sql("SELECT * FROM t");
    python.sql("SELECT * FROM t");
    python.lose_locks();
    found(&mut scene.patient(), "lost-locks", Some(python.pid()));
}

#[test]
fn a_forked_child_has_not_lost_what_it_never_had() {
    let scene = Scene::new("wal");
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("SELECT * FROM t");
    // The child does nothing but wait for its parent's end.
    python.run("import os, signal; read, write = os.pipe()");
    python.run("child = os.fork() or (os.close(write), os.read(read, 1), os._exit(0))");
    let child: i32 = python.run("print(child)")[0].parse().expect("a PID");
    let mut watch = scene.patient();
    eventually("the child is seen", || look(&mut watch).process(child).map(|_| ()));
    assert_healthy(&mut watch);
    python.run("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)");
}

#[test]
fn every_rule_is_found_here() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all").join(name);
        std::fs::read_to_string(path).expect("a file of the tests")
    };
    let here = ["diagnose.rs", "stale.rs", "stale/daemons.rs"].map(file).concat();
    for rule in RULES {
        assert!(here.contains(&format!("found(&mut watch, \"{}\"", rule.name())), "{}", rule.name());
    }
}
