//! Each rule on real processes, by name and PID, with a healthy twin of the same set-up that has nothing to find.

mod beside;
mod churn;
mod clients;
mod commits;
mod content;
mod crossed;
mod disk;
mod ingestion;
mod integrity;
mod ledger;
mod locks;
mod modes;
mod pairing;
mod place;
mod pool;
mod seen;
mod space;
mod sqlite;
mod starved;
mod waiting;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use waltop::{
    config::{Config, Thresholds, profile::Profile},
    diagnose::rule,
    observe::Observer,
    sampler::Monitor,
    snapshot::{Database, Finding, FindingKind, Severity},
    state::places::Places,
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
        // Where an ingestion that has the state directory in its environment puts its journals.
        let runs = self.state.path().join("waltop/runs");
        let places = Places { runs, ..Places::under(self.state.path()) };
        let thresholds = Thresholds { pinned_wal: (pin, LONG), ..Thresholds::default() };
        Config { profile, thresholds, readonly: true, ..Config::new(places) }
    }

    fn watch(&self, pin: Duration, hold: Duration) -> Monitor {
        let config = self.config(pin, hold);
        Monitor::new(Observer::new(&config.places, vec![self.path()]), config)
    }

    /// The same, with the write lock sampled between the looks.
    fn sampled(&self, hold: Duration) -> Monitor {
        self.sampling(self.config(LONG, hold))
    }

    /// The same under a profile that expects nothing of `pragma`.
    fn sampled_without(&self, pragma: &str, hold: Duration) -> Monitor {
        let mut config = self.config(LONG, hold);
        config.profile.pragmas.retain(|it| it.name != pragma);
        self.sampling(config)
    }

    fn sampling(&self, config: Config) -> Monitor {
        let mut observer = Observer::new(&config.places, vec![self.path()]);
        observer.watch_locks();
        Monitor::new(observer, config)
    }

    /// A watch under what `change` makes of the configuration of [`Scene::patient`].
    fn watch_with(&self, change: impl FnOnce(&mut Config)) -> Monitor {
        let mut config = self.config(LONG, LONG);
        change(&mut config);
        Monitor::new(Observer::new(&config.places, vec![self.path()]), config)
    }

    /// A watch for what does not depend on time.
    fn patient(&self) -> Monitor {
        self.watch(LONG, LONG)
    }
}

/// Longer than any test runs.
const LONG: Duration = Duration::from_hours(1);

/// Adds `count` rows of `bytes` each.
fn fill(actor: &mut Actor, count: usize, bytes: usize) {
    for _ in 0..count {
        actor.sql(&format!("INSERT INTO t VALUES (randomblob({bytes}))"));
    }
}

fn look(watch: &mut Monitor) -> Database {
    let mut databases = watch.sample().snapshot.databases.clone();
    assert_eq!(databases.len(), 1);
    databases.remove(0)
}

fn serious(database: &Database) -> Vec<&Finding> {
    database.findings.iter().filter(|finding| finding.severity > Severity::Info).collect()
}

// Two looks a moment apart find nothing that is a warning or an error.
fn assert_healthy(watch: &mut Monitor) {
    for _ in 0..2 {
        let database = look(watch);
        assert!(serious(&database).is_empty(), "{:?}", database.findings);
    }
}

/// Looks until `kind` is found about `pid`, which must then be all that is serious.
fn found(watch: &mut Monitor, kind: FindingKind, pid: Option<i32>) -> Finding {
    eventually(&format!("{kind} of {pid:?}"), || {
        let database = look(watch);
        let finding = database.findings.iter().find(|it| it.kind == kind && it.pid == pid)?;
        // What makes a process stale is reported of the process as well.
        let is_it = |it: &Finding| it.pid == pid && (it.kind == kind || it.kind == FindingKind::StaleDaemon);
        let others: Vec<_> = serious(&database).into_iter().filter(|it| !is_it(it)).collect();
        assert!(others.is_empty(), "{others:?}");
        if let Some(pid) = pid {
            assert!(finding.message.starts_with(&format!("{pid} (")), "{}", finding.message);
        }
        let facts = rule(kind).facts();
        assert!(finding.remedy.action.is_none_or(|it| facts.actions.contains(&it)), "{finding:?}");
        assert!(facts.severity.contains(finding.severity), "{finding:?}");
        Some(finding.clone())
    })
}

/// The finding of `kind` about `pid`, which must be all that is serious.
fn found_in(database: &Database, kind: FindingKind, pid: Option<i32>) -> Finding {
    let [finding] = serious(database)[..] else { panic!("{:?}", database.findings) };
    assert_eq!((finding.kind, finding.pid), (kind, pid));
    finding.clone()
}

fn has(database: &Database, kind: FindingKind) -> bool {
    database.findings.iter().any(|finding| finding.kind == kind)
}

fn signal(actor: &Actor, signal: Signal) {
    send(actor.pid(), signal);
}

fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a PID"), signal).expect("it lives");
}

#[test]
fn every_rule_is_found_here() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    let files = ["diagnose", "stale"].map(|name| fs::read_dir(tests.join(name)).expect("the folder"));
    let files = files.into_iter().flatten().map(|file| file.expect("a file").path());
    let here: String = files
        .chain(["stale.rs", "traced.rs"].map(|name| tests.join(name)))
        .map(|file| fs::read_to_string(file).expect("text"))
        .collect();
    for kind in FindingKind::ALL {
        // Inside a mount namespace another process looks.
        let ways = [
            format!("found(&mut watch, FindingKind::{kind:?},"),
            format!("found_in(&database, FindingKind::{kind:?},"),
            // The program itself answers.
            format!("it[\"name\"] == \"{kind}\""),
        ];
        assert!(ways.iter().any(|way| here.contains(way)), "{kind}");
    }
}
