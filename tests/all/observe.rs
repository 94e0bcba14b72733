//! What is seen from outside: of real databases held by real processes, and of a made-up `/proc`.

mod bad_input;
mod files;
mod generated;
mod generations;
mod holders;
mod hostile;
mod namespaces;
mod strangers;
mod traces;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use waltop::{
    observe::Observer,
    snapshot::{Database, Process, Snapshot},
    state::places::Places,
};

use crate::{
    namespace::may_change_namespaces,
    support::{Actor, WALTOP},
};

/// A folder with a database of its own, and a place for what the observer keeps.
struct Scene {
    folder: TempDir,
    state: TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder"), state: TempDir::new().expect("a folder") }
    }

    /// With a database in WAL mode that has the table `t`, closed again.
    fn with_wal() -> Self {
        let scene = Self::new();
        let mut maker = scene.actor();
        maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        scene
    }

    fn path(&self) -> PathBuf {
        // Lock rows and descriptors are told by inode, but a link in the temporary folder's path would hide replacement.
        self.folder.path().canonicalize().expect("there").join("notes.db")
    }

    fn actor(&self) -> Actor {
        Actor::open(&self.path())
    }

    fn places(&self, proc: &Path) -> Places {
        Places { proc: proc.to_owned(), ..Places::under(self.state.path()) }
    }

    fn observer(&self) -> Observer {
        self.observer_in(Path::new("/proc"))
    }

    fn observer_in(&self, proc: &Path) -> Observer {
        Observer::new(&self.places(proc), vec![self.path()])
    }

    fn look(&self) -> Database {
        only(self.observer().sample())
    }
}

/// `waltop status --json` with `options` on `database`, started by `launcher`; what it keeps goes to `state`.
fn status(launcher: &[&str], program: &Path, options: &[&str], database: &Path, state: &Path) -> Snapshot {
    let words = launcher.iter().map(|word| Path::new(*word)).chain([program]).collect::<Vec<_>>();
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(["status", "--json"])
        .args(options)
        .arg(database)
        .env("XDG_STATE_HOME", state)
        .env("XDG_CONFIG_HOME", state)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a snapshot")
}

fn only(snapshot: Snapshot) -> Database {
    let mut databases = snapshot.databases;
    assert_eq!(databases.len(), 1);
    databases.remove(0)
}

fn pids(database: &Database) -> Vec<i32> {
    database.processes.iter().map(|process| process.pid).collect()
}

fn process(database: &Database, pid: i32) -> &Process {
    database.process(pid).unwrap_or_else(|| panic!("no row of {pid} among {:?}", pids(database)))
}

fn writer_of(database: &Database) -> Option<i32> {
    database.locks.writer.as_ref().and_then(|holder| holder.pid)
}

// Slot and frame of each lock that `pid` holds as a reader.
fn reader_of(database: &Database, pid: i32) -> Vec<(Option<u8>, Option<u32>)> {
    let readers = database.locks.readers.iter().filter(|reader| reader.pid == Some(pid));
    readers.map(|reader| (reader.slot, reader.frame)).collect()
}
